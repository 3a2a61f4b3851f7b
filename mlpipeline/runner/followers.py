"""What goes on beside the runs: word to people and to a tracking server. The runs never wait for it."""

from __future__ import annotations

from mlpipeline.project import Project
from mlpipeline.records import Record
from mlpipeline.runner.notifications import Notifications
from mlpipeline.runner.screen import Screen
from mlpipeline.runner.uploads import Uploads


class Followers:
    """Those that `mlp.config` asks for.

    Args:
        project: with its settings.
        screen: told of what goes wrong.
    """

    def __init__(self, project: Project, screen: Screen) -> None:
        command = project.notify_command
        self._notifications = Notifications(command, project.root, screen.warn) if command else None
        self._uploads = Uploads(project, screen.warn, screen.say) if project.mlflow_uri else None

    def began(self) -> None:
        """A run has begun."""
        if self._uploads:
            self._uploads.began()

    def ended(self, record: Record, *, is_run: bool = True) -> None:
        """An end is recorded. Args: is_run: of a run that `began`."""
        if self._notifications:
            self._notifications.ended(record)
        if self._uploads:
            self._uploads.ended(is_run=is_run)

    def tend(self) -> None:
        """Look after what was started; called several times a second."""
        if self._notifications:
            self._notifications.tend()
        if self._uploads:
            self._uploads.tend()

    def close(self) -> None:
        """Wait for none but notifications, and for those a few seconds at most."""
        if self._uploads:
            self._uploads.close()
        if self._notifications:
            self._notifications.close()

"""MLflow's client, made quiet and impatient: what it raises becomes one error, and no password is shown."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

from mlpipeline.errors import ReportError, TrackingError
from mlpipeline.reports.mlflow_values import RUN_ID_TAG, Point

if TYPE_CHECKING:
    from mlflow.entities import Experiment, Run
    from mlflow.tracking import MlflowClient

_SETTINGS = {  # unless the user has others
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_NO_TELEMETRY = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
_NOISY = ("mlflow", "alembic", "sqlalchemy", "urllib3")
_DATABASES = ("sqlite", "mysql", "postgresql", "mssql")
_NAMED = ("databricks", "databricks-uc", "uc")
_METRICS_A_CALL = 900  # with the parameters, MLflow takes 1,000
_PARAMETERS_A_CALL = 100
Item = TypeVar("Item")


def resolved(uri: str, root: Path) -> str:
    """Return a tracking URI in which a path that is relative to the project folder is absolute."""
    if uri.startswith("sqlite:///") and not uri.startswith(("sqlite:////", "sqlite:///:memory:")):
        return f"sqlite:///{root}/{uri.removeprefix('sqlite:///')}"
    path = uri.removeprefix("file:")
    is_folder = uri.startswith("file:") or ("://" not in uri and uri not in _NAMED)
    return (root / path).as_uri() if is_folder and not path.startswith("//") else uri


def without_secrets(uri: str) -> str:
    """Return a URI without what may be a password or token in it."""
    place, _, options = uri.partition("?")
    scheme, separator, rest = place.partition("://")
    before, at, host = rest.rpartition("@")
    hidden = f"{scheme}{separator}{'***@' if at else ''}{host if at else before + rest}"
    return f"{hidden}?***" if options else hidden


class Server:
    """A tracking server, or a database or folder in its place.

    Args:
        uri: resolved.
        artifacts: where artifacts go if there is no server that keeps them.
    Raises: ReportError: MLflow or a driver is not installed. TrackingError: it does not answer.
    """

    def __init__(self, uri: str, artifacts: Path) -> None:
        self.uri = uri
        self._artifacts = artifacts if uri.partition(":")[0].partition("+")[0] in _DATABASES else None
        if uri.startswith("sqlite:////"):
            Path(uri.removeprefix("sqlite:///").partition("?")[0]).parent.mkdir(parents=True, exist_ok=True)
        os.environ.update(_NO_TELEMETRY)
        for name, value in _SETTINGS.items():
            os.environ.setdefault(name, value)
        with quiet():
            try:
                from mlflow.exceptions import MlflowException
                from mlflow.tracking import MlflowClient
                from sqlalchemy.exc import SQLAlchemyError
            except ImportError:
                raise ReportError(
                    "uploads need MLflow, which is not installed: pip install 'mlpipeline[mlflow]'"
                ) from None
            # requests' and the file system's are OSError
            self.errors = (MlflowException, SQLAlchemyError, OSError)
            self._client = self._connected(MlflowClient)

    def check(self) -> None:
        """Raises: TrackingError: it does not answer."""
        try:
            self._client.search_experiments(max_results=1)
        except self.errors as error:
            raise TrackingError(
                f"the tracking server {without_secrets(self.uri)} cannot be reached: {self.reason(error)}; nothing is "
                "lost: `mlpipeline mlflow-sync` uploads what is missing once it answers"
            ) from None

    def reason(self, error: BaseException) -> str:
        """Return an error in one line, without secrets."""
        root = error
        while (below := root.__cause__ or root.__context__) is not None:
            root = below
        text = " ".join(str(error).split())
        if type(root).__name__ in ("ConnectionRefusedError", "gaierror", "TimeoutError"):
            text = f"{root}"
        user, _, place = self.uri.partition("://")[2].rpartition("@")
        for secret in filter(None, (self.uri, user, user.partition(":")[2], unquote(user.partition(":")[2]))):
            text = text.replace(secret, without_secrets(self.uri) if secret == self.uri else "***")
        if options := urlsplit(f"//{place}").query:
            text = text.replace(options, "***")
        return text[:500]

    def experiment(self, name: str) -> tuple[Experiment, bool]:
        """Return the experiment of a name, which may have been deleted there, and whether it was made just now."""
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return found, False
        location = self._artifacts.as_uri() if self._artifacts else None
        return self._client.get_experiment(self._client.create_experiment(name, artifact_location=location)), True

    def restore_experiment(self, experiment_id: str) -> None:
        self._client.restore_experiment(experiment_id)

    def find(self, experiment_id: str, key: str) -> Run | None:
        """Return the run with this key in its tag; one that is deleted there only if there is no other."""
        from mlflow.entities import ViewType

        found = self._client.search_runs(
            [experiment_id], f"tags.`{RUN_ID_TAG}` = '{key}'", run_view_type=ViewType.ALL, max_results=10
        )
        return min(found, key=is_deleted, default=None)

    def create(self, experiment_id: str, name: str, started: int, tags: Mapping[str, str]) -> Run:
        return self._client.create_run(experiment_id, start_time=started, tags=dict(tags), run_name=name)

    def restore(self, run: Run) -> None:
        self._client.restore_run(run.info.run_id)

    def points_of(self, run: Run) -> dict[str, set[tuple[int, int]]]:
        """Return step and moment of each point that is there, by metric."""
        return {
            name: {(point.step, point.timestamp) for point in self._client.get_metric_history(run.info.run_id, name)}
            for name in run.data.metrics
        }

    def log(self, run_id: str, parameters: Mapping[str, str], points: Iterable[Point]) -> None:
        from mlflow.entities import Metric, Param

        parts = zip_longest(_parts(parameters.items(), _PARAMETERS_A_CALL), _parts(points, _METRICS_A_CALL))
        for some_parameters, some_points in parts:
            params = [Param(name, value) for name, value in some_parameters or ()]
            metrics = [Metric(point.name, point.value, point.moment, point.step) for point in some_points or ()]
            self._client.log_batch(run_id, metrics=metrics, params=params)

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        self._client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])

    def put_file(self, run_id: str, path: Path, folder: str) -> None:
        self._client.log_artifact(run_id, str(path), folder or None)

    def put_text(self, run_id: str, text: str, name: str) -> None:
        self._client.log_text(run_id, text, name)

    def end(self, run_id: str, status: str, moment: int) -> None:
        self._client.set_terminated(run_id, status, moment or None)

    def _connected(self, client: type[MlflowClient]) -> MlflowClient:
        try:
            self._client = client(self.uri)
        except ImportError as error:
            raise ReportError(f"{without_secrets(self.uri)} needs a package that is not installed: {error}") from None
        except self.errors as error:
            reason = self.reason(error)
            raise TrackingError(f"{without_secrets(self.uri)} cannot be used for tracking: {reason}") from None
        self.check()
        return self._client


def _parts(items: Iterable[Item], most: int) -> Iterator[list[Item]]:
    rest = iter(items)
    while part := list(islice(rest, most)):
        yield part


def is_deleted(entity: Any) -> bool:
    """Tell whether a run or an experiment was deleted on the server."""
    stage = getattr(entity, "lifecycle_stage", None) or entity.info.lifecycle_stage
    return bool(stage == "deleted")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the warnings and log lines of MLflow and what it uses to itself."""
    loggers = [logging.getLogger(name) for name in _NOISY]
    levels = [logger.level for logger in loggers]
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)

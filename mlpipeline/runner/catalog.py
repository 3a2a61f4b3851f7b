"""What each queued script holds: its versions as they were last listed, and what is left of them to run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mlpipeline.errors import ModelDirError
from mlpipeline.project import Project
from mlpipeline.records import Result, dumps
from mlpipeline.runner.plan import Candidate, Plan, fingerprint
from mlpipeline.runner.sources import Signature, Sources, import_folders, read_sources, signature

_LISTINGS = 2
"""How often a script is listed anew because its sources changed meanwhile."""

Settled = Callable[[str, str | None, str], bool]  # script, version, fingerprint


@dataclass
class Entry:
    """A script, its sources when it was listed, and all its versions.

    Args:
        failed_among: where the listing failed, the state of the import folders: a missing module may be added there.
    """

    sources: Sources
    candidates: list[Candidate] = field(default_factory=list)
    failed_among: Signature = ()


class Catalog:
    """Keeps a plan for each script, and makes a new one when its sources change.

    Args:
        project: where scripts and model directories lie.
        is_settled: whether a version needs no further run.
    """

    def __init__(self, project: Project, is_settled: Settled) -> None:
        self._project = project
        self._is_settled = is_settled
        self._sources: dict[str, Sources] = {}
        self._unstable: dict[str, int] = {}
        self._owners: dict[str, str] = {}  # scripts by model directory
        self._around: dict[str, str] = {}  # a script by each folder that its model directories lie in
        self.entries: dict[str, Entry] = {}
        self.plans: dict[str, Plan] = {}

    def sources(self, script: str) -> Sources:
        """Return a script's sources as they are now. Raises: OSError: it cannot be read."""
        known = self._sources.get(script)
        if known is None or signature(known.files) != known.signature:
            path = self._project.script_path(script)
            known = read_sources(self._project, path)
            self._sources[script] = known
        return known

    def forget_changed(self, scripts: Sequence[str]) -> None:
        """Drop the plans of scripts whose text, or a module's that they import, has changed."""
        for script in scripts:
            entry = self.entries.get(script)
            if entry is None:
                continue
            if entry.failed_among and entry.failed_among != self._folders(script):
                entry.failed_among = self._folders(script)
                self._sources.pop(script, None)
            elif signature(entry.sources.files) == entry.sources.signature:
                continue
            try:
                sources = self.sources(script)
            except OSError:
                continue  # it is gone, or just being replaced
            if sources.digest == entry.sources.digest:
                entry.sources = sources
            else:
                self._disown(entry)
                del self.entries[script], self.plans[script]

    def store(self, script: str, listed: Sources, result: Result) -> None:
        """Take in what a listing has found.

        Args:
            script: whose versions they are.
            result: of the listing.
            listed: the sources that were listed; a change since then makes the plan void at the next turn.
        Raises: ModelDirError: a version's directory would lie outside the outputs directory.
        """
        sources = self._settled_sources(script, listed)
        seen = [Path(path) for path in result.sources]
        if sources is listed and set(seen) - set(listed.files):
            wider = read_sources(self._project, listed.files[0], seen)
            if signature(listed.files) == listed.signature:
                sources = self._sources[script] = wider
        entry = Entry(sources, [self._candidate(script, sources.digest, version) for version in result.versions])
        self.entries[script] = entry
        pending = {c.name: c for c in entry.candidates if not self._is_settled(script, c.name, c.fingerprint)}
        self.plans[script] = Plan(pending)

    def current_fingerprint(self, candidate: Candidate) -> str:
        """Return the fingerprint that a version would have with its script as it is now."""
        try:
            return fingerprint(self.sources(candidate.script).digest, candidate.parameters)
        except OSError:
            return candidate.fingerprint

    def _settled_sources(self, script: str, listed: Sources) -> Sources:
        """Return the sources that a listing stands for: those listed, unless the listing itself keeps changing them."""
        if signature(listed.files) == listed.signature:
            self._unstable.pop(script, None)
            return listed
        self._unstable[script] = self._unstable.get(script, 0) + 1
        return listed if self._unstable[script] <= _LISTINGS else self.sources(script)

    def store_failure(self, script: str, listed: Sources) -> None:
        """Remember that a script could not be listed, until it changes."""
        self.entries[script] = Entry(listed, failed_among=self._folders(script))
        self.plans[script] = Plan()

    def _own(self, model_dir: str, script: str, version: str) -> None:
        """Note whose directory this is, and refuse one that is another script's, or lies in it or around it."""
        around = [str(parent) for parent in Path(model_dir).relative_to(self._project.model_ckpts_dir).parents][:-1]
        around = [str(self._project.model_ckpts_dir / parent) for parent in around]
        for folder in (model_dir, *around):
            if self._owners.get(folder, script) != script:
                raise _shared(script, version, folder, self._owners[folder])
        if self._around.get(model_dir, script) != script:
            raise _shared(script, version, model_dir, self._around[model_dir])
        self._owners[model_dir] = script
        self._around.update(dict.fromkeys(around, script))

    def _disown(self, entry: Entry) -> None:
        for candidate in entry.candidates:
            self._owners.pop(candidate.model_dir, None)

    def _folders(self, script: str) -> Signature:
        return signature(import_folders(self._project, self._project.script_path(script)))

    def _candidate(self, script: str, digest: str, version: dict[str, object]) -> Candidate:
        parameters = dumps(version["parameters"])
        model_dir = str(self._project.model_dir(script, str(version["suffix"])))
        self._own(model_dir, script, str(version["name"]))
        return Candidate(
            script=script,
            name=str(version["name"]),
            fingerprint=fingerprint(digest, parameters),
            model_dir=model_dir,
            seed=int(str(version["seed"])),
            parameters=parameters,
        )


def _shared(script: str, version: str, folder: str, owner: str) -> ModelDirError:
    return ModelDirError(
        f"{script}: the directory of version {version!r} would share {folder} with {owner}; "
        "give the version another name or a model_dir_suffix"
    )

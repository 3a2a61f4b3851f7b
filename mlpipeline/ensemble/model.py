"""EnsembleModel: a model script whose bags or folds are runs of their own: queued, parallel, resumable, recorded.

A run of one member:
    pre_execution_hook    where its files go, and those of the ensemble
    train_model           MemberRun: found or trained, written, and gathered with the others if it is the last
    evaluate_model        scores of its validation rows and of the test rows; of the ensemble too if it is the last
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from numpy.typing import NDArray

from mlpipeline.description import describe_version
from mlpipeline.ensemble.ensemble import Ensemble
from mlpipeline.ensemble.ensemble_folder import EnsembleFolder
from mlpipeline.ensemble.identity import Identity, identity_of
from mlpipeline.ensemble.member import Member, Work
from mlpipeline.ensemble.member_run import MemberRun, Missing, read_ensemble, remove_member, trial_of
from mlpipeline.ensemble.member_versions import ENSEMBLE, MEMBER, PLAN, ensemble_version, member_name, member_versions
from mlpipeline.ensemble.observations import Observations, digest
from mlpipeline.ensemble.observations_loader import as_observations
from mlpipeline.ensemble.result import EnsembleResult
from mlpipeline.errors import EnsembleError, ScriptError, did_you_mean
from mlpipeline.model import DataLoader, Model
from mlpipeline.records import dumps
from mlpipeline.versions import ExecutionModeKeys, Version, Versions

_WITHOUT_EFFECT = ("model_dir_suffix", "dataloader")  # the data themselves are looked at


class EnsembleModel(Model):
    """A model that is trained several times on different rows. A script writes `trainer`, and what it wants else.

    Each version stands for an ensemble and becomes one version for each of its members: `mlp-fold0`, `mlp-fold1`, ...
    The run that ends last puts the ensemble together, in `outputs/model_ckpts/<script>-<version>`, beside the
    directories of the members: `oof_train.npy` and `oof_test.npy` with ids and targets, `plan.json`, `history.csv`,
    `stats.txt`, `folds.png` and `ensemble.json`. Members of other code, parameters, data or plan are never mixed.

    The version's data loader gives `Observations`, pairs (X, y) or None: see `ObservationsLoader`.

    Args:
        versions: the sets of parameters. A version may have settings of its own under the names of the arguments
            below, and `seed`, from which all is drawn (0 unless given): splits, weights, order of rows.
        plan: how rows are divided among the members.
        metrics, task, stopping_size, class_weight: as for `Ensemble`.
        allow_delete_model_dir: a run that starts afresh removes what an earlier one left of its member.
    Raises: EnsembleError: a version has no plan.
    """

    allow_delete_model_dir = True
    _run: MemberRun | None = None
    _model_dir = Path()
    _is_trial = False
    _scores: Mapping[str, Mapping[str, float]] = {}
    _loaded: EnsembleResult | None = None

    def __init__(
        self,
        versions: Versions,
        plan: Any = None,
        *,
        metrics: Any = None,
        task: str | None = None,
        stopping_size: float = 0.0,
        class_weight: Any = None,
        allow_delete_model_dir: bool = True,
    ) -> None:
        super().__init__(member_versions(versions, plan), allow_delete_model_dir)
        self._settings = {
            "metrics": metrics,
            "task": task,
            "stopping_size": stopping_size,
            "class_weight": class_weight,
        }

    def trainer(self, version: Version) -> Any:
        """Return what trains each member: a `TorchTrainer`, a `KerasTrainer`, or a scikit-learn estimator.

        Args:
            version: of the ensemble, as the script has it: members differ in their rows and seeds alone.
        """
        raise ScriptError(f"{type(self).__name__} has no trainer(self, version); write it")

    def preprocessing(self, version: Version) -> Any:
        """Return a transformer or data pipeline, which is fitted on each member's training rows; None for none.

        Args:
            version: as for `trainer`.
        """
        return None

    def clean_model_dir(self, model_dir: str) -> None:
        """Remove what an earlier run left of the member."""
        if self._version is not None:
            remove_member(Path(model_dir), member_name(self._version))

    def pre_execution_hook(self, version: Version, model_dir: str, exec_mode: str = ExecutionModeKeys.TEST) -> None:
        """Note where the files of this run go; in test mode the member alone makes the ensemble."""
        self._version, self._model_dir = version, Path(model_dir)
        self._is_trial = exec_mode == ExecutionModeKeys.TEST

    def train_model(self, input_fn: Any, steps: int) -> None:
        """Train the member, unless a run that was cut off has left it, and gather it with the others.

        Args:
            input_fn: the training part of all members. steps: not looked at; the trainer knows its epochs.
        Raises: EnsembleError: the data, the plan or the trainer cannot be used.
        """
        run = self._member_run(input_fn)
        member = run.found()
        if member is not None:
            self.log(f"{run.name} was trained by a run that was cut off later")
        member = member or run.trained(self._report_epoch)
        gathered = run.gather()
        self._run, self._scores = run, _scores_of(run, member, gathered)
        self._tell(run, gathered)

    def evaluate_model(self, input_fn: Any, steps: int) -> Mapping[str, float]:
        """Return the scores that belong to the rows of an input.

        Of the training part: `valid_accuracy`, of the member's own validation rows, and `oof_accuracy`, of all
        out-of-fold predictions, if this run has put the ensemble together. Of the test part: `accuracy`, and
        `ensemble_accuracy` of the mean over all members.

        Raises: EnsembleError: the rows are neither.
        """
        if self._run is None:
            raise EnsembleError("train_model comes before evaluate_model")
        if input_fn is None:
            return {}
        rows = {"hash": digest(as_observations(input_fn).X)}
        for part in ("X", "X_test"):
            if self._run.known_as[part] == rows:
                return self._scores[part]
        raise EnsembleError(
            "an ensemble's run knows the scores of its data loader's training and test part, but got other rows; "
            "the loader must return the same rows each time"
        )

    def load(self, version: str, folder: str | Path) -> Self:
        """Get ready to predict with all members of a finished ensemble; return the model.

        Args:
            version: its name, as the script has it, without that of a member.
            folder: of the ensemble, as `outputs/model_ckpts/<script>-<version>`.
        Raises: EnsembleError: there is no such version; the ensemble is not finished, or its members
            have been trained anew since, or on other data than those that the loader gives now.
        """
        chosen = self._first_member(version)
        loader = chosen["dataloader"]
        loader = loader if isinstance(loader, DataLoader) or not callable(loader) else loader()
        whole = ensemble_version(chosen.replacing(dataloader=loader))
        work = self._work(whole, as_observations(loader.get_train_input()), None)
        self._loaded = read_ensemble(EnsembleFolder(Path(folder)), work)
        return self

    def predict(self, rows: Any) -> NDArray[Any]:
        """Return the labels, or the values, that all members together predict.

        Args:
            rows: as the data loader gives them.
        Returns: labels [n], or values [n, k].
        """
        ensemble = self._finished()
        return ensemble.targets.labels(ensemble.predict(rows))

    def probabilities(self, rows: Any) -> NDArray[Any]:
        """Return the mean of the members' predictions, float[n, outputs].

        For classes these are probabilities in the order of the sorted labels; of two classes, a network with one output
        gives that of the second alone.
        """
        return self._finished().predict(rows)

    def _finished(self) -> EnsembleResult:
        if self._loaded is None:
            raise EnsembleError("no ensemble has been loaded to predict with; call load(version, folder) first")
        return self._loaded

    def _first_member(self, name: str) -> Version:
        of_ensemble = {version[ENSEMBLE]: version for version in reversed(list(self.versions))}
        if name not in of_ensemble:
            raise EnsembleError(f"no version is named {name!r}{did_you_mean(name, of_ensemble)}")
        return of_ensemble[name]

    def _member_run(self, input_fn: Any) -> MemberRun:
        version = self._version
        if version is None:
            raise ScriptError(
                f"{type(self).__name__} has not been prepared: pre_execution_hook(version, model_dir) comes first; "
                "a script that overrides it must call super().pre_execution_hook(...)"
            )
        given = version["dataloader"].get_test_input()
        test = None if given is None else as_observations(given)
        whole, number, model_dir = ensemble_version(version), version[MEMBER], self._model_dir
        work = self._work(whole, as_observations(input_fn), test)
        if self._is_trial:
            work, number = trial_of(work, number), 0
            model_dir = model_dir / f"trial-{work.splits.name(0)}"
        folder = EnsembleFolder.beside(model_dir, work.splits.name(number))
        names = {"hash": digest(work.observations.ids, *((test.ids, test.y) if test is not None else ()))}
        known_as = {**identity_of(work), **self._origin(whole), "ids": names}
        model_dir.mkdir(parents=True, exist_ok=True)
        return MemberRun(whole.name, whole["model_dir_suffix"], number, work, known_as, folder, test)

    def _work(self, version: Version, train: Observations, test: Observations | None) -> Work:
        settings = {name: version.get(name, value) for name, value in self._settings.items()}
        seed = version.get("seed")
        ensemble = Ensemble(
            self.trainer(version),
            version[PLAN],
            self.preprocessing(version),
            seed=0 if seed is None else int(seed),
            **settings,
        )
        return ensemble.read_work(train, None if test is None else test.X)

    def _origin(self, version: Version) -> Identity:
        described = {key: value for key, value in describe_version(version).items() if key not in _WITHOUT_EFFECT}
        text = dumps(described)
        parameters = {"hash": hashlib.sha256(text.encode()).hexdigest()[:32], "text": text}
        return {"parameters": parameters, "script": {"hash": self._source_digest, "text": "the script and its modules"}}

    def _report_epoch(self, step: int, total: int | None, metrics: Mapping[str, float]) -> None:
        self.report(step, total, **metrics)

    def _tell(self, run: MemberRun, gathered: EnsembleResult | list[Missing]) -> None:
        if isinstance(gathered, list):
            message = f"{run.ensemble} is not complete: {', '.join(missing.why for missing in gathered)}"
            if all(missing.is_due for missing in gathered):
                self.log(message)
            else:
                again = "run all of its members again, without -u"
                self.log(f"{message}; {again}", level=logging.WARNING, log_to_file=True)
            return
        scores = "  ".join(f"{name} {score:.4f}" for name, score in gathered.oof_scores.items())
        message = f"all members of {run.ensemble} are there: out-of-fold {scores}, in {run.folder.path}"
        self.log(message, log_to_file=True)
        self.add_to_summary(message)


def _scores_of(run: MemberRun, member: Member, gathered: EnsembleResult | list[Missing]) -> dict[str, dict[str, float]]:
    """Return the scores of a member by the part they belong to and, where it was the last, of the ensemble too."""
    scores = {
        "X": {f"valid_{name}": score for name, score in member.scores.items()},
        "X_test": run.test_scores(member.test),
    }
    if isinstance(gathered, EnsembleResult):
        scores["X"] |= {f"oof_{name}": score for name, score in gathered.oof_scores.items()}
        scores["X_test"] |= {f"ensemble_{name}": score for name, score in run.test_scores(gathered.test).items()}
    return scores

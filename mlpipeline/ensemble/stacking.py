"""Stacking: levels of ensembles, of which each is trained on the out-of-fold predictions of the level below.

Stack.run
    Plan.split             once: all levels have the same splits
    Ensemble.run           each model of a level
    StackLevel.columns     its predictions as the inputs of the next level
    restricted             the splits without the rows that the level below has not predicted
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpipeline.ensemble.checks import checked_observations, checked_seed
from mlpipeline.ensemble.ensemble import Ensemble
from mlpipeline.ensemble.observations import Observations, as_inputs, take
from mlpipeline.ensemble.passing import PREDICTIONS, RAW, BesideRows
from mlpipeline.ensemble.result import EnsembleResult
from mlpipeline.ensemble.scores import Summary, all_columns
from mlpipeline.ensemble.splits import RowNumbers, Split, Splits
from mlpipeline.ensemble.targets import CLASSES
from mlpipeline.ensemble.trainer import as_trainer
from mlpipeline.errors import EnsembleError, did_you_mean

_log = logging.getLogger(__name__)
_OWN = {"trainer", "plan", "seed", "preprocessing", "run_save_name"}
_OPTIONS = {each.name for each in fields(Ensemble)} - _OWN


@dataclass(frozen=True, eq=False)
class StackLevel:
    """The finished ensembles of one level.

    Args:
        results: by name; their rows are those of `rows`, in that order.
        rows: numbers of the rows that the level was trained on: those that the level below has predicted.
        row_count: of all rows.
    """

    results: dict[str, EnsembleResult]
    rows: RowNumbers
    row_count: int

    @property
    def oof(self) -> dict[str, NDArray[Any]]:
        """Each model's out-of-fold predictions of all rows, float[n, outputs]; NaN where a row was never predicted."""
        return {name: self._of_all_rows(result.oof) for name, result in self.results.items()}

    @property
    def test(self) -> dict[str, NDArray[Any]]:
        """Each model's predictions of the test rows, float[n_test, outputs]; empty without test rows."""
        return {name: result.test for name, result in self.results.items() if result.test is not None}

    @property
    def scores(self) -> dict[str, dict[str, Summary]]:
        """The scores by model and metric."""
        return {name: result.scores for name, result in self.results.items()}

    @property
    def predicted_rows(self) -> RowNumbers:
        """Where, among the rows of this level, every model has a prediction."""
        is_there = [~np.isnan(result.oof).any(axis=1) for result in self.results.values()]
        return np.flatnonzero(np.all(is_there, axis=0)).astype(np.int64)

    def predict(self, X: Any) -> dict[str, NDArray[Any]]:
        """Return each model's predictions of inputs of this level, the mean over its members."""
        return {name: result.predict(X) for name, result in self.results.items()}

    def columns(self, predictions: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return predictions beside each other, float[n, columns]; of two classes the second alone says all."""
        parts = []
        for name, result in self.results.items():
            is_pair = result.targets.kind == CLASSES and predictions[name].shape[1] == 2
            parts.append(predictions[name][:, 1:] if is_pair else predictions[name])
        return np.concatenate(parts, axis=1)

    def mean(self, predictions: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return the mean over the models, float[n, outputs]; of one model what it says."""
        parts = list(predictions.values())
        if len(parts) == 1:
            return parts[0]
        kinds = {result.targets.kind for result in self.results.values()}
        if len(kinds) > 1:
            raise EnsembleError("the last level holds models of classes and models of values, which have no mean")
        columns = [all_columns(part) if kinds == {CLASSES} else part for part in parts]
        return np.asarray(np.mean(columns, axis=0))

    def _of_all_rows(self, values: NDArray[Any]) -> NDArray[Any]:
        placed = np.full((self.row_count, values.shape[1]), np.nan, dtype=values.dtype)
        placed[self.rows] = values
        return placed


@dataclass(frozen=True, eq=False)
class StackResult:
    """All levels of a finished stack; the last one has the word.

    Args:
        levels: from the first, which was trained on the rows themselves.
        passthrough: levels above the first were given the rows too.
    """

    levels: tuple[StackLevel, ...]
    passthrough: bool = False

    @property
    def oof(self) -> NDArray[Any]:
        """The last level's out-of-fold predictions, float[n, outputs], the mean if it has several models."""
        return self.levels[-1].mean(self.levels[-1].oof)

    @property
    def test(self) -> NDArray[Any] | None:
        """The last level's predictions of the test rows; None without test rows."""
        predictions = self.levels[-1].test
        return self.levels[-1].mean(predictions) if predictions else None

    @property
    def scores(self) -> dict[str, dict[str, Summary]]:
        """The last level's scores by model and metric."""
        return self.levels[-1].scores

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the last level's predictions of raw rows, float[n, outputs], level after level."""
        X = inputs = as_inputs(X)
        for below in self.levels[:-1]:
            inputs = _inputs(X, below.columns(below.predict(inputs)), self.passthrough)
        return self.levels[-1].mean(self.levels[-1].predict(inputs))


@dataclass(frozen=True, eq=False)
class Stack:
    """Levels of models that are to be trained; see `stack`."""

    levels: Sequence[Mapping[str, Any]]
    plan: Any
    seed: int | None = 0
    passthrough: bool = False
    preprocessing: Any = None
    run_save_name: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.levels, Mapping) or not self.levels:
            raise EnsembleError('levels must be a list of models by name, as in [{"forest": ...}, {"logistic": ...}]')
        for number, level in enumerate(self.levels, start=1):
            if not isinstance(level, Mapping) or not level or not all(isinstance(name, str) for name in level):
                raise EnsembleError(f"level {number} must hold models by name, at least one, but is {level!r:.80}")
            for trainer in level.values():
                as_trainer(trainer)  # what is none is found before the first level is trained
        for name in self.options:
            if name not in _OPTIONS:
                raise EnsembleError(f"{name} is no option of a stack{did_you_mean(name, _OPTIONS)}")

    def fit(self, X: Any, y: Any, X_test: Any = None, *, groups: Any = None, weights: Any = None) -> StackResult:
        """Train all levels; arguments as for `Ensemble.fit`.

        Raises: EnsembleError: what was given does not fit together, or a level has no rows to train on.
        """
        return self.run(Observations(X, y, None, groups, weights), X_test)

    def run(self, observations: Observations, X_test: Any = None) -> StackResult:
        """Train all levels on observations, which may have ids, groups and weights; see `fit`."""
        seed = checked_seed(self.seed)
        observations = checked_observations(observations)
        X_test = None if X_test is None else as_inputs(X_test, "X_test")
        first = Ensemble(next(iter(self.levels[0].values())), self.plan, self.preprocessing, seed=seed, **self.options)
        splits = first.read_work(observations, X_test).splits
        rows = np.arange(len(observations), dtype=np.int64)
        inputs, test_inputs, done = observations, X_test, list[StackLevel]()
        for number, level in enumerate(self.levels, start=1):
            results = {
                name: self._ensemble(number, place, name, trainer, splits, seed).run(inputs, test_inputs)
                for place, (name, trainer) in enumerate(level.items())
            }
            done.append(StackLevel(results, rows, len(observations)))
            if number == len(self.levels):
                break
            kept = done[-1].predicted_rows
            splits, rows = restricted(splits, kept, number + 1), rows[kept]
            inputs = _taken(observations, rows, done[-1], kept, self.passthrough)
            if X_test is not None:
                test_inputs = _inputs(X_test, done[-1].columns(done[-1].test), self.passthrough)
        return StackResult(tuple(done), self.passthrough)

    def _ensemble(self, number: int, place: int, name: str, trainer: Any, splits: Splits, seed: int) -> Ensemble:
        above = BesideRows(self.preprocessing) if self.passthrough else None
        return Ensemble(
            trainer,
            splits,
            preprocessing=self.preprocessing if number == 1 else above,
            # Models of equal kind would otherwise begin with equal weights.
            seed=int(np.random.SeedSequence([seed, number, place]).generate_state(1)[0]),
            run_save_name=None if self.run_save_name is None else f"{self.run_save_name}_level{number}_{name}",
            **self.options,
        )


def stack(
    levels: Sequence[Mapping[str, Any]],
    plan: Any,
    *,
    seed: int | None = 0,
    passthrough: bool = False,
    preprocessing: Any = None,
    run_save_name: str | None = None,
    **options: Any,
) -> Stack:
    """Return levels of models, of which each is trained on the out-of-fold predictions of the level below.

    All levels have the same splits. A row's out-of-fold prediction, on which a level above is trained, comes from a
    model that has not seen that row, but may have seen the rows that judge the level above. That is common practice
    and saves training every level anew within each fold, but scores of the levels above are a little hopeful; test
    rows, kept apart, tell how good the stack is. Test inputs of a level are the mean test predictions of all members
    below. Rows that the level below never predicts, the first ones of `TimeSeriesFolds`, are left out above, and so
    are members that have no rows then.

    Args:
        levels: for each level trainers or scikit-learn estimators by name.
        plan: as for `Ensemble`.
        seed: of the splits and of everything that is drawn.
        passthrough: levels above the first get the rows too, prepared, beside the predictions.
        preprocessing: of the rows, fitted on each member's training rows; predictions are taken as they are.
        run_save_name: of the files, to which level and name are added: `<name>_level1_forest`; None keeps nothing.
        options: all others of `Ensemble`: metrics, task, stopping_size, class_weight, together, workers, src_dir,
            resume, save_model and so on, for every model of every level.
    Raises: EnsembleError: a level holds no models, or there is no such option.
    Source: Wolpert, Stacked generalization, Neural Networks 5 (1992); van der Laan, Polley and Hubbard 2007.
    """
    return Stack(levels, plan, seed, passthrough, preprocessing, run_save_name, options)


def restricted(splits: Splits, rows: RowNumbers, level: int) -> Splits:
    """Return splits of some rows alone, which are numbered anew; members that lose all rows of a part are left out.

    Args:
        splits: of all rows. rows: that stay. level: to train on them, for messages.
    Raises: EnsembleError: no member is left.
    """
    if len(rows) == splits.row_count:
        return splits
    places = np.full(splits.row_count, -1, dtype=np.int64)
    places[rows] = np.arange(len(rows))
    parts = [Split(*(found[found >= 0] for found in (places[one.train], places[one.valid]))) for one in splits]
    kept = tuple(part for part in parts if len(part.train) and len(part.valid))
    if not kept:
        raise EnsembleError(
            f"{splits.description} leaves level {level} no rows to train on: the level below has predicted {len(rows)} "
            f"of {splits.row_count} rows, and no member has some of them in both parts; use folds, or more bags"
        )
    if len(kept) < len(parts):
        _log.info("level %d has %d of %d members: the others have no predicted rows", level, len(kept), len(parts))
    description = f"{splits.description}, rows predicted below level {level}"
    return replace(splits, description=description, row_count=len(rows), members=kept)


def _taken(
    observations: Observations, rows: RowNumbers, below: StackLevel, kept: RowNumbers, passthrough: bool
) -> Observations:
    """Return the observations of the next level: out-of-fold predictions of the level below."""
    columns = below.columns({name: result.oof[kept] for name, result in below.results.items()})
    X = _inputs(take(observations.X, rows) if passthrough else None, columns, passthrough)
    names = ("y", "ids", "groups", "weights")
    values = {name: getattr(observations, name) for name in names}
    return Observations(X, **{name: None if value is None else value[rows] for name, value in values.items()})


def _inputs(X: Any, columns: NDArray[Any], passthrough: bool) -> Any:
    return {RAW: X, PREDICTIONS: columns} if passthrough else columns

"""Blend ensembles that have been trained by runs: find them, match their rows, and keep what comes out.

blend_runs
    EnsembleFolder.read   each one's predictions, ids and targets
    matched               rows in one order
    blending.blend        a weight for each
write_blend               predictions with ids, and blend.json last
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpipeline.ensemble.blending import Blend, blend
from mlpipeline.ensemble.ensemble_folder import (
    SUMMARY_FILE,
    EnsembleFolder,
    FinishedEnsemble,
)
from mlpipeline.ensemble.member_files import cannot_write, packed_npy
from mlpipeline.ensemble.scores import read_metric
from mlpipeline.ensemble.targets import read_targets
from mlpipeline.errors import EnsembleError
from mlpipeline.files import replace_file
from mlpipeline.project import folder_suffix
from mlpipeline.records import dumps

FORMAT = 1
BLEND_FILE = "blend.json"


@dataclass(frozen=True, eq=False)
class BlendedRuns:
    """What several ensembles say together.

    Args:
        blend: of the training rows, in the order of `ids`.
        ids, y: of these rows.
        test, test_ids, test_y: blended predictions of the test rows, their ids and targets; None where not all
            ensembles have them.
        test_scores: of each ensemble's predictions of the test rows, by name, and under "" of the blended ones.
    """

    blend: Blend
    ids: NDArray[Any]
    y: NDArray[Any]
    test: NDArray[Any] | None = None
    test_ids: NDArray[Any] | None = None
    test_y: NDArray[Any] | None = None
    test_scores: Mapping[str, float] | None = None


def find_ensembles(model_ckpts_dir: Path) -> dict[tuple[str, str], Path]:
    """Return the folders of finished ensembles by script and version.

    Raises: EnsembleError: the summary of one is damaged.
    """
    found = {}
    for path in sorted(model_ckpts_dir.glob(f"**/{SUMMARY_FILE}")):
        summary = EnsembleFolder(path.parent).summary()
        place = path.parent.relative_to(model_ckpts_dir).as_posix()
        if summary is not None and place.endswith(ending := f"-{folder_suffix(summary['suffix'])}"):
            found[f"{place.removesuffix(ending)}.py", str(summary["ensemble"])] = path.parent
    return found


def blend_runs(folders: Mapping[str, Path], metric: str | None = None, method: str = "hill_climbing") -> BlendedRuns:
    """Blend the out-of-fold predictions of finished ensembles, and their predictions of the test rows.

    Args:
        folders: of the ensembles, by the names that they are to have in the blend.
        metric, method: as for `blend`.
    Raises: EnsembleError: there are fewer than two, one is not finished, or they differ in rows or targets.
    """
    if len(folders) < 2:
        raise EnsembleError(f"a blend needs at least two finished ensembles, but got {', '.join(folders) or 'none'}")
    finished = {name: EnsembleFolder(path).read() for name, path in folders.items()}
    first, *others = finished
    for other in others:
        _check_same_targets((first, other), (finished[first], finished[other]))
    base = finished[first]
    oof = {name: each.oof[_places(base.ids, each.ids, (first, name))] for name, each in finished.items()}
    for name, each in finished.items():
        y = each.y[_places(base.ids, each.ids, (first, name))]
        if not np.array_equal(y, base.y):
            raise EnsembleError(
                f"{first} and {name} know rows of the same ids by other targets; train both on the same"
            )
    made = blend(oof, base.y, metric, method=method, task=base.summary["targets"])
    return _with_test_rows(BlendedRuns(made, base.ids, base.y), finished)


def write_blend(blended: BlendedRuns, folder: Path, sources: Mapping[str, str]) -> None:
    """Write blended predictions with ids and targets and, last, `blend.json` with the weights.

    Args:
        blended: what is written. folder: where. sources: by name, where each ensemble was read.
    Raises: EnsembleError: there is no room, or no permission.
    """
    made, scores = blended.blend, blended.test_scores or {}
    arrays = {
        "oof_train": made.oof,
        "oof_train_ids": blended.ids,
        "y_train": blended.y,
        "oof_test": blended.test,
        "oof_test_ids": blended.test_ids,
        "y_test": blended.test_y,
    }
    summary = {
        "format": FORMAT,
        "metric": made.metric,
        "method": made.method,
        "score": made.score,
        "cross_validated_score": made.cross_validated_score,
        "test_score": scores.get(""),
        "rows_left_out": made.left_out,
        "weights": made.weights,
        "ensembles": {
            name: {"weight": weight, "score": made.scores[name], "test_score": scores.get(name), "from": sources[name]}
            for name, weight in made.weights.items()
        },
    }
    try:
        (folder / BLEND_FILE).unlink(missing_ok=True)
        for name, array in arrays.items():
            if array is None:
                (folder / f"{name}.npy").unlink(missing_ok=True)
            else:
                replace_file(folder / f"{name}.npy", packed_npy(array))
        replace_file(folder / BLEND_FILE, f"{json.dumps(json.loads(dumps(summary)), indent=1)}\n")
    except OSError as error:
        raise cannot_write(folder, error) from error


def _with_test_rows(blended: BlendedRuns, finished: Mapping[str, FinishedEnsemble]) -> BlendedRuns:
    first, base = next(iter(finished.items()))
    if any(each.test is None for each in finished.values()) or base.test_ids is None:
        return blended
    places = {name: _places(base.test_ids, each.test_ids, (first, name), "test ") for name, each in finished.items()}
    tests = {name: each.test[places[name]] for name, each in finished.items() if each.test is not None}
    test = blended.blend.predict(tests)
    scores = None
    if base.test_y is not None:
        _, targets = read_targets(base.y, base.summary["targets"])
        metric = read_metric(blended.blend.metric, targets)
        scores = {name: metric(targets, base.test_y, predictions) for name, predictions in {**tests, "": test}.items()}
    return BlendedRuns(blended.blend, blended.ids, blended.y, test, base.test_ids, base.test_y, scores)


def _check_same_targets(names: tuple[str, str], ensembles: tuple[FinishedEnsemble, FinishedEnsemble]) -> None:
    first, second = (each.summary for each in ensembles)
    if (first["targets"], first["classes"]) != (second["targets"], second["classes"]):
        what = [f"{each['targets']}{' ' + str(each['classes']) if each['classes'] else ''}" for each in (first, second)]
        raise EnsembleError(f"{names[0]} predicts {what[0]:.80} and {names[1]} {what[1]:.80}; they cannot be blended")


def _places(
    wanted: NDArray[Any], ids: NDArray[Any] | None, names: tuple[str, str], kind: str = ""
) -> NDArray[np.int64]:
    """Return where the wanted ids are among those of an ensemble."""
    assert ids is not None
    order = np.argsort(ids, kind="stable")
    in_order = ids[order]
    if (in_order[1:] == in_order[:-1]).any():
        raise EnsembleError(f"{names[1]} has {kind}rows with the same id, by which rows cannot be matched")
    if len(ids) != len(wanted) or not np.array_equal(np.sort(wanted), in_order):
        raise EnsembleError(
            f"{names[0]} and {names[1]} have other {kind}rows: {len(wanted)} and {len(ids)}, "
            f"{len(np.intersect1d(wanted, ids))} of them in both; blend ensembles of the same rows"
        )
    return np.asarray(order[np.searchsorted(in_order, wanted)], dtype=np.int64)

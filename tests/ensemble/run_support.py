"""Small runs on iris, for the tests of their files."""

from __future__ import annotations

from typing import Any

from sklearn.datasets import load_iris
from sklearn.naive_bayes import GaussianNB

from mlpipeline.ensemble import Ensemble, StratifiedFolds

X, Y = load_iris(return_X_y=True)
X_TEST = X[::10] + 0.1


def ensemble(src_dir: Any, name: str | None = "iris", **arguments: Any) -> Ensemble:
    """Return an ensemble that keeps its files, without the picture, which takes a second."""
    chosen = {"trainer": GaussianNB(), "plan": StratifiedFolds(3), "save_history": False, **arguments}
    return Ensemble(**chosen, run_save_name=name, src_dir=src_dir)

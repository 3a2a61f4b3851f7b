"""Estimators of scikit-learn and what behaves like them: copies that draw with a member's seed."""

from __future__ import annotations

from typing import Any

from mlpipeline.errors import EnsembleError


def seeded_copy(estimator: Any, seed: int, name: str) -> Any:
    """Return an unfitted copy; what it draws with is seeded where the user has left it open, nested estimators too.

    Args:
        estimator: with `get_params`. seed: of a member. name: what to call it in messages.
    Raises: EnsembleError: it cannot be copied.
    """
    from sklearn.base import clone

    try:
        copied = clone(estimator)
    except (TypeError, RuntimeError) as error:
        raise EnsembleError(f"{name} cannot be copied, which each member needs: {error}") from error
    parameters = copied.get_params()
    names = [key for key in parameters if key == "random_state" or key.endswith("__random_state")]
    unset = {key: seed % 2**32 for key in names if parameters[key] is None}
    return copied.set_params(**unset) if unset else copied

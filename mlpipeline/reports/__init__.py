"""Records -> what people look at: tables, curves, a page. The journals are read, and no daemon is asked.

Names are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlpipeline.reports.figures import (
        confusion_matrix,
        curves_figure,
        parallel_coordinates,
        parameter_importance,
        residuals,
    )
    from mlpipeline.reports.frames import compare, learning_curves, runs
    from mlpipeline.reports.mlflow_upload import mlflow_sync
    from mlpipeline.reports.report import write_report
    from mlpipeline.reports.single import diff, logs, show, status

_HOMES = {
    "compare": "frames",
    "confusion_matrix": "figures",
    "curves_figure": "figures",
    "diff": "single",
    "learning_curves": "frames",
    "logs": "single",
    "mlflow_sync": "mlflow_upload",
    "parallel_coordinates": "figures",
    "parameter_importance": "figures",
    "residuals": "figures",
    "runs": "frames",
    "show": "single",
    "status": "single",
    "write_report": "report",
}
__all__ = [
    "compare",
    "confusion_matrix",
    "curves_figure",
    "diff",
    "learning_curves",
    "logs",
    "mlflow_sync",
    "parallel_coordinates",
    "parameter_importance",
    "residuals",
    "runs",
    "show",
    "status",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__

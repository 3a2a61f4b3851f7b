"""Records -> what people look at: tables, curves, a page. The journals are read, and no daemon is asked.

Names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlpipeline.lazy import lazy_names

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

__getattr__, __dir__ = lazy_names(__name__, _HOMES)

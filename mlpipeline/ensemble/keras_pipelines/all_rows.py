"""AllRows: the plan of a single model that is trained on every row and judged by none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mlpipeline.ensemble.base_plan import Plan
from mlpipeline.ensemble.splits import FULL, Split, Splits


@dataclass(frozen=True)
class AllRows(Plan):
    """One member, `full0`, with all rows."""

    kind = FULL

    @property
    def member_count(self) -> int:
        return 1

    def split(
        self, row_count: int, classes: ArrayLike | None = None, groups: ArrayLike | None = None, seed: int = 0
    ) -> Splits:
        none: Any = np.empty(0, dtype=np.int64)
        return Splits(self.kind, repr(self), seed, row_count, (Split(np.arange(row_count), none),))

"""Observer: what metrics and explorers share. They look at nodes and are run only when asked for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from mlpipeline.dataflow.layer import StatelessLayer
from mlpipeline.dataflow.node import Node
from mlpipeline.dataflow.spec import Array
from mlpipeline.errors import PipelineError


class Observer(StatelessLayer):
    """A layer whose result is no array of observations. Extend `Metric` or an explorer."""

    is_observer: ClassVar[bool] = True
    role: ClassVar[str]  # "metrics" or "explorers": where a pipeline takes it

    def __call__(self, nodes: Node | Sequence[Node], name: str | Sequence[str] | None = None) -> Any:
        """Look at nodes under a name.

        Raises: PipelineError: there is no name to know the result by.
        """
        if name is None:
            kind = type(self).__name__
            raise PipelineError(f"{kind} needs a name to know its result by: {kind}(...)(nodes, 'name')")
        return super().__call__(nodes, name)

    @abstractmethod
    def observe(self, *arrays: Array, names: Sequence[str] = ()) -> Any:
        """Return what is seen.

        Args:
            arrays: the values of the nodes over all observations.
            names: of the nodes.
        """

"""The states of all random generators that a training may draw from."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor


class RandomStates:
    """Captures the states of Python's, NumPy's and torch's generators, again and again."""

    def __init__(self) -> None:
        self._python: tuple[Any, ...] | None = None
        self._python_words = torch.empty(0)

    def capture(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return the states, as numbers and as the words of each generator by name."""
        version, words, gauss = random.getstate()
        if words != self._python:
            self._python, self._python_words = words, _as_tensor(np.array(words, dtype=np.uint32))
        name, keys, *rest = cast(tuple[Any, ...], np.random.get_state(legacy=True))
        tensors = {"python": self._python_words, "numpy": _as_tensor(keys), "torch": torch.get_rng_state()}
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            tensors |= {f"cuda{index}": state for index, state in enumerate(torch.cuda.get_rng_state_all())}
        return {"python": (version, gauss), "numpy": (name, *rest)}, tensors

    @staticmethod
    def restore(numbers: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Set all generators to captured states."""
        version, gauss = numbers["python"]
        random.setstate((version, tuple(_as_words(tensors["python"]).tolist()), gauss))
        name, *rest = numbers["numpy"]
        np.random.set_state((name, _as_words(tensors["numpy"]), *rest))
        torch.set_rng_state(tensors["torch"])
        cuda = [state for name, state in tensors.items() if name.startswith("cuda")]
        if cuda and torch.cuda.device_count() == len(cuda):
            torch.cuda.set_rng_state_all(cuda)


def _as_tensor(words: np.ndarray[Any, np.dtype[np.uint32]]) -> Tensor:
    # the same bits under a type that torch computes with
    return torch.from_numpy(words.view(np.int32))


def _as_words(tensor: Tensor) -> np.ndarray[Any, np.dtype[np.uint32]]:
    return tensor.numpy().view(np.uint32)

"""Where and in which precision a network is trained: device, bfloat16, memory layout, threads."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mlpipeline.errors import ScriptError
from mlpipeline.pytorch.batches import Rows

PRECISIONS = ("auto", "float32", "bfloat16")

# below so many multiplications a step, a second thread costs more than it gives
_SMALL_STEP = 2**24


@dataclass(frozen=True)
class Placement:
    """Where a network and its batches live.

    Args:
        device: of the network and of each batch.
        uses_bfloat16: forward passes run under autocast; the weights stay float32.
        uses_channels_last: images are laid out with their channels innermost.
    """

    device: torch.device
    uses_bfloat16: bool
    uses_channels_last: bool

    def place(self, network: nn.Module) -> nn.Module:
        """Move the network to its device and layout."""
        if self.uses_channels_last:
            # torch's overloads for a memory format are not typed for a module
            return network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
        return network.to(self.device)

    def inputs(self, inputs: Tensor) -> Tensor:
        """Return a batch of inputs where and how the network needs it."""
        if self.uses_channels_last and inputs.ndim == 4:
            return inputs.to(self.device, memory_format=torch.channels_last, non_blocking=True)
        return inputs.to(self.device, non_blocking=True)

    def rows(self, rows: Rows) -> Rows:
        """Return rows on the device if they take less than half of what is free there, else as they are."""
        if self.device.type != "cuda" or rows.byte_count > torch.cuda.mem_get_info(self.device)[0] // 2:
            return rows
        return rows.to(self.device)

    def is_met_by(self, rows: Rows) -> bool:
        """Say whether batches of these rows are already where and how the network needs them."""
        return rows.inputs.device.type == self.device.type and not self.uses_channels_last

    def forward_context(self) -> AbstractContextManager[Any]:
        """Return the context that forward passes run in."""
        if not self.uses_bfloat16:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


def choose_placement(version: Mapping[str, Any], input_rank: int) -> Placement:
    """Choose from the version's `device` and `precision`, or from what the machine has.

    bfloat16 is chosen for images only, where a processor or GPU computes it natively: for rows of
    a table a step is so short that converting costs more than it saves.

    Args:
        version: may hold `device` ("cpu", "cuda:0", "mps") and `precision` ("auto", "float32", "bfloat16").
        input_rank: the number of dimensions of a batch; 4 means images.

    Raises: ScriptError: the device is not there, or the precision unknown.
    """
    precision = version.get("precision", "auto")
    if precision not in PRECISIONS:
        raise ScriptError(f"precision must be one of {', '.join(PRECISIONS)}, but version has {precision!r}")
    device = _choose_device(version.get("device"))
    is_image = input_rank == 4
    chosen = is_image and _has_bfloat16(device) if precision == "auto" else precision == "bfloat16"
    return Placement(device, chosen, is_image)


def limit_threads(placement: Placement, network: nn.Module, inputs: Tensor) -> None:
    """Compute on one thread where steps are too small to be shared: rows of a table, a small network."""
    multiplications = sum(parameter.numel() for parameter in network.parameters()) * len(inputs)
    if placement.device.type == "cpu" and inputs.ndim == 2 and multiplications < _SMALL_STEP:
        torch.set_num_threads(1)


def _choose_device(wanted: object) -> torch.device:
    if wanted is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(str(wanted))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ScriptError(f"device {wanted!r} cannot be used here ({error}); leave it out, or use 'cpu'") from error
    return device


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # torch before 2.7 does not tell
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)() if device.type == "cpu" else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))

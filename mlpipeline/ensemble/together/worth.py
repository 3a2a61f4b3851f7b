"""Whether training all members at once is faster than one after the other."""

from __future__ import annotations

from mlpipeline.ensemble.torch_member import TorchMember


def why_not_worth(member: TorchMember, batch_size: int) -> str | None:
    return None

"""What a checkpoint belongs to, as JSON: the parameters, the network, the optimizer, the data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer

from mlpipeline.description import describe as described
from mlpipeline.model import DataLoader
from mlpipeline.versions import version_parameters

# none of these changes what a trained step did
_WITHOUT_EFFECT = (version_parameters.NAME, version_parameters.ORDER, version_parameters.MODEL_DIR_SUFFIX)


def describe(version: Mapping[str, Any], network: nn.Module, optimizer: Optimizer, *, ends_matter: bool) -> str:
    """Return, as JSON, all that must be the same for a checkpoint to be gone on from.

    Args:
        version: the parameters.
        ends_matter: the number of epochs counts as well, since a schedule is laid out over them;
            otherwise a training may be continued for more.
    """
    left_out = _WITHOUT_EFFECT if ends_matter else (*_WITHOUT_EFFECT, version_parameters.EPOC_COUNT)
    parameters = {key: described(value) for key, value in version.items() if key not in left_out}
    loader = version[version_parameters.DATALOADER]
    if isinstance(loader, DataLoader):
        parameters["training rows"] = loader.get_train_sample_count()
    layers = {name: f"{list(values.shape)} {values.dtype}" for name, values in network.state_dict().items()}
    return json.dumps({**parameters, "optimizer": type(optimizer).__name__, "network": layers})


def first_difference(saved: str, present: str) -> str | None:
    """Return where two descriptions differ, in words, or None."""
    old, new = json.loads(saved), json.loads(present)
    for key in sorted({*old, *new}):
        before, now = old.get(key), new.get(key)
        if before != now:
            return f"another {key}" if isinstance(now, dict) else f"{key} was {before!r}, is {now!r}"
    return None

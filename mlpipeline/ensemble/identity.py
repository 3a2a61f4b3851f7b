"""Identity: what makes two runs the same work, so that one can go on where the other has stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from mlpipeline.description import describe
from mlpipeline.ensemble.fingerprint import fingerprint
from mlpipeline.ensemble.member import Work
from mlpipeline.ensemble.observations import digest
from mlpipeline.records import dumps

Identity = dict[str, dict[str, str]]
DATA = ("plan", "X", "y")
_NOTHING = {"text": "nothing"}
_LONGEST = 100


def identity_of(work: Work) -> Identity:
    """Return, by name, hashes of data and of all that trains a member, with a readable text for the latter.

    A field of the trainer that is declared with `field(compare=False)` changes no result and is left out.
    """
    rows = work.observations
    data = {"X": rows.X, "y": rows.y, "groups": rows.groups, "weights": rows.weights, "X_test": work.X_test}
    means = {
        **_trainer_parts(work.trainer),
        "preprocessing": work.preprocessing,
        "metrics": dict(work.metrics),
        "stopping_size": work.stopping_size,
        "class_weight": work.class_weight,
        "seed": work.seed,
    }
    return {
        "plan": {"hash": work.splits.digest, "text": work.splits.description},
        **{name: {"hash": digest(value)} for name, value in data.items()},
        **{name: {"hash": fingerprint(value), "text": _text(value)} for name, value in means.items()},
    }


def differences(kept: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Say in which parts two identities differ, a phrase for each: `the data of X differ`."""
    different = [name for name in {**now, **kept} if kept.get(name, {}).get("hash") != now.get(name, {}).get("hash")]
    if "trainer" in different:  # of another kind: its arguments are others too
        different = [name for name in different if not name.startswith("trainer.")]
    return [_difference(name, kept.get(name, _NOTHING), now.get(name, _NOTHING)) for name in different]


def _difference(name: str, kept: Mapping[str, str], now: Mapping[str, str]) -> str:
    if "text" not in kept or "text" not in now:
        return f"the data of {name} differ"
    was, becomes = kept["text"], now["text"]
    if was == becomes:
        return f"the {'rows' if name == 'plan' else 'code or content'} of {name} differ"
    return f"{name} was {_around(was, becomes)} and is {_around(becomes, was)}"


def _around(text: str, other: str) -> str:
    """Return a text or, if it is long, the part of it that begins to differ from another."""
    if len(text) <= _LONGEST:
        return text
    pairs = enumerate(zip(text, other, strict=False))
    start = max(0, next((place for place, (one, two) in pairs if one != two), len(other)) - 20)
    return f"{'...' if start else ''}{text[start : start + _LONGEST]}..."


def _trainer_parts(trainer: Any) -> dict[str, Any]:
    if not is_dataclass(trainer):
        return {"trainer": trainer}
    parts = {f"trainer.{item.name}": getattr(trainer, item.name) for item in fields(trainer) if item.compare}
    return {"trainer": type(trainer), **parts}


def _text(value: Any) -> str:
    described = describe(value)
    return described if isinstance(described, str) else dumps(described)

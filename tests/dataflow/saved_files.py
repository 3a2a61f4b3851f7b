"""Files of saved pipelines, written and changed as an attacker could."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlpipeline.dataflow.saving import archive
from mlpipeline.dataflow.saving.codec import Decoder, Encoder
from mlpipeline.dataflow.saving.trust import Trust


def through_a_file(value: Any, path: Path, trusted: Any = ()) -> Any:
    """Write a value into an archive, and read it again."""
    encoder = Encoder()
    told = encoder.encode(value, "the value")
    archive.write(path, {"format": 1, "value": told}, encoder.parts).replace(path)
    document, parts = archive.read(path)
    decoder = Decoder(parts, Trust(trusted))
    decoder.trust.check(decoder.names(document["value"]), path)
    return decoder.decode(document["value"])


def changed(path: Path, change: Callable[[Any, Any], object]) -> Path:
    """Write a file again after a change of its description and parts, with digests that fit."""
    document, parts = archive.read(path)
    change(document, parts)
    kept = {name: bytes(part) for name, part in parts.items() if name != "README.txt"}
    return archive.write(path, document, kept).replace(path)

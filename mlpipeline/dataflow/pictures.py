"""What pictures and tables need: the packages of the extra `plot`, files by their suffix, numbers with a noun."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from mlpipeline.errors import PipelineError
from mlpipeline.files import replace_file

_PACKAGES = {"altair": "altair", "igraph": "igraph", "vl_convert": "vl-convert-python"}


def plot_module(name: str) -> Any:
    """Return a module of the extra `plot`.

    Raises: PipelineError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError:
        raise PipelineError(f'pictures need {_PACKAGES[name]}: pip install "mlpipeline[plot]"') from None


def checked_suffix(path: str | Path, suffixes: tuple[str, ...]) -> str:
    """Return the suffix of a path in lower case.

    Raises: PipelineError: it is none of these.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in suffixes:
        expected = " or ".join([", ".join(suffixes[:-1]), suffixes[-1]])
        raise PipelineError(f"expected a path that ends in {expected}, but got {str(path)!r}")
    return suffix


def write_picture(path: str | Path, content: str | bytes) -> Path:
    """Write a picture as a whole; its folder is made if it is missing.

    Raises: PipelineError: it cannot be written there.
    """
    try:
        replace_file(Path(path), content)
    except OSError as error:
        raise PipelineError(f"the picture cannot be written to {path}: {error.strerror or error}") from None
    return Path(path)


def as_png(svg: str, scale: float = 2.0) -> bytes:
    """Return an SVG as PNG, `scale` pixels for each of its own."""
    png: bytes = plot_module("vl_convert").svg_to_png(svg, scale=scale)
    return png


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: 1 value, 1,200 values."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"

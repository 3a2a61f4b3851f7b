"""Image files as rows: read by number from the user's folder, in which nothing is ever written, moved or deleted."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlpipeline.ensemble.splits import RowNumbers
from mlpipeline.errors import EnsembleError, did_you_mean

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
_log = logging.getLogger(__name__)
_NAMED = 10  # files that a message names
_MOST_THREADS = 4  # decoding gives the interpreter free, but not all of the work on a small image


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Images of a folder, decoded when they are read; a `Source` of rows that pickles small.

    An image is turned as its EXIF orientation says, converted to the colour mode, and resized bilinearly with its
    detail averaged, as `keras.utils.load_img(interpolation="bilinear")` does; of an animation it is the first frame,
    and 16 bits a pixel become 8.

    Args:
        folder: that all lie in.
        ids: [n], their paths relative to it, with /, in sorted order.
        labels: [n], numbers of their classes; None without classes.
        classes: names, in the order of their numbers; () without classes.
        image_size: (height, width) that all are given. color_mode: "rgb", "grayscale" or "rgba".
    """

    folder: Path
    ids: NDArray[np.str_]
    labels: NDArray[np.int64] | None
    classes: tuple[str, ...]
    image_size: tuple[int, int]
    color_mode: str = "rgb"

    @classmethod
    def from_folder(
        cls,
        folder: str | Path,
        image_size: Sequence[int],
        classes: Sequence[str] | None = None,
        color_mode: str = "rgb",
        skip_unreadable: bool = False,
    ) -> ImageFiles:
        """Find the images of a folder; hidden files and files of other kinds are passed over.

        Each file's header is read, which finds what is no image. A file that is cut short is found when it is read,
        or at once with `skip_unreadable`.

        Args:
            folder: with a folder of images a class, at any depth, or with images alone.
            image_size: (height, width).
            classes: names of folders, in the order of their numbers; all folders, sorted, if None; () takes all
                images at any depth, without labels.
            color_mode: "rgb", "grayscale" or "rgba".
            skip_unreadable: leave out images that cannot be decoded, for which each is decoded once.
        Raises: EnsembleError: the folder is missing or has no images, a class is missing or empty, images lie beside
            the folders of classes, or images cannot be read.
        """
        if color_mode not in MODES:
            raise EnsembleError(f"color_mode must be one of {', '.join(MODES)}, but got {color_mode!r}")
        size, root = _read_size(image_size), Path(folder).absolute()
        if not root.is_dir():
            raise EnsembleError(f"there is no folder of images {root}")
        names = _class_names(root, classes)
        found = _find(root, names)
        labels = np.array([number for _, number in found], dtype=np.int64) if names else None
        files = cls(root, np.array([path for path, _ in found]), labels, tuple(names), size, color_mode)
        return files._checked(skip_unreadable)

    @property
    def paths(self) -> list[Path]:
        """Where the images lie, [n]."""
        return [self.folder / name for name in self.ids]

    def __len__(self) -> int:
        return len(self.ids)

    def take_rows(self, rows: RowNumbers) -> ImageFiles:
        return replace(self, ids=self.ids[rows], labels=None if self.labels is None else self.labels[rows])

    def read(self, rows: RowNumbers) -> NDArray[np.float32]:
        """Return images, float32[len(rows), height, width, channels] from 0 to 255.

        Raises: EnsembleError: files cannot be decoded; names them.
        """
        names, mode = self.ids[rows], MODES[self.color_mode]
        images = np.empty((len(names), *self.image_size, len(mode)), dtype=np.float32)

        def place(row: int) -> None:
            images[row] = _pixels(self.folder / names[row], self.image_size, mode).reshape(images.shape[1:])

        _refuse(self.folder, _failures(names, place))
        return images

    def digest(self) -> str:
        """Return a hash of names, contents, labels and treatment of the images, wherever the folder lies.

        Raises: EnsembleError: files cannot be read.
        """
        contents = [b""] * len(self)

        def place(row: int) -> None:
            contents[row] = hashlib.sha256((self.folder / self.ids[row]).read_bytes()).digest()

        _refuse(self.folder, _failures(self.ids, place))
        labels = None if self.labels is None else self.labels.tolist()
        head = json.dumps([self.image_size, self.color_mode, self.classes, labels, self.ids.tolist()])
        return hashlib.sha256(head.encode() + b"".join(contents)).hexdigest()[:32]

    def _checked(self, skips_unreadable: bool) -> ImageFiles:
        """Return the images that can be read. Raises: EnsembleError: none can, or some cannot and none is left out."""
        size, mode = self.image_size, MODES[self.color_mode]

        def check(row: int) -> None:
            path = self.folder / self.ids[row]
            _pixels(path, size, mode) if skips_unreadable else _check_header(path)

        failures = _failures(self.ids, check)
        if not skips_unreadable or len(failures) == len(self):
            _refuse(self.folder, failures)
        if failures:
            _log.warning("left out %d images that cannot be read: %s", len(failures), _text(failures))
        readable = self.take_rows(np.setdiff1d(np.arange(len(self)), [row for row, _ in failures]))
        if readable.labels is not None:
            gone = [name for number, name in enumerate(self.classes) if number not in readable.labels]
            if gone:
                raise EnsembleError(f"no image of the classes {', '.join(gone)} in {self.folder} can be read")
        return readable


def _class_names(root: Path, classes: Sequence[str] | None) -> list[str]:
    """Return the names of the folders of classes; none where images lie in the folder itself.

    Raises: EnsembleError: a class has no folder, or it is unclear where the images of a class lie.
    """
    folders = sorted(each.name for each in root.iterdir() if each.is_dir() and not each.name.startswith("."))
    if classes is None:
        beside = sorted(each.name for each in root.iterdir() if _is_image(each.name) and each.is_file())
        if folders and beside:
            raise EnsembleError(
                f"{root} has {len(beside)} images beside its {len(folders)} folders ({beside[0]}); name the folders "
                "that are classes (classes=[...]), or pass classes=() to take all images without labels"
            )
        return folders
    if isinstance(classes, str):
        raise EnsembleError(f"classes must be a list of names of folders, but got {classes!r}")
    for name in classes:
        if name not in folders:  # which refuses a path that leads elsewhere, too
            raise EnsembleError(
                f"{root} has no folder of the class {name!r}{did_you_mean(str(name), folders)}; it has "
                f"{', '.join(folders) or 'none'}"
            )
    if len(set(classes)) != len(classes):
        raise EnsembleError(f"classes must differ, but got {', '.join(classes)}")
    return list(classes)


def _find(root: Path, names: Sequence[str]) -> list[tuple[str, int]]:
    """Return path and class of each image, sorted by path, which is the same order on every machine.

    Raises: EnsembleError: there are none, or none of a class.
    """
    by_class = [_image_paths(root, name) for name in names] or [_image_paths(root, "")]
    empty = [name for name, paths in zip(names, by_class, strict=False) if not paths]
    if empty or not by_class[0]:
        where = f"the class folders {', '.join(empty)} of {root}" if empty else str(root)
        raise EnsembleError(f"there are no images in {where}; expected files that end in {', '.join(SUFFIXES)}")
    return sorted((path, number) for number, paths in enumerate(by_class) for path in paths)


def _image_paths(root: Path, name: str) -> list[str]:
    """Return the images in a folder and its folders, as paths relative to the root with /."""

    def refuse(error: OSError) -> None:
        raise EnsembleError(f"a folder of images cannot be read: {error}") from error

    paths = []
    for folder, folders, files in os.walk(root / name, onerror=refuse):
        folders[:] = [each for each in folders if not each.startswith(".")]
        inside = Path(folder).relative_to(root)
        paths += [(inside / file).as_posix() for file in files if _is_image(file)]
    return paths


def _is_image(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def _read_size(image_size: Sequence[int]) -> tuple[int, int]:
    sizes = tuple(image_size) if isinstance(image_size, Sequence) else ()
    if len(sizes) != 2 or not all(isinstance(size, int | np.integer) and size > 0 for size in sizes):
        raise EnsembleError(f"image_size must be (height, width) in pixels, but got {image_size!r}")
    return int(sizes[0]), int(sizes[1])


def _check_header(path: Path) -> None:
    from PIL import Image

    with Image.open(path) as image:
        image.verify()


def _pixels(path: Path, image_size: tuple[int, int], mode: str) -> NDArray[np.uint8]:
    """Return an image as it is shown, in a size and mode of Pillow."""
    from PIL import Image, ImageOps

    with Image.open(path) as image:
        image.load()  # which opening puts off
        ImageOps.exif_transpose(image, in_place=True)
        shown = _in_mode(image, mode)
    if shown.size != image_size[::-1]:
        shown = shown.resize(image_size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(shown)


def _in_mode(image: Image, mode: str) -> Image:
    from PIL.Image import fromarray

    if image.mode == "F":
        raise ValueError("it holds fractions, whose range is unknown")
    if image.mode.startswith("I"):  # 16 bits, which Pillow would cut off at 255
        image = fromarray((np.asarray(image).clip(0, 65535) / 257).round().astype(np.uint8))
    return image if image.mode == mode else image.convert(mode)


def _failures(names: NDArray[np.str_], work: Callable[[int], None]) -> list[tuple[int, str]]:
    """Do some work for each row in a few threads; return the rows for which it failed, and why."""
    threads = max(1, min(_MOST_THREADS, os.cpu_count() or 1, len(names)))

    def some(first: int) -> list[tuple[int, str]]:
        failed = []
        for row in range(first, len(names), threads):
            try:
                work(row)
            except Exception as error:  # a decoder may raise anything for a damaged file
                failed.append((row, f"{names[row]} ({type(error).__name__}: {error})"))
        return failed

    with ThreadPoolExecutor(threads) as pool:
        return sorted(failure for failed in pool.map(some, range(threads)) for failure in failed)


def _refuse(folder: Path, failures: list[tuple[int, str]]) -> None:
    """Raises: EnsembleError: there are failures; names the first of them."""
    if not failures:
        return
    raise EnsembleError(
        f"{len(failures)} images in {folder} cannot be read: {_text(failures)}; mend them, or leave them out with "
        "skip_unreadable=True"
    )


def _text(failures: list[tuple[int, str]]) -> str:
    more = f"; and {len(failures) - _NAMED} more" if len(failures) > _NAMED else ""
    return "; ".join(text for _, text in failures[:_NAMED]) + more

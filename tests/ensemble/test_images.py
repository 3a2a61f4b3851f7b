"""Image files: found in one order, read as keras.utils.load_img reads them, and never touched."""

from __future__ import annotations

import logging
import os
import pickle
import shutil

import numpy as np
import pytest
from PIL import Image

from mlpipeline.ensemble import ImageFiles
from mlpipeline.ensemble.observations import Source, digest, take
from mlpipeline.errors import EnsembleError


def save(path, seed=0, size=(30, 20), mode="RGB", **options):
    """Write an image of smooth colours; its size is (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).convert(mode).save(path, **options)
    return path


@pytest.fixture
def animals(tmp_path):
    """Return a folder of two classes with three images each, in which other things lie about."""
    root = tmp_path / "animals"
    for number, name in enumerate(
        ["zebra/3.png", "zebra/1.jpg", "ape/b.PNG", "ape/a.bmp", "ape/more/c.webp", "zebra/2.gif"]
    ):
        save(root / name, seed=number)
    for name in (".DS_Store", "notes.txt", "ape/.hidden.png", "ape/list.csv", "zebra/.cache/x.png"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("no image")
    return root


def files_of(root):
    """Return what could be changed in a folder: names, times and contents."""
    return {path: (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"") for path in root.rglob("*")}


def cut(path):
    """Cut a file short, as an interrupted copy does."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def test_images_are_found_sorted_by_path_with_their_classes(animals):
    files = ImageFiles.from_folder(animals, (8, 9))
    assert files.ids.tolist() == [
        "ape/a.bmp", "ape/b.PNG", "ape/more/c.webp", "zebra/1.jpg", "zebra/2.gif", "zebra/3.png",
    ]  # fmt: skip
    assert files.classes == ("ape", "zebra")
    assert files.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert files.paths[0] == animals / "ape/a.bmp"
    assert isinstance(files, Source)


def test_classes_keep_the_order_that_is_given_and_others_are_left_out(animals):
    save(animals / "cat/1.png")
    files = ImageFiles.from_folder(animals, (8, 9), classes=["zebra", "ape"])
    assert files.classes == ("zebra", "ape")
    assert files.labels.tolist() == [1, 1, 1, 0, 0, 0]


def test_a_folder_of_images_alone_has_no_labels(animals):
    flat = ImageFiles.from_folder(animals / "zebra", (8, 9))
    assert (flat.labels, flat.classes, flat.ids.tolist()) == (None, (), ["1.jpg", "2.gif", "3.png"])
    everything = ImageFiles.from_folder(animals, (8, 9), classes=())
    assert everything.labels is None
    assert len(everything) == 6


def test_names_in_any_script_and_links_are_read(animals, tmp_path):
    save(animals / "ape/猿 é.png")
    (animals / "ape/link.png").symlink_to(save(tmp_path / "elsewhere/real.png", seed=7))
    (animals / "linked").symlink_to(tmp_path / "elsewhere")
    files = ImageFiles.from_folder(animals, (20, 30))
    assert {"ape/猿 é.png", "ape/link.png", "linked/real.png"} <= set(files.ids)
    by_name = dict(zip(files.ids, files.read(np.arange(len(files))), strict=True))
    np.testing.assert_array_equal(by_name["ape/link.png"], by_name["linked/real.png"])


@pytest.mark.parametrize("color_mode", ["rgb", "grayscale", "rgba"])
@pytest.mark.parametrize("image_size", [(20, 30), (8, 9), (50, 40)])
def test_images_are_those_of_keras(animals, color_mode, image_size):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    files = ImageFiles.from_folder(animals, image_size, color_mode=color_mode)
    images = files.read(np.arange(len(files)))
    assert images.dtype == np.float32
    for image, path in zip(images, files.paths, strict=True):
        loaded = keras.utils.load_img(path, color_mode, image_size, interpolation="bilinear")
        np.testing.assert_array_equal(image, keras.utils.img_to_array(loaded))


def test_rows_are_read_in_the_order_that_is_asked_for(animals):
    files = ImageFiles.from_folder(animals, (8, 9))
    everything = files.read(np.arange(6))
    rows = np.array([5, 0, 0, 3])
    np.testing.assert_array_equal(files.read(rows), everything[rows])
    taken = take(files, rows)
    np.testing.assert_array_equal(taken.read(np.array([3, 1])), everything[[3, 0]])
    assert (taken.labels.tolist(), taken.ids.tolist()) == (files.labels[rows].tolist(), files.ids[rows].tolist())


def test_sixteen_bits_become_eight_and_not_white(tmp_path):
    levels = np.array([[0, 257, 32_896, 65_535]], dtype=np.uint16)
    Image.fromarray(levels).save(tmp_path / "deep.png")
    image = ImageFiles.from_folder(tmp_path, (1, 4), color_mode="grayscale").read(np.array([0]))
    assert image.reshape(-1).tolist() == [0, 1, 128, 255]


def test_photos_are_turned_as_their_camera_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    plain, turned = save(tmp_path / "plain/1.png"), save(tmp_path / "turned/1.png", exif=exif)
    upright = ImageFiles.from_folder(turned.parent, (30, 20)).read(np.array([0]))[0]
    np.testing.assert_array_equal(
        upright, np.rot90(ImageFiles.from_folder(plain.parent, (20, 30)).read(np.array([0]))[0], -1)
    )


def test_nothing_in_the_users_folder_changes(animals):
    before = files_of(animals)
    files = ImageFiles.from_folder(animals, (8, 9), skip_unreadable=True)
    files.read(np.arange(6))
    files.digest()
    assert files_of(animals) == before


def test_the_digest_is_that_of_names_contents_and_treatment(animals, tmp_path):
    def digest_of(folder, size=(8, 9), **options):
        return digest(ImageFiles.from_folder(folder, size, **options))

    first = digest_of(animals)
    copy = shutil.copytree(animals, tmp_path / "copy", copy_function=shutil.copy)  # which sets times anew
    assert digest_of(copy) == first
    others = [digest_of(animals, (9, 8)), digest_of(animals, color_mode="rgba"), digest_of(animals, classes=["ape"])]
    save(copy / "ape/a.bmp", seed=99)
    others.append(digest_of(copy))
    (copy / "ape/a.bmp").rename(copy / "ape/aa.bmp")
    others.append(digest_of(copy))
    assert len({first, *others}) == 6


def test_files_go_to_another_process_as_names_alone(animals):
    content = pickle.dumps(ImageFiles.from_folder(animals, (800, 900)))
    assert len(content) < 2000
    assert len(pickle.loads(content)) == 6


# bad input


def test_files_that_are_no_images_are_all_named_at_once(animals):
    for number in range(11):
        (animals / f"ape/bad{number:02}.png").write_text("no image")
    with pytest.raises(
        EnsembleError, match=r"11 images in .* ape/bad00.png .* ape/bad09.png .*; and 1 more; .*skip_"
    ) as error:
        ImageFiles.from_folder(animals, (8, 9))
    assert "bad10" not in str(error.value)


@pytest.mark.parametrize("name", ["zebra/1.jpg", "zebra/2.gif", "zebra/3.png", "ape/a.bmp", "ape/more/c.webp"])
def test_a_file_that_was_cut_short_is_named_when_it_is_read_at_the_latest(animals, name):
    cut(animals / name)
    with pytest.raises(EnsembleError, match=f"1 images in .* cannot be read: {name}"):
        ImageFiles.from_folder(animals, (8, 9)).read(np.arange(6))


def test_a_damaged_png_is_named_at_once(animals):
    path = animals / "zebra/3.png"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(EnsembleError, match=r"1 images in .* cannot be read: zebra/3.png"):
        ImageFiles.from_folder(animals, (8, 9))


def test_unreadable_files_are_left_out_on_request(animals, caplog):
    readable = ImageFiles.from_folder(animals, (8, 9))
    expected = readable.read(np.array([1, 4, 5]))
    for name in ("zebra/1.jpg", "ape/a.bmp", "ape/more/c.webp"):
        cut(animals / name)
    with caplog.at_level(logging.WARNING):
        files = ImageFiles.from_folder(animals, (8, 9), skip_unreadable=True)
    assert (files.ids.tolist(), files.labels.tolist()) == (["ape/b.PNG", "zebra/2.gif", "zebra/3.png"], [0, 1, 1])
    np.testing.assert_array_equal(files.read(np.arange(3)), expected)
    assert "left out 3 images" in caplog.text
    assert "zebra/1.jpg" in caplog.text


def test_images_too_large_to_be_meant_are_refused(animals, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    with pytest.raises(EnsembleError, match=r"6 images .*\(DecompressionBombError"):
        ImageFiles.from_folder(animals, (8, 9))


def test_an_empty_class_is_named(animals):
    (animals / "dodo").mkdir()
    (animals / "dodo/notes.txt").write_text("extinct")
    with pytest.raises(EnsembleError, match="no images in the class folders dodo of"):
        ImageFiles.from_folder(animals, (8, 9))
    save(animals / "dodo/1.jpg")
    cut(animals / "dodo/1.jpg")
    with pytest.raises(EnsembleError, match=r"no image of the classes dodo in .* can be read"):
        ImageFiles.from_folder(animals, (8, 9), skip_unreadable=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"folder": "nowhere"}, "there is no folder of images .*nowhere"),
        ({"folder": "empty"}, "no images in .*empty; expected files that end in .bmp"),
        ({"classes": ["apes", "zebra"]}, "no folder of the class 'apes'; did you mean ape"),
        ({"classes": ["../animals/ape"]}, "no folder of the class"),
        ({"classes": ["ape", "ape"]}, "classes must differ"),
        ({"classes": "ape"}, "classes must be a list"),
        ({"image_size": 64}, r"image_size must be \(height, width\)"),
        ({"image_size": (64, 0)}, r"image_size must be \(height, width\)"),
        ({"color_mode": "RGB"}, "color_mode must be one of grayscale, rgb, rgba"),
    ],
)
def test_what_cannot_be_read_as_a_folder_of_images_is_refused(animals, arguments, message):
    (animals.parent / "empty").mkdir()
    folder = animals.parent / arguments.get("folder", "animals")
    with pytest.raises(EnsembleError, match=message):
        ImageFiles.from_folder(**{"image_size": (8, 9), **arguments, "folder": folder})


def test_images_beside_the_folders_of_classes_are_not_passed_over_in_silence(animals):
    save(animals / "preview.png")
    with pytest.raises(EnsembleError, match=r"1 images beside its 2 folders \(preview.png\)"):
        ImageFiles.from_folder(animals, (8, 9))
    assert len(ImageFiles.from_folder(animals, (8, 9), classes=["ape", "zebra"])) == 6

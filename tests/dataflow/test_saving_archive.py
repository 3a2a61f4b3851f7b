"""The file: damage, other files under its name, large parts."""

import pickle
import warnings
import zipfile

import numpy as np
import pytest

from mlpipeline.dataflow import Input, Pipeline, load_pipeline
from mlpipeline.dataflow.layers import Concatenate, StaticDot, Whiten
from mlpipeline.dataflow.saving import archive
from mlpipeline.errors import PipelineError

DATA = {"x": np.arange(8.0).reshape(4, 2)}


@pytest.fixture
def pipeline():
    x = Input("x", (2,))
    white = Whiten()(x, "white")
    return Pipeline(x, [white, StaticDot(np.eye(2))(white, "dot")], name="small", version=1).fit(DATA)


@pytest.fixture
def path(pipeline, tmp_path):
    return pipeline.save(tmp_path)


def rezipped(path, change, compression=zipfile.ZIP_STORED):
    """Write the entries of a zip archive again after a change of the list of them."""
    with zipfile.ZipFile(path) as before:
        entries = [(name, before.read(name)) for name in before.namelist()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of doubled names
        with zipfile.ZipFile(path, "w", compression) as after:
            for name, content in change(entries):
                after.writestr(name, content)
    return path


def test_a_flipped_bit_is_told_or_changes_nothing(pipeline, path, tmp_path):
    content = path.read_bytes()
    expected = pipeline.transform(DATA)["dot"]
    told = 0
    for position in range(0, len(content), 23):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0x10]) + content[position + 1 :])
        try:
            loaded = load_pipeline(path)
        except PipelineError as error:
            told += str(path) in str(error)
        else:
            np.testing.assert_array_equal(loaded.transform(DATA)["dot"], expected)
    assert told > 0.6 * len(range(0, len(content), 23))


def test_a_truncated_file_is_told(path):
    content = path.read_bytes()
    for length in [0, 1, 3, 30, *range(100, len(content), 97), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(PipelineError, match=r"damaged|not a saved pipeline"):
            load_pipeline(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda entries: [*entries, ("../outside", b"")], r"has an entry called '../outside'"),
        (lambda entries: [*entries, ("/etc/passwd", b"")], "has an entry called '/etc/passwd'"),
        (lambda entries: [*entries, ("a/../b", b"")], "has an entry called"),
        (lambda entries: [*entries, ("a\\b", b"")], "has an entry called"),
        (lambda entries: [*entries, entries[-1]], "sha256.txt is there twice"),
        (lambda entries: [*entries, ("more.npy", b"")], "the entry more.npy is not what was saved"),
        (lambda entries: [each for each in entries if "1.npy" not in each[0]], "the entry arrays/1.npy is missing"),
        (lambda entries: [each for each in entries if "sha" not in each[0]], "is not what was saved"),
        (lambda entries: [each for each in entries if "json" not in each[0]], "has no pipeline.json"),
        (lambda entries: [(name, content * 2) for name, content in entries], "no JSON"),
        (lambda entries: [("pipeline.json", b"[" * 10**5)], "no JSON"),
        (lambda entries: [("pipeline.json", b"[]")], "expected a JSON object, but got list"),
        (lambda entries: [("pipeline.json", b'{"format": "1"}')], "expected the number of its format"),
        (lambda entries: [("pipeline.json", b'{"format": true}')], "expected the number of its format"),
        (lambda entries: [], "has no pipeline.json"),
    ],
)
def test_another_archive_is_refused(change, message, path):
    rezipped(path, change)
    with pytest.raises(PipelineError, match=message):
        load_pipeline(path)


def test_a_compressed_archive_is_refused_before_it_unfolds(path):
    rezipped(path, lambda entries: [*entries, ("zeros.npy", bytes(10**7))], zipfile.ZIP_DEFLATED)
    with pytest.raises(PipelineError, match="is compressed"):
        load_pipeline(path)


def test_a_newer_file_says_who_wrote_it(path):
    newer = b'{"format": 2, "written_by": "mlpipeline 9.1", "what": "unknown"}'
    rezipped(path, lambda entries: [("pipeline.json", newer), ("new/thing.xyz", b"?")])
    with pytest.raises(PipelineError, match=r"written by mlpipeline 9.1 in format 2.*pip install --upgrade mlpipeline"):
        load_pipeline(path)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_never_read(protocol, path):
    path.write_bytes(pickle.dumps({"a": 1}, protocol))
    with pytest.raises(PipelineError, match="is a pickle; mlpipeline never reads one"):
        load_pipeline(path)


@pytest.mark.parametrize("content", [b"", b"hello", pickle.dumps([1], 0), bytes(100), b"PK\x03\x04"])
def test_any_other_file_is_refused(content, path):
    path.write_bytes(content)
    with pytest.raises(PipelineError, match=r"not a saved pipeline|damaged"):
        load_pipeline(path)


def test_a_missing_file_and_a_directory_are_told(tmp_path):
    for path in (tmp_path / "missing.pkl", tmp_path):
        with pytest.raises(PipelineError, match=f"cannot read {path}"):
            load_pipeline(path)


def test_a_failure_while_writing_leaves_the_old_file(pipeline, path, monkeypatch):
    before = path.read_bytes()
    pipeline.fit({"x": DATA["x"][:2]})

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archive.os, "fsync", full)
    with pytest.raises(PipelineError, match=r"cannot write .*small-1.pkl: No space left"):
        pipeline.save(path.parent, overwrite=True)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_large_arrays_are_written_in_pieces_and_come_back(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "_CHUNK", 1000)
    matrix = np.asfortranarray(np.random.default_rng(0).normal(size=(300, 7)))
    x = Input("x", (300,))
    pipeline = Pipeline(x, Concatenate()([StaticDot(matrix)(x), x], "y"), name="large")
    loaded = load_pipeline(pipeline.save(tmp_path))
    read = next(each.layer for each in loaded.graph.applications if isinstance(each.layer, StaticDot)).W
    np.testing.assert_array_equal(read, matrix)
    assert read.flags.f_contiguous

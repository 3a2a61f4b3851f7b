"""Pipelines written as ONNX and run by onnxruntime, beside what they give themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime

from mlpipeline.dataflow import Pipeline
from mlpipeline.dataflow.onnx_export import export_onnx
from mlpipeline.dataflow.spec import Array


def write(pipeline: Pipeline, path: Path) -> Path:
    prepared = pipeline._prepared
    return export_onnx(pipeline.graph, prepared.layers, prepared.specs, path)


def open_session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run(session: onnxruntime.InferenceSession, data: dict[str, Array]) -> dict[str, Array]:
    given = {each.name: data[each.name] for each in session.get_inputs()}
    feeds = {name: array.astype(object) if array.dtype.kind == "U" else array for name, array in given.items()}
    return dict(zip((each.name for each in session.get_outputs()), session.run(None, feeds), strict=True))


def assert_same_outputs(pipeline: Pipeline, data: dict[str, Array], folder: Path, **tolerance: float) -> None:
    """Compare a fitted pipeline and its file on one observation, on two and on all."""
    session = open_session(write(pipeline, folder / "pipeline.onnx"))
    for n in (1, 2, None):
        part = {name: array[:n] for name, array in data.items()}
        expected, given = pipeline.transform(part), run(session, part)
        assert list(given) == list(expected)
        for name, array in expected.items():
            assert given[name].shape == array.shape
            assert given[name].dtype == (object if array.dtype.kind == "U" else array.dtype)
            if array.dtype.kind == "f":
                np.testing.assert_allclose(given[name], array, **{"rtol": 1e-9, "atol": 1e-14, **tolerance})
            else:
                np.testing.assert_array_equal(given[name], array)

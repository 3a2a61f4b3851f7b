"""Files that were written once must always load."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mlpipeline.dataflow import load_pipeline

DATA = Path(__file__).parents[1] / "data"


def test_a_file_of_format_1_gives_what_it_gave() -> None:
    pipeline = load_pipeline(DATA / "pipeline-format-1.pkl")
    data = {"x": np.array([[2.0, 2, 2], [5, 1, 0]]), "kind": np.array(["red", "blue"])}
    probability = pipeline.transform(data)["probability"]
    np.testing.assert_allclose(probability, [[0.54614406, 0.45385594], [0.81353865, 0.18646135]], atol=1e-8)
    np.testing.assert_allclose(pipeline.layer("white").metadata["mean"], [1.51330629, 2.10403101, 3.1135946])
    assert [node.name for node in pipeline.graph.metrics] == ["accuracy"]

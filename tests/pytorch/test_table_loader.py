from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import train_test_split

from mlpipeline.errors import DataError
from mlpipeline.pytorch import TableLoader

TABLE = pd.DataFrame(
    {
        "size": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        "colour": ["red", "blue", "red", "blue", "red", "green"],
        "kind": ["a", "b", "a", "b", "a", "a"],
    }
)


def test_split_is_that_of_scikit_learn() -> None:
    loader = TableLoader(pd.DataFrame({"x": np.arange(20.0), "y": np.arange(20.0)}), scale=False, seed=5)
    train, test = train_test_split(np.arange(20.0), test_size=0.33, random_state=5)
    assert loader.get_train_input().inputs[:, 0].tolist() == train.tolist()
    assert loader.get_test_input().inputs[:, 0].tolist() == test.tolist()


def test_stratified_parts_have_the_classes_in_proportion() -> None:
    table = pd.DataFrame({"x": np.arange(100.0), "y": ["rare"] * 10 + ["often"] * 90})
    loader = TableLoader(table, test_fraction=0.3, stratify=True, seed=1)
    assert loader.get_test_input().targets.sum() == 3
    assert loader.get_train_input().targets.sum() == 7


def test_scaling_is_fitted_on_the_training_part_alone() -> None:
    table = pd.DataFrame({"x": np.random.default_rng(0).normal(5, 3, 40), "y": np.arange(40.0)})
    loader = TableLoader(table, seed=2)
    raw, _ = train_test_split(table["x"].to_numpy(), test_size=0.33, random_state=2)
    expected = (table["x"].to_numpy() - raw.mean()) / raw.std()
    assert np.allclose(loader.encode(table).numpy()[:, 0], expected, atol=1e-6)
    assert abs(loader.get_test_input().inputs.mean()) > 1e-3


def test_categories_become_columns_and_unknown_ones_zeros() -> None:
    loader = TableLoader(TABLE, target="kind", scale=False, test_fraction=0.17)
    known = loader.encode([[1.0, "red"]])
    unknown = loader.encode([[1.0, "violet"]])
    assert known[0, 1:].sum() == 1
    assert unknown[0, 1:].sum() == 0


def test_task_is_told_by_the_target() -> None:
    numbers = pd.DataFrame({"x": [1.0, 2, 3], "y": [0.5, 1.5, 2.5]})
    assert TableLoader(TABLE, target="kind").task.name == "binary"
    assert TableLoader(TABLE, target="colour").task.name == "multiclass"
    assert TableLoader(numbers).task.name == "regression"


def test_few_whole_numbers_are_not_guessed_at() -> None:
    table = pd.DataFrame({"x": np.arange(9.0), "y": [0, 1, 2] * 3})
    with pytest.raises(DataError, match="say task='multiclass' or task='regression'"):
        _ = TableLoader(table).parts
    assert TableLoader(table, task="regression").output_count == 1
    assert TableLoader(table, task="multiclass").output_count == 3


def test_nothing_is_read_before_it_is_needed(tmp_path: Path) -> None:
    loader = TableLoader(tmp_path / "later.csv")
    TABLE.to_csv(tmp_path / "later.csv", index=False)
    assert loader.get_train_sample_count() + loader.get_test_sample_count() == 6


def test_constant_column_becomes_zero() -> None:
    loader = TableLoader(pd.DataFrame({"x": [3.0] * 6, "y": np.arange(6.0)}))
    assert not loader.get_train_input().inputs.any()


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (None, {}, "no table at .*give its path relative to the project folder"),
        ("1,2\n3,4\n5,6\n", {}, "pass header=False"),
        ("x,y\n1,2.5\n,3.5\n4,5.5\n", {}, "column 'x' has no value in row 1"),
        ("x,y\n1,2.5\n2,3.5\n", {"target": "z"}, "target must be one of the 2 columns"),
        ("x,y\n1,2.5\n2,3.5\n", {"task": "regresion"}, "did you mean regression"),
        ("x,y\n1,2.5\n2,3.5\n", {"test_fraction": 1.5}, "test_fraction must lie between 0 and 1"),
        ("x,y\n1,a\n2,b\n3,c\n", {"task": "binary"}, "does not fit a target with 3 distinct values"),
        ("x,y\n1,a\n2,b\n3,c\n", {"task": "regression"}, "must hold numbers"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: str | None, options: dict[str, object], message: str) -> None:
    path = tmp_path / "table.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=message):
        _ = TableLoader(path, **options).parts  # type: ignore[arg-type]


def test_rows_of_another_width_are_refused() -> None:
    loader = TableLoader(TABLE, target="kind")
    with pytest.raises(DataError, match="must have the 2 columns of the training data"):
        loader.encode([[1.0, "red", 3.0]])


def test_summary_names_task_counts_and_classes() -> None:
    loader = TableLoader(TABLE, target="kind")
    loader.add_to_summary("seen in 2024")
    summary = loader.get_dataloader_summary()
    assert all(part in summary for part in ("binary", "4 training rows, 2 test rows", "a, b", "seen in 2024"))

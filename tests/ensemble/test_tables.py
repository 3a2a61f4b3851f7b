import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from mlpipeline.ensemble.tables import history_csv, statistics_text
from tests.ensemble.run_support import X, Y, ensemble

HISTORY = {"loss": [0.9, 0.5, 0.1], "val_loss": [1.0, 0.7, 0.8], "stop_loss": [1.1, 0.6, 0.65]}


@pytest.fixture(scope="module")
def trained():
    """An ensemble of two folds; the first has stopped after three epochs and predicts by the second."""
    result = ensemble(".", None, plan=2).fit(X, Y)
    first, second = result.members
    first = replace(first, fitted=replace(first.fitted, history=HISTORY, best_epoch=2), seconds=1.5)
    second = replace(second, fitted=replace(second.fitted, history={"loss": [0.8]}, best_epoch=1), seconds=0.25)
    return replace(result, members=(first, second))


def test_the_history_has_a_line_for_each_epoch_of_each_member(trained):
    lines = list(csv.DictReader(io.StringIO(history_csv(trained))))
    assert [(line["member"], line["epoch"]) for line in lines] == [
        ("fold0", "1"), ("fold0", "2"), ("fold0", "3"), ("fold1", "1"),
    ]  # fmt: skip
    assert [float(line["stop_loss"]) for line in lines[:3]] == HISTORY["stop_loss"]
    assert lines[3]["val_loss"] == ""
    assert lines[3]["loss"] == "0.8"


def lines_of(text, start):
    return [line.split() for line in text.splitlines() if line.startswith(start)]


def test_statistics_are_those_of_the_epoch_whose_weights_have_predicted(trained):
    epochs = statistics_text(trained, "iris").partition("The epoch whose weights have predicted")[2]
    assert lines_of(epochs, "fold0")[0] == ["fold0", "2", "of", "3", "0.5000", "0.7000", "0.6000"]
    assert lines_of(epochs, "fold1")[0] == ["fold1", "1", "of", "1", "0.8000"]


def test_statistics_tell_each_score_their_mean_and_the_times(trained):
    text = statistics_text(trained, "iris")
    scores = [float(row[3]) for row in lines_of(text, "fold")[:2]]
    mean, _, deviation = lines_of(text, "accuracy:")[0][1:4]
    assert float(mean) == pytest.approx(np.mean(scores), abs=1e-4)
    assert float(deviation) == pytest.approx(np.std(scores, ddof=1), abs=2e-4)
    assert lines_of(text, "all members")[0] == ["all", "members", "1.75"]
    right = trained.oof.argmax(axis=1) == Y
    assert lines_of(text, "accuracy:")[1] == ["accuracy:", f"{right.mean():.4f}"]


def test_a_model_without_epochs_has_an_empty_history_and_no_table_of_epochs():
    result = ensemble(".", None, plan=2).fit(X, Y)
    assert history_csv(result) == "member,epoch\n"
    assert "epoch" not in statistics_text(result, "iris")

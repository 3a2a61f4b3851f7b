import io
import logging
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mlpipeline.ensemble.picture import folds_picture, mean_curve
from tests.ensemble.run_support import X, Y, ensemble

TRAINING, VALIDATION, HELD_BACK = (0, 114, 178), (213, 94, 0), (0, 158, 115)


@pytest.fixture(scope="module")
def scored():
    """Two folds of a model that knows no epochs."""
    return ensemble(".", None, plan=2).fit(X, Y)


def with_history(result, **histories):
    members = [
        replace(member, fitted=replace(member.fitted, history=histories, best_epoch=2)) for member in result.members
    ]
    return replace(result, members=tuple(members))


def pixels(picture, colour):
    image = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"), dtype=int)
    return int((np.abs(image - colour).sum(axis=2) < 6).sum())


def test_the_picture_has_curves_of_training_and_validation_rows_and_a_mark_at_the_best_epoch(scored):
    plain = folds_picture(with_history(scored, loss=[0.9, 0.4], val_loss=[1.0, 0.6]), "run")
    assert pixels(plain, TRAINING) > 500
    assert pixels(plain, VALIDATION) > 500
    assert not pixels(plain, HELD_BACK)
    loss, stop = [0.9, 0.4, 0.2], [1.0, 0.6, 0.6]
    marked = pixels(folds_picture(with_history(scored, loss=loss, stop_loss=stop), "run"), HELD_BACK)
    assert marked > 500


def test_each_metric_has_a_chart_of_its_own(scored):
    one = folds_picture(with_history(scored, loss=[0.9, 0.4]), "run")
    two = folds_picture(with_history(scored, loss=[0.9, 0.4], accuracy=[0.5, 0.8]), "run")
    widths = [Image.open(io.BytesIO(picture)).width for picture in (one, two)]
    assert widths[1] > 1.8 * widths[0]


def test_a_model_without_epochs_has_a_picture_of_its_scores(scored):
    picture = folds_picture(scored, "run")
    assert pixels(picture, VALIDATION) > 100
    assert pixels(picture, TRAINING) > 100


def test_numbers_that_are_not_finite_leave_a_gap(scored):
    some, none = (
        folds_picture(with_history(scored, loss=[float("inf"), *rest]), "run") for rest in ([0.4, 0.3], [float("nan")])
    )
    assert pixels(some, TRAINING) > 2 * pixels(none, TRAINING)  # which has the legend alone


def test_a_single_epoch_is_seen(scored):
    one, none = (folds_picture(with_history(scored, val_loss=[value]), "run") for value in (0.5, float("nan")))
    assert pixels(one, VALIDATION) > 1.1 * pixels(none, VALIDATION)  # which has the legend alone


def test_the_mean_ends_with_the_shortest_curve():
    assert mean_curve([[1.0, 2.0, 3.0], [3.0, 4.0]]) == [2.0, 3.0]


def test_without_the_extra_there_is_advice_and_no_picture(scored, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "vl_convert", None)  # as where it is not installed
    with caplog.at_level(logging.INFO):
        assert folds_picture(scored, "run") is None
    assert 'pip install "mlpipeline[plot]"' in caplog.text

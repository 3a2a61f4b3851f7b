"""KerasPipeline: what runs return, against what the models say one by one; how rows are divided; what must not leak."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

from collections import Counter

import keras
import numpy as np
import pytest

from mlpipeline.ensemble import KerasPipeline
from mlpipeline.errors import EnsembleError
from tests.ensemble.small_networks import (
    BINARY,
    ONE_HOT,
    TEST,
    N,
    assert_close,
    digits,
    listing,
    mean_said,
    one_thread,
    pipeline,
    said,
    small_network,
)


@pytest.fixture(autouse=True, scope="module")
def in_one_thread():
    with one_thread():
        yield


def test_out_of_fold_predictions_of_integer_labels_are_those_of_the_model_that_did_not_see_the_row():
    x, y, x_test, _ = digits()
    runner = pipeline()
    model, oof, _ = runner.kfold_run(x, y, x_test)
    assert oof.shape == (N, 10)
    for split, member in zip(runner.result.splits, runner.result.members, strict=True):
        assert_close(oof[split.valid], said(member.model, x[split.valid]))
    assert_close(oof.sum(axis=1), 1)
    assert model is runner.result.models[-1]


@pytest.mark.parametrize("run", ["bag_run", "kfold_run"])
def test_test_predictions_are_the_mean_of_what_the_models_say_of_the_test_rows(run):
    x, y, x_test, _ = digits()
    runner = pipeline()
    _, valid, test = getattr(runner, run)(x, y, X_test=x_test)
    assert test.shape == (TEST, 10)
    assert_close(test, mean_said(runner, x_test))
    assert not np.allclose(test, valid[:TEST])


def test_a_bag_run_leaves_rows_that_judged_no_bag_without_prediction():
    x, y, *_ = digits()
    runner = pipeline(split_size=0.3)
    _, valid, _ = runner.bag_run(x, y)
    judged = set(np.concatenate([split.valid for split in runner.result.splits]).tolist())
    assert set(np.flatnonzero(~np.isnan(valid).any(axis=1)).tolist()) == judged
    assert [len(split.valid) for split in runner.result.splits] == [36, 36]


def test_rows_that_the_user_splits_off_judge_every_bag():
    x, y, x_test, y_test = digits()
    runner = pipeline(user_split=True)
    _, valid, test = runner.bag_run(x, y, x_test, y_test, x_test[:5])
    assert valid.shape == (TEST, 10)
    assert_close(valid, mean_said(runner, x_test))
    assert_close(test, valid[:5])
    assert [len(split.train) for split in runner.result.splits] == [N, N]


def test_a_full_run_trains_one_model_on_all_rows_and_scores_the_test_rows():
    x, y, x_test, y_test = digits()
    runner = pipeline(number_epochs=2)
    model, test = runner.full_train_run(x, y, x_test, y_test)
    assert_close(test, said(model, x_test))
    assert [len(split.train) for split in runner.result.splits] == [N]
    assert runner.test_scores["accuracy"] == pytest.approx((test.argmax(axis=1) == y_test).mean())


def test_what_was_not_asked_for_is_none():
    x, y, x_test, _ = digits()
    assert pipeline(predict_test=False).bag_run(x, y, X_test=x_test)[2] is None
    assert pipeline().kfold_run(x, y)[2] is None
    assert pipeline().full_train_run(x, y)[1] is None


@pytest.mark.parametrize("loss", [ONE_HOT, BINARY, "mse"])
def test_one_hot_rows_two_classes_and_values_are_predicted_as_they_are(loss):
    x, y, x_test, _ = digits()
    given = {ONE_HOT: np.eye(10)[y], BINARY: (y > 4).astype(int), "mse": y / 7}[loss]
    runner = pipeline(params={"loss": loss, "outputs": 10 if loss == ONE_HOT else 1})
    _, oof, test = runner.kfold_run(x, given, x_test)
    assert oof.shape == (N, 10 if loss == ONE_HOT else 1)
    assert_close(test, mean_said(runner, x_test))


def test_many_integer_labels_are_classes_where_the_loss_says_so():
    x, _, x_test, _ = digits()
    _, oof, _ = pipeline(params={"outputs": 24}).kfold_run(x, np.arange(N) % 24, x_test)
    assert oof.shape == (N, 24)


@pytest.mark.parametrize(("run", "kind"), [("bag_run", "n_bags"), ("kfold_run", "n_folds")])
def test_stratify_keeps_the_shares_of_the_classes(run, kind):
    x, _, *_ = digits()
    y = np.repeat([0, 1], [30, 90])
    runner = pipeline(params={"outputs": 2}, stratify=True, split_size=1 / 3, **{kind: 3})
    getattr(runner, run)(x, y)
    assert [Counter(y[split.valid].tolist()) for split in runner.result.splits] == [{0: 10, 1: 30}] * 3


def test_stratify_is_refused_where_it_would_be_ignored():
    x, y, x_test, y_test = digits()
    with pytest.raises(EnsembleError, match="no classes"):
        pipeline(params={"loss": "mse", "outputs": 1}, stratify=True).kfold_run(x, y / 7)
    with pytest.raises(EnsembleError, match="leave one out"):
        pipeline(stratify=True, user_split=True).bag_run(x, y, x_test, y_test)
    with pytest.raises(EnsembleError, match="leave one out"):
        pipeline(stratify=True, shuffle=False).bag_run(x, y)


def test_without_shuffle_rows_are_divided_as_they_come():
    x, y, *_ = digits()
    runner = pipeline(shuffle=False)
    runner.kfold_run(x, y)
    assert runner.result.splits.members[1].valid.tolist() == list(range(60, N))
    runner.bag_run(x, y)
    assert [split.valid.tolist() for split in runner.result.splits] == [list(range(96, N))] * 2
    assert not runner.result.work.trainer.shuffle


def test_one_seed_decides_everything_whatever_was_drawn_before():
    x, y, x_test, _ = digits()
    in_order = {"params": {"dropout": 0.5}, "shuffle": False}  # whose split needs no seed
    first = pipeline(**in_order).kfold_run(x, y, x_test)
    keras.utils.set_random_seed(7)
    second = pipeline(**in_order).kfold_run(x, y, x_test)
    np.testing.assert_array_equal(first[1], second[1])
    np.testing.assert_array_equal(first[2], second[2])
    assert not np.allclose(pipeline(**in_order, seed=2).kfold_run(x, y)[1], first[1])


def test_a_seed_that_was_drawn_is_kept_and_gives_the_run_again():
    x, y, *_ = digits()
    runner = pipeline(seed=None)
    _, oof, _ = runner.kfold_run(x, y)
    np.testing.assert_array_equal(pipeline(seed=runner.result.work.seed).kfold_run(x, y)[1], oof)
    assert runner.seed is None


def test_nothing_is_carried_from_one_run_to_the_next():
    x, y, x_test, y_test = digits()
    stops = [keras.callbacks.EarlyStopping("loss", patience=0, start_from_epoch=0, min_delta=100)]
    runner = pipeline(callbacks=stops, number_epochs=3)
    first = runner.kfold_run(x, y, x_test, y_test)
    runner.bag_run(x[:50], y[:50], X_test=x_test)
    assert runner.test_scores is None
    again = runner.kfold_run(x, y, x_test, y_test)
    np.testing.assert_array_equal(first[1], again[1])
    np.testing.assert_array_equal(first[2], again[2])
    assert vars(stops[0])["_model"] is None
    assert not x.flags.writeable


def test_a_model_function_that_changes_its_parameters_changes_its_own_copy():
    x, y, *_ = digits()
    params = {"sizes": [10]}

    def greedy(given):
        return small_network({"outputs": given["sizes"].pop()})

    KerasPipeline(greedy, params, verbose=False, output_statistics=False, together=False).bag_run(x, y)
    assert params == {"sizes": [10]}


def test_callbacks_have_files_of_their_own_and_choose_by_rows_that_judge_no_fold(tmp_path):
    x, y, *_ = digits()
    best = keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", "val_loss", save_best_only=True)
    runner = pipeline(callbacks=[best])
    runner.kfold_run(x, y)
    assert sorted(listing(tmp_path)) == ["best_fold0.keras", "best_fold1.keras"]
    assert runner.result.work.stopping_size == 0.1
    assert "stop_loss" in runner.result.members[0].fitted.history
    for number, member in enumerate(runner.result.members):
        kept = keras.saving.load_model(tmp_path / f"best_fold{number}.keras")
        assert_close(said(kept, x), said(member.model, x))


def test_no_rows_are_held_back_where_no_callback_asks_for_them():
    x, y, *_ = digits()
    runner = pipeline(callbacks=[keras.callbacks.TerminateOnNaN()])
    runner.bag_run(x, y)
    assert runner.result.work.stopping_size == 0


def test_scores_and_statistics_are_of_the_epoch_whose_weights_predict():
    x, _, x_test, _ = digits()
    runner = pipeline(params={"rate": 0.1}, stopping_size=0.2, number_epochs=6)
    _, _, test = runner.kfold_run(x, np.arange(N) % 10, x_test)  # labels that can only be learnt by heart
    histories = [member.fitted.history for member in runner.result.members]
    best = [member.fitted.best_epoch for member in runner.result.members]
    assert [np.argmin(history["stop_loss"]) + 1 for history in histories] == best
    assert max(best) < 6
    for member, history, epoch in zip(runner.result.members, histories, best, strict=True):
        assert history["val_loss"][epoch - 1] == pytest.approx(member.scores["log_loss"], rel=1e-4)
    assert_close(test, mean_said(runner, x_test))


def test_weights_of_classes_and_metrics_are_used():
    x, y, *_ = digits()
    runner = pipeline(class_weight={3: 0.0}, metrics=["f1", "roc_auc"], number_epochs=5)
    _, oof, _ = runner.kfold_run(x, y)
    assert list(runner.result.oof_scores) == ["f1", "roc_auc"]
    assert 3 not in oof.argmax(axis=1)
    pipeline_oof = pipeline(number_epochs=5).kfold_run(x, y)[1]
    assert 3 in pipeline_oof.argmax(axis=1)

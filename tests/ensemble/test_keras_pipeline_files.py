"""KerasPipeline: the files of a run, and runs that go on from them."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest

from mlpipeline.errors import EnsembleError
from tests.ensemble.small_networks import assert_close, digits, listing, one_thread, pipeline, said


@pytest.fixture(autouse=True, scope="module")
def in_one_thread():
    with one_thread():
        yield


def test_a_run_keeps_what_was_asked_for_and_is_never_written_over(tmp_path):
    x, y, x_test, _ = digits()
    kept = {"run_save_name": "net", "src_dir": tmp_path}
    pipeline(save_model=True, save_history=True, save_statistics=True, **kept).kfold_run(x, y, x_test)
    before = listing(tmp_path / "checkpoints" / "net")
    members = [f"net_fold{number}.{suffix}" for number in (0, 1) for suffix in ("keras", "npz")]
    results = ["plan.json", "oof_train.npy", "oof_test.npy", "history.csv", "folds.png", "stats.txt"]
    assert set(before) == {*members, *(f"net_{name}" for name in results)}
    with pytest.raises(EnsembleError, match="exists"):
        pipeline(save_model=True, **kept).kfold_run(x, y, x_test)
    with pytest.raises(EnsembleError, match="other work"):
        pipeline(save_model=True, resume=True, **kept).kfold_run(x + 1, y, x_test)
    assert listing(tmp_path / "checkpoints" / "net") == before


def test_a_resumed_run_trains_what_is_missing_and_gives_the_same(tmp_path):
    x, y, x_test, _ = digits()
    kept = {"run_save_name": "net", "src_dir": tmp_path, "save_model": True}
    whole = pipeline(**kept).kfold_run(x, y, x_test)
    folder = tmp_path / "checkpoints" / "net"
    before = listing(folder)
    assert not {"net_history.csv", "net_folds.png", "net_stats.txt"} & set(before)
    (folder / "net_fold0.npz").unlink()
    model, oof, test = pipeline(resume=True, **kept).kfold_run(x, y, x_test)
    np.testing.assert_array_equal(oof, whole[1])
    np.testing.assert_array_equal(test, whole[2])
    assert_close(said(model, x), said(whole[0], x))
    after = listing(folder)
    assert {name for name in before if "_fold" in name and after[name] == before[name]} == {
        "net_fold1.keras", "net_fold1.npz",
    }  # fmt: skip


def test_saved_models_predict_without_training_and_train_further(tmp_path):
    x, y, x_test, _ = digits()
    saved = {"run_save_name": "net", "src_dir": tmp_path, "seed": None}
    _, oof, test = pipeline(save_model=True, **saved).kfold_run(x, y, x_test)
    before = listing(tmp_path / "checkpoints" / "net")
    _, oof_again, test_again = pipeline(load_keras_model=True, number_epochs=0, **saved).kfold_run(x, y, x_test)
    np.testing.assert_array_equal(oof_again, oof)
    np.testing.assert_array_equal(test_again, test)
    runner = pipeline(load_keras_model=True, number_epochs=1, save_as="net2", save_model=True, **saved)
    runner.kfold_run(x, y, x_test)
    losses = [member.fitted.history["loss"] for member in runner.result.members]
    fresh = pipeline(number_epochs=1)
    fresh.kfold_run(x, y)
    assert [len(each) for each in losses] == [1, 1]
    assert np.mean(losses) < np.mean([member.fitted.history["loss"] for member in fresh.result.members])
    assert listing(tmp_path / "checkpoints" / "net") == before
    assert (tmp_path / "checkpoints" / "net2" / "net2_fold1.keras").is_file()


def test_models_of_other_rows_or_of_no_run_are_not_loaded(tmp_path):
    x, y, *_ = digits()
    saved = {"run_save_name": "net", "src_dir": tmp_path}
    with pytest.raises(EnsembleError, match="no run 'net'"):
        pipeline(load_keras_model=True, **saved).full_train_run(x, y)
    pipeline(save_model=True, **saved).full_train_run(x, y)
    assert (tmp_path / "checkpoints" / "net" / "net_full0.keras").is_file()
    with pytest.raises(EnsembleError, match="X differ"):
        pipeline(load_keras_model=True, **saved).full_train_run(x[::-1], y)
    with pytest.raises(EnsembleError, match=r"fold0\.npz is not there"):
        pipeline(load_keras_model=True, **saved).kfold_run(x, y)


def test_progress_and_statistics_are_written_where_they_are_asked_for(capsys):
    x, y, x_test, y_test = digits()
    pipeline().kfold_run(x, y, x_test, y_test)
    assert capsys.readouterr().out == ""
    pipeline(verbose=True).kfold_run(x, y)
    assert [line.split()[2] for line in capsys.readouterr().out.splitlines()] == ["fold0:", "fold1:"]
    pipeline(output_statistics=True).kfold_run(x, y, x_test, y_test)
    out = capsys.readouterr().out
    assert "Out-of-fold predictions together, 120 of 120 rows" in out
    assert "test rows: accuracy 0." in out

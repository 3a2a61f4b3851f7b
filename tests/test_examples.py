"""The examples run, and do what they say."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_tutorial_of_data_pipelines(tmp_path: Path, capsys: object) -> None:
    main = runpy.run_path(str(EXAMPLES / "dataflow_tutorial.py"))["main"]
    assert main(tmp_path, epochs=3) > 0.75
    assert (tmp_path / "pipelines" / "getting_started-0.1.pkl").is_file()
    assert "(624, 2) (1, 2)" in capsys.readouterr().out


def test_the_tutorial_of_ensembles(tmp_path: Path, capsys: object) -> None:
    main = runpy.run_path(str(EXAMPLES / "ensemble_tutorial.py"))["main"]
    assert main(tmp_path, epochs=3) > 0.95
    out = capsys.readouterr().out
    assert "(1257, 10) (540, 10)" in out
    assert float(re.search(r"five folds: accuracy (\S+) out of fold", out)[1]) > 0.8
    for run in ("cnn_bagging", "cnn_folds"):
        assert (tmp_path / "checkpoints" / run / f"{run}_folds.png").is_file()

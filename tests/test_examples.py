"""The examples run, and do what they say."""

from __future__ import annotations

import runpy
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_tutorial_of_data_pipelines(tmp_path: Path, capsys: object) -> None:
    main = runpy.run_path(str(EXAMPLES / "dataflow_tutorial.py"))["main"]
    assert main(tmp_path, epochs=3) > 0.75
    assert (tmp_path / "pipelines" / "getting_started-0.1.pkl").is_file()
    assert "(624, 2) (1, 2)" in capsys.readouterr().out

from mlpipeline.records import Record, Result, Status
from mlpipeline.runner.outputs import output_block

PARAMETERS = {"epoc_count": 3, "hidden": [8, 4]}
END = Record("end", "r1", "cnn.py", "big", "SUCCEEDED", "f", {"parameters": PARAMETERS})


def block(status=Status.SUCCEEDED, **more):
    return output_block(END, Result("r1", status, ended="2024-05-06T07:08:09", seconds=1.23456, **more))


def test_a_block_says_what_a_run_was_and_what_came_of_it():
    outputs = {"train": "loss: 0.1", "test": "loss: 0.2", "steps": "12"}
    assert block(outputs=outputs).splitlines() == [
        "",
        "[2024-05-06T07:08:09] SUCCEEDED",
        "Model: cnn.py",
        "Version: big",
        "Evaluation on train set: loss: 0.1",
        "Evaluation on test set: loss: 0.2",
        "-" * 43,
        "EXECUTION SUMMARY:",
        "Number of epochs: 3",
        "Steps trained: 12",
        "Seconds: 1.235",
        "Parameters:",
        "    epoc_count: 3",
        "    hidden: [8, 4]",
    ]


def test_summaries_stand_under_their_headings():
    text = block(outputs={"model summary": "two\nlayers\n", "data loader summary": "150 rows"})
    rule = "-" * 43
    assert text.endswith(f"{rule}\nMODEL SUMMARY:\n    two\n    layers\n{rule}\nDATA LOADER SUMMARY:\n    150 rows")


def test_an_empty_summary_has_no_heading():
    assert "SUMMARY:" not in block(outputs={"model summary": " \n"}).replace("EXECUTION SUMMARY:", "")


def test_a_failed_run_shows_its_end_and_its_traceback():
    text = block(Status.FAILED, error='Traceback:\n  File "x"\nValueError: no', error_summary="ValueError: no")
    assert "Ended by: ValueError: no\n" in text
    assert "Evaluation" not in text
    assert text.endswith('ERROR:\n    Traceback:\n      File "x"\n    ValueError: no')


def test_a_run_without_evaluation_shows_empty_ones():
    assert "Evaluation on train set: \nEvaluation on test set: \n" in block()

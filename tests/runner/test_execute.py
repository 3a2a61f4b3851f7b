import math
import sys
from fractions import Fraction

import pytest

from mlpipeline.errors import MetricError, MlpError, ScriptError, VersionError
from mlpipeline.metrics import MetricContainer
from mlpipeline.model import DataLoader, Model
from mlpipeline.records import Job
from mlpipeline.runner.execute import list_versions, load_model, read_evaluation, run_version, training_steps
from mlpipeline.versions import Versions


class Loader(DataLoader):
    def __init__(self, train=10, test=4):
        self.train, self.test = train, test

    def get_train_input(self, mode="Train", **kwargs):
        return f"train for {mode}"

    def get_test_input(self, **kwargs):
        return "test"

    def get_train_sample_count(self):
        return self.train

    def get_test_sample_count(self):
        return self.test


class Recorder(Model):
    """Notes what the pipeline calls, in order."""

    def __init__(self, versions, answer=None, trained=0, **more):
        super().__init__(versions, **more)
        self.calls, self.answer, self.trained = [], answer, trained

    def clean_model_dir(self, model_dir):
        self.calls.append(("clean", model_dir))

    def pre_execution_hook(self, version, model_dir, exec_mode):
        self.calls.append(("hook", version.name, model_dir, exec_mode))

    def get_trained_step_count(self):
        return self.trained

    def train_model(self, input_fn, steps):
        self.calls.append(("train", input_fn, steps))

    def evaluate_model(self, input_fn, steps):
        self.calls.append(("evaluate", input_fn, steps))
        return self.answer


@pytest.fixture
def job(tmp_path):
    def make(script="a.py", version="v", **more):
        folder = str(tmp_path / "out")
        return Job("r1", script, version, str(tmp_path), str(tmp_path), folder, "r", "s", **{"is_test": False, **more})

    return make


def versions(dataloader=None, batch_size=4, epoc_count=2, **more):
    made = Versions(0.1, dataloader or Loader(), batch_size, epoc_count)
    made.add("v", **more)
    return made


def run(job, model, **more):
    return run_version(job(**more), model, started=lambda: model.calls.append("started"))


def test_a_run_goes_from_the_hook_through_training_to_two_evaluations(job, tmp_path):
    model = Recorder(versions())
    run(job, model)
    assert model.calls == [
        "started",
        ("hook", "v", str(tmp_path / "out"), "Train"),
        ("train", "train for Train", 5),
        ("evaluate", "train for Test", 10),
        ("evaluate", "test", 4),
    ]
    assert (tmp_path / "out").is_dir()


def test_in_test_mode_every_count_is_1(job):
    model = Recorder(versions(), trained=1000)
    run(job, model, is_test=True)
    assert [call[2] for call in model.calls if call[0] in ("train", "evaluate")] == [1, 1, 1]
    assert [call[3] for call in model.calls if call[0] == "hook"] == ["Test"]


@pytest.mark.parametrize(("allowed", "fresh", "cleaned"), [(1, 1, 1), (1, 0, 0), (0, 1, 0), (0, 0, 0)])
def test_a_directory_is_cleaned_where_that_is_allowed_and_the_run_is_fresh(job, tmp_path, allowed, fresh, cleaned):
    model = Recorder(versions(), allow_delete_model_dir=bool(allowed))
    run(job, model, clean_model_dir=bool(fresh))
    assert model.calls[:1] == ([("clean", str(tmp_path / "out"))] if cleaned else ["started"])


def test_steps_are_the_rounded_up_number_of_batches():
    for samples in range(40):
        for batch_size in (1, 2, 3, 7, 16):
            for epochs in (1, 2, 5, 0.5, 1.25):
                version = versions(batch_size=batch_size, epoc_count=epochs).get("v")
                expected = math.ceil(Fraction(epochs) * samples / batch_size)
                assert training_steps(version, Loader(samples), Recorder(versions())) == expected


@pytest.mark.parametrize(
    ("trained", "reset", "left"), [(0, False, 5), (2, False, 3), (None, False, 5), (2, True, 5), (9, False, -4)]
)
def test_steps_that_are_trained_are_not_trained_again_unless_reset(trained, reset, left):
    model = Recorder(versions(), trained=trained, reset_steps=reset)
    assert training_steps(versions().get("v"), Loader(), model) == left


@pytest.mark.parametrize("trained", [5, 6])
def test_when_nothing_is_left_training_is_skipped_and_said_so(job, capsys, trained):
    model = Recorder(versions(), trained=trained)
    _, outputs, steps = run(job, model)
    assert [call[0] for call in model.calls if call[0] in ("train", "evaluate")] == ["evaluate", "evaluate"]
    assert (outputs["steps"], steps) == ("none; nothing was left to train", 0)
    assert f"nothing left to train: {trained} steps are done" in capsys.readouterr().out


@pytest.mark.parametrize("count", [2.5, "10", None, -1, True])
def test_a_sample_count_that_is_no_whole_number_is_refused(count):
    with pytest.raises(ScriptError, match=r"Loader\.get_train_sample_count must return a whole number, but returned"):
        training_steps(versions().get("v"), Loader(count), Recorder(versions()))


@pytest.mark.parametrize("maker", [Loader, lambda: Loader(), Loader()])
def test_a_data_loader_may_be_an_object_a_class_or_a_function(job, maker):
    model = Recorder(versions(maker))
    run(job, model)
    assert isinstance(model.get_current_version()["dataloader"], Loader)


@pytest.mark.parametrize("maker", ["data.csv", lambda: None, object])
def test_a_data_loader_that_is_none_is_refused(job, maker):
    with pytest.raises(VersionError, match=r"version 'v': dataloader must be an mlpipeline\.helper\.DataLoader"):
        run(job, Recorder(versions(maker)))


def test_numbers_become_metrics_by_part(job):
    metrics, outputs, steps = run(job, Recorder(versions(), answer={"loss": 0.25, "n": 3}))
    assert metrics == {"train.loss": 0.25, "train.n": 3, "test.loss": 0.25, "test.n": 3}
    assert outputs["test"] == "loss: 0.25    n: 3"
    assert steps == 5


def test_summaries_are_texts_whatever_the_script_returns(job):
    class Summarised(Loader):
        def get_dataloader_summery(self, **kwargs):
            return {"rows": 150}

    _, outputs, _ = run(job, Recorder(versions(Summarised())))
    assert {type(text) for text in outputs.values()} == {str}
    assert "150" in outputs["data loader summary"]


def test_an_array_as_a_summary_is_shown(job):
    import numpy as np

    class Summarised(Loader):
        def get_dataloader_summery(self, **kwargs):
            return np.array([150, 4])

    _, outputs, _ = run(job, Recorder(versions(Summarised())))
    assert "150" in outputs["data loader summary"]


def test_what_was_added_to_the_summaries_is_shown(job):
    model = Recorder(versions())
    model.add_to_summery("two layers")
    model.versions.get("v")["dataloader"].add_to_summery("150 rows")
    _, outputs, _ = run(job, model)
    assert (outputs["model summary"], outputs["data loader summary"]) == ("two layers\n", "150 rows\n")


@pytest.mark.parametrize(("answer", "text"), [(None, ""), ("good", "good"), ("", ""), ({}, "")])
def test_an_evaluation_may_have_no_numbers(answer, text):
    assert read_evaluation(answer) == ({}, text)


def test_numbers_of_numpy_and_torch_become_plain_floats():
    import numpy as np
    import torch

    answer = {
        "a": np.float32(0.5),
        "b": np.int64(2),
        "c": torch.tensor(1.5, requires_grad=True),
        "d": np.array([3]),
        4: 5,
    }
    numbers, text = read_evaluation(answer)
    assert numbers == {"a": 0.5, "b": 2, "c": 1.5, "d": 3, "4": 5}
    assert {type(number) for number in numbers.values()} == {float}
    assert text == "a: 0.5    b: 2    c: 1.5    d: 3    4: 5"


def test_nan_is_a_metric_too():
    numbers, text = read_evaluation({"loss": math.nan, "gain": -math.inf})
    assert math.isnan(numbers["loss"])
    assert text == "loss: nan    gain: -inf"


def test_a_container_gives_the_averages_of_its_last_epoch():
    container = MetricContainer(["loss", "accuracy"])
    container.loss.update(6, 4)
    container.accuracy.update(3, 4)
    container.reset_epoc()
    assert read_evaluation(container) == ({"loss": 1.5, "accuracy": 0.75}, "loss: 1.5    accuracy: 0.75")


def test_other_types_are_refused():
    import torch

    for answer in (0.5, [0.5], ("loss", 0.5), {"loss"}, torch.tensor(0.5), True):
        with pytest.raises(ScriptError, match=f"but returned {type(answer).__name__}"):
            read_evaluation(answer)


def test_values_that_are_no_single_number_are_refused():
    import numpy as np
    import torch

    for value in ("0.5", None, [0.5], {"a": 1}, np.zeros(2), torch.zeros(2), 1j):
        with pytest.raises(MetricError, match="must be a single number"):
            read_evaluation({"loss": value})


SCRIPT = """
from mlpipeline.helper import Model
from mlpipeline.utils import Versions
versions = Versions(0.1, list, 4, 2)
versions.add("late", order=5, seed=7)
versions.add("early", model_dir_suffix="kept", hidden=8)
class Mine(Model):
    pass
"""


@pytest.fixture
def load(job, tmp_path, monkeypatch):
    def load_text(end, name="script_of_test_execute"):
        (tmp_path / f"{name}.py").write_text(SCRIPT + end)
        return load_model(job(f"{name}.py"))

    yield load_text
    for name in [name for name in sys.modules if name.endswith("script_of_test_execute")]:
        del sys.modules[name]


def test_the_versions_of_a_script_are_listed_in_the_order_of_execution(job, load):
    listed = list_versions(job(), load("MODEL = Mine(versions)"))
    assert [(each["name"], each["suffix"]) for each in listed] == [("early", "kept"), ("late", "late")]
    assert listed[0]["parameters"]["hidden"] == 8
    assert listed[1]["seed"] == 7
    assert listed[0]["seed"] == list_versions(job(), load("MODEL = Mine(versions)"))[0]["seed"]


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "7", True])
def test_a_seed_that_no_generator_takes_is_refused(job, seed):
    with pytest.raises(VersionError, match=r"version 'v': seed must be from 0 to 2\*\*32 - 1"):
        list_versions(job(), Recorder(versions(seed=seed)))


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ("", "has no global MODEL; end the script with"),
        ("MODEL = Mine", "MODEL must be an instance of a subclass .*, but is the class Mine"),
        ("MODEL = 5", "MODEL must be .*, but is int"),
        ("Mine.__init__ = lambda self: None; MODEL = Mine()", "MODEL has no versions; call super"),
    ],
)
def test_a_script_without_a_usable_MODEL_is_told_why(load, end, message):
    with pytest.raises(ScriptError, match=rf"script_of_test_execute\.py:? {message}"):
        load(end)


def test_a_script_without_versions_is_told_so(job):
    with pytest.raises(ScriptError, match=r"a\.py has no versions; add one"):
        list_versions(job(), Recorder(Versions()))


def test_a_script_may_bear_the_name_of_a_library(load):
    model = load("MODEL = Mine(versions)", name="json")
    assert type(model).__module__ == "mlpipeline_script_json"
    assert sys.modules["json"].dumps([]) == "[]"
    del sys.modules["mlpipeline_script_json"]


def test_what_a_script_defines_can_be_found_by_worker_processes(load):
    model = load("MODEL = Mine(versions)")
    assert sys.modules[type(model).__module__].Mine is type(model)


def test_a_script_that_is_missing_is_an_error(job):
    with pytest.raises(ScriptError, match="is not a Python file that can be loaded"):
        load_model(job("missing.py"))


def test_a_script_raises_its_own_errors(load):
    with pytest.raises(ZeroDivisionError):
        load("1 / 0")


def test_a_data_loader_without_a_summary_is_refused_before_training_or_not_at_all(job):
    class Foreign:
        """Has what training needs, and extends nothing."""

        get_train_input, get_test_input = Loader.get_train_input, Loader.get_test_input
        get_train_sample_count = get_test_sample_count = lambda self: 4

    model = Recorder(versions(Foreign))
    try:
        run(job, model)
    except MlpError:
        assert model.calls == []

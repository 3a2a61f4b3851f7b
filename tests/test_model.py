import logging
import pickle

import pytest

import mlpipeline.helper
import mlpipeline.utils
from mlpipeline.errors import MetricError, ScriptError
from mlpipeline.model import DataLoader, Dataloader, Model
from mlpipeline.versions import Versions


class BareModel(Model):
    def __init__(self):
        self.versions = Versions()


class BareLoader(DataLoader):
    def __init__(self, path, scale=1):
        self.path = path


def test_a_model_that_never_calls_super_works_with_every_default(capsys):
    model = BareModel()
    model.add_to_summery("two layers")
    model.report(1, 2, loss=0.5)
    model.log("hello")
    model.clean_model_dir("nowhere")
    model.pre_execution_hook({}, "nowhere")
    assert (model.get_trained_step_count(), model.get_current_version(), model.summery) == (0, None, "two layers\n")
    assert (model.reset_steps, model.allow_delete_model_dir) == (False, False)
    assert "Model- hello" in capsys.readouterr().out


def test_a_data_loader_that_never_calls_super_works_with_every_default():
    loader = BareLoader("a.csv")
    assert loader.get_dataloader_summery() is None
    loader.add_to_summery("150 rows")
    loader.add_to_summary(4)
    assert loader.get_dataloader_summery() == loader.get_dataloader_summary() == loader.summary == "150 rows\n4\n"


def test_summaries_of_two_objects_stay_apart():
    first, second = BareLoader("a"), BareLoader("b")
    first.add_to_summary("first")
    assert second.summery is None
    assert DataLoader.summery is None


def test_the_older_summary_hook_shows_in_both_spellings():
    class Loader(DataLoader):
        def get_dataloader_summary(self, **kwargs):
            return "mine"

    assert Loader().get_dataloader_summery() == "mine"


def test_a_data_loader_remembers_the_arguments_it_was_made_with():
    assert BareLoader("a.csv", scale=2)._arguments == (("a.csv",), {"scale": 2})


def test_a_data_loader_survives_pickling():
    again = pickle.loads(pickle.dumps(BareLoader("a.csv", scale=2)))
    assert (again.path, again._arguments) == ("a.csv", (("a.csv",), {"scale": 2}))


def test_a_data_loader_without_init_refuses_arguments():
    class Loader(DataLoader):
        pass

    with pytest.raises(TypeError):
        Loader("a.csv")


def test_positional_arguments_stand_in_the_documented_order():
    versions = Versions()
    model = Model(versions, True, False)
    assert (model.versions, model.allow_delete_model_dir, model.reset_steps) == (versions, True, False)


@pytest.mark.parametrize("versions", [None, {}, Versions])
def test_versions_of_another_type_are_refused(versions):
    with pytest.raises(ScriptError, match=r"versions must be an mlpipeline\.utils\.Versions, but got"):
        Model(versions)


@pytest.mark.parametrize("method", ["train_model", "evaluate_model"])
def test_a_model_that_lacks_a_method_is_told_which(method):
    with pytest.raises(ScriptError, match=f"BareModel has no {method}"):
        getattr(BareModel(), method)(None, 1)


@pytest.mark.parametrize(
    "method", ["get_train_input", "get_test_input", "get_train_sample_count", "get_test_sample_count"]
)
def test_a_data_loader_that_lacks_a_method_is_told_which(method):
    with pytest.raises(ScriptError, match=f"BareLoader has no {method}"):
        getattr(BareLoader("a"), method)()


def test_report_hands_numbers_to_whoever_listens(told):
    import numpy as np

    model = BareModel()
    model.report(3, 10, loss=np.float32(0.5), accuracy=1)
    model.report(4)
    assert told == [(3, 10, {"loss": 0.5, "accuracy": 1.0}), (4, None, {})]


def test_report_refuses_what_is_no_number():
    model = BareModel()
    with pytest.raises(MetricError, match=r"report: loss must be a number, but got \[1\]"):
        model.report(1, loss=[1])


def test_log_names_its_agent_and_level(capsys):
    BareLoader("a").log("careful", level=logging.WARNING, agent="reader")
    assert capsys.readouterr().out.endswith("WARNING DataLoader- reader: careful\n")


def test_the_doors_show_the_same_classes():
    assert Dataloader is DataLoader is mlpipeline.helper.Dataloader is mlpipeline.utils.DataLoader
    assert mlpipeline.helper.Model is mlpipeline.utils.Model is Model


@pytest.mark.parametrize("door", [mlpipeline.helper, mlpipeline.utils])
def test_a_door_shows_its_list_and_nothing_else(door):
    shown = {name for name in vars(door) if not name.startswith("__")}
    assert shown == set(door.__all__)

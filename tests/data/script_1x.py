"""A model script as they were written for mlpipeline 1.x; it must always run."""

from mlpipeline.helper import Dataloader, Model
from mlpipeline.utils import (
    ExecutionModeKeys,
    MetricContainer,
    Versions,
    add_script_dir_to_PATH,
    console_colors,
    log,
    version_parameters,
)

add_script_dir_to_PATH()


class Numbers(Dataloader):
    def __init__(self):
        self.log("making the numbers")
        self.add_to_summery("ten numbers")

    def get_train_input(self, mode=ExecutionModeKeys.TRAIN, **kargs):
        return lambda: [1.0] * 10

    def get_test_input(self):
        return lambda: [2.0] * 10

    def get_dataloader_summery(self, **kargs):
        return self.summery

    def get_train_sample_count(self):
        return 10

    def get_test_sample_count(self):
        return 10


class Guess(Model):
    def __init__(self, versions, **args):
        super().__init__(versions, **args)

    def pre_execution_hook(self, version, model_dir, exec_mode=ExecutionModeKeys.TEST):
        self.current_version = version
        self.batch = version[version_parameters.BATCH_SIZE]
        self.add_to_summery("a guess")

    def get_current_version(self):
        return self.current_version

    def get_trained_step_count(self):
        return None

    def train_model(self, input_fn, steps):
        log("training", modifier_1=console_colors.BOLD)
        self.mean = sum(input_fn()[: steps * self.batch])

    def evaluate_model(self, input_fn, steps):
        metrics = MetricContainer(
            metrics=[
                {"metrics": ["loss"], "track_average_epoc_count": 5},
                {"metrics": ["accuracy"], "track_average_epoc_count": 10},
            ]
        )
        for _ in input_fn():
            metrics.loss.update(0.5, 2)
            metrics.accuracy.update(1)
        metrics.log_metrics(metrics=["loss"], log_to_file=False, complete_epoc=True)
        metrics.reset_epoc()
        return metrics.log_metrics(complete_epoc=True)


v = Versions(0.01, Numbers(), 2, 1)
v.addV("version1")
v.addV("version2", epoc_count=2, custom_paramters={"hidden": 4})
v.addV("version3", learning_rate=0.1, model_dir_suffix="third", order=5)
MODEL = Guess(versions=v)

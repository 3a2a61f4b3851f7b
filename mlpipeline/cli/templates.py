"""The files that `init` and `new` write."""

MLP_CONFIG = """\
[MLP]
# where the model scripts lie; may be anywhere
models_dir = models
# where runs leave their records, logs and model directories
outputs_dir = outputs

# [TRACKING]
# mlflow_uri = sqlite:///outputs/mlflow.db

# [NOTIFY]
# command = notify-send "$MLPIPELINE_SCRIPT:$MLPIPELINE_VERSION $MLPIPELINE_STATUS"
"""

QUEUE_FILE = """\
# The queue of {mode}: one script a line, in the order of execution.
# It is read again whenever a run ends: edit it while the queue is running.

[MLP]
# true: run every script of the models folder, except those under [BLACKLISTED_MODELS]
use_blacklist = false

[BLACKLISTED_MODELS]

[WHITELISTED_MODELS]
example.py
"""

GITIGNORE = """\
__pycache__/
outputs/
"""

EXAMPLE_SCRIPT = '''\
"""A least-squares line, fitted by gradient descent: the smallest script that does real work."""

import random

from mlpipeline.helper import DataLoader, Model
from mlpipeline.utils import Versions


class Points(DataLoader):
    """Points near the line y = 3 x + 2."""

    def __init__(self, count=120):
        noise = random.Random(0)
        points = [(x / count, 3 * x / count + 2 + noise.gauss(0, 0.1)) for x in range(count)]
        noise.shuffle(points)
        self.train, self.test = points[: count // 3 * 2], points[count // 3 * 2 :]

    def get_train_input(self, mode=None):
        return self.train

    def get_test_input(self):
        return self.test

    def get_train_sample_count(self):
        return len(self.train)

    def get_test_sample_count(self):
        return len(self.test)


class Line(Model):
    def pre_execution_hook(self, version, model_dir, exec_mode=None):
        self.version = version
        self.slope = self.offset = 0.0

    def train_model(self, input_fn, steps):
        size, rate = self.version["batch_size"], self.version["learning_rate"]
        for step in range(steps):
            batch = [input_fn[(step * size + i) % len(input_fn)] for i in range(size)]
            errors = [self.slope * x + self.offset - y for x, y in batch]
            self.slope -= rate * sum(error * x for error, (x, _) in zip(errors, batch)) / size
            self.offset -= rate * sum(errors) / size
            self.report(step + 1, steps, loss=sum(error**2 for error in errors) / size)

    def evaluate_model(self, input_fn, steps):
        errors = [self.slope * x + self.offset - y for x, y in input_fn[:steps]]
        return {"rmse": (sum(error**2 for error in errors) / len(errors)) ** 0.5}


versions = Versions(dataloader=Points, batch_size=8, epoc_count=50)
versions.grid({"learning_rate": [0.1, 0.5]}, name="rate{learning_rate}")

MODEL = Line(versions)
'''

NEW_SCRIPT = '''\
"""One line that says what this script tries."""

from mlpipeline.helper import DataLoader, Model
from mlpipeline.utils import Versions


class Data(DataLoader):
    """The data set. An object of this class is made only in the process of a run."""

    def __init__(self):
        self.train = [0.0, 1.0, 2.0]  # load your training data here
        self.test = [3.0]  # and what you evaluate on

    def get_train_input(self, mode=None):
        # what train_model gets (mode "Train"), and evaluate_model for the training data (mode "Test")
        return self.train

    def get_test_input(self):
        return self.test

    def get_train_sample_count(self):
        return len(self.train)

    def get_test_sample_count(self):
        return len(self.test)


class MyModel(Model):
    def pre_execution_hook(self, version, model_dir, exec_mode=None):
        # called once before training; keep files of this run in model_dir
        self.version = version
        self.model_dir = model_dir

    def train_model(self, input_fn, steps):
        # train for `steps` batches (1 in test mode); input_fn is what get_train_input returned
        for step in range(steps):
            loss = 1.0 / (step + 1)  # one training step with self.version["learning_rate"]
            self.report(step + 1, steps, loss=loss)  # shows progress; costs next to nothing

    def evaluate_model(self, input_fn, steps):
        # called for the training data, then for the test data; numbers become metrics of the record
        return {"score": 0.0}

    # To go on after a crash instead of starting again: save checkpoints in model_dir, load the last one in
    # pre_execution_hook, and return how many steps it has trained from get_trained_step_count(self).


# Defaults for all versions, then one line a version; parameters of your own may be added to either.
versions = Versions(dataloader=Data, batch_size=1, epoc_count=2)
versions.add("baseline", learning_rate=0.1)
versions.add("slower", learning_rate=0.01)

MODEL = MyModel(versions)
'''

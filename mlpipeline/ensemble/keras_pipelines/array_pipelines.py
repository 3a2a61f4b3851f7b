"""KerasPipeline and KerasFlowPipeline: bags and folds of a Keras model on arrays, without and with augmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from mlpipeline.ensemble.keras_pipelines.base_pipeline import BasePipeline
from mlpipeline.ensemble.keras_pipelines.flow_arguments import FlowArguments
from mlpipeline.ensemble.keras_pipelines.rows import read_inputs, read_rows
from mlpipeline.ensemble.observations import Observations
from mlpipeline.ensemble.targets import check_alike
from mlpipeline.errors import EnsembleError

Predictions = NDArray[Any] | None


@dataclass(eq=False)
class KerasPipeline(BasePipeline):
    """Trains a Keras model several times, on bags or folds of the rows, and predicts with all of them.

        def small_network(params):
            model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(params["classes"], "softmax")])
            model.compile("adam", "sparse_categorical_crossentropy")
            return model

        pipeline = KerasPipeline(small_network, {"classes": 10}, predict_test=True, n_folds=5, number_epochs=20, seed=1)
        model, oof_train, oof_test = pipeline.kfold_run(X_train, y_train, X_test)
        print(pipeline.result.oof_scores)

    A pipeline may be run any number of times: nothing is carried from one run to the next.

    Args:
        model_name: a function of `model_params` that returns a compiled Keras model. It is called for each
            member, and once before, to see what its loss needs.
        model_params: a dict, of which each call gets a copy; None calls the function without an argument.
        predict_test: predict the test rows too.
        n_bags: random splits of `bag_run`.
        n_folds: parts of `kfold_run`.
        split_size: share of the rows that judges a bag.
        stratify: keep the shares of the classes in each bag or fold.
        shuffle: draw the rows of each part at random, and their order anew in each epoch; False leaves them as they
            come: a fold has neighbours, and the last rows judge a bag.
        user_split: `bag_run` takes the validation rows that you give instead of drawing them. In `result` and in files
            they follow the training rows, which are never predicted then.
        seed: of everything that is drawn: splits, weights, order of rows, dropout, augmentation. None draws one,
            which is `pipeline.result.work.seed` then.
        verbose: write a line when a member is ready.
        number_epochs: times that a member sees its training rows; 0 only predicts, with `load_keras_model`.
        batch_size: rows a step.
        callbacks: Keras callbacks, copied for each member so that none shares state or files with another
            (`best.keras` becomes `best_fold0.keras`), or a function of the member's name that returns them.
        run_save_name: keep the run in `<src_dir>/checkpoints/<run_save_name>`: its plan and its predictions, and what
            the next three say. A run that is there is never written over.
        load_keras_model: begin each member from its model in the run `run_save_name`, which was trained on the same
            rows with the same plan. Nothing of that run is changed; `save_as` names a new one to keep.
        save_model: keep the model of each member, `<run>_fold0.keras`.
        save_history: keep what was measured in each epoch, `<run>_history.csv`, and its curves, `<run>_folds.png`.
        save_statistics: keep an account of scores and times, `<run>_stats.txt`.
        output_statistics: write that account to the screen.
        src_dir: the folder of the project; the current one if None.
        stopping_size: share of each member's training rows that is held back: callbacks that monitor `val_loss` see
            these rows, and each member keeps the weights of the epoch that was best on them. The rows that judge a
            member are never looked at for that. None: 0.1 if one of the callbacks listed chooses by `val_...`, else 0.
        class_weight: "balanced", or weights by label.
        task: "classes" or "values", where y alone does not tell: more than 20 whole numbers are values unless the
            loss is sparse_categorical_crossentropy.
        metrics: names, or functions of y and predictions; accuracy and log_loss, or rmse and mae, if None.
        resume: go on with a run that was interrupted: members that are done are not trained again. Needs `save_model`.
        together: train all members at once, which saves time on small models; None where that is possible, False
            never.
        workers: processes that train members side by side.
        save_as: where the run is kept if models are loaded.

    Attributes:
        result: of the last run that was finished, an `EnsembleResult`: models, predictions, scores, histories, plan;
            None before.
        test_scores: of that run's test predictions by metric; None where `y_test` was not given.
    Raises: EnsembleError: an argument cannot be used.
    """

    def bag_run(
        self,
        X_train: Any,
        y_train: Any,
        X_valid: Any = None,
        y_valid: Any = None,
        X_test: Any = None,
        y_test: Any = None,
    ) -> tuple[Any, NDArray[Any], Predictions]:
        """Train `n_bags` models, each on another random part of the rows.

        Args:
            X_train: [n, ...]. y_train: [n] labels or values, or [n, classes] one-hot.
            X_valid: the rows that judge all bags, with `user_split` only. y_valid: in the same form as `y_train`.
            X_test: rows to predict. y_test: what they are, to score the predictions by.

        Returns:
            the last model;
            the validation predictions, means over bags: float[n, outputs] in the order of X_train, with NaN where a
            row judged no bag; with `user_split` float[n_valid, outputs];
            the test predictions, the mean over all bags, float[n_test, outputs]; None if none were asked for.
        Raises: EnsembleError: what was given does not fit together, or the run exists.
        """
        train = read_rows(X_train, y_train, "train")
        valid = self._given_valid(X_valid, y_valid)
        result = self._run_bags(train, _read_test(X_test, y_test, train), valid)
        return result.members[-1].model, result.oof if valid is None else result.oof[len(train) :], result.test

    def kfold_run(
        self, X_train: Any, y_train: Any, X_test: Any = None, y_test: Any = None
    ) -> tuple[Any, NDArray[Any], Predictions]:
        """Train `n_folds` models, each on all parts of the rows but one, which it predicts.

        Args:
            X_train, y_train, X_test, y_test: as for `bag_run`.

        Returns:
            the last model;
            the out-of-fold predictions of the training rows, float[n, outputs]: each by the model that has not seen it;
            those of the test rows, the mean over all folds, float[n_test, outputs]; None if none were asked for.
        Raises: EnsembleError: what was given does not fit together, or the run exists.
        """
        train = read_rows(X_train, y_train, "train")
        result = self._run_folds(train, _read_test(X_test, y_test, train))
        return result.members[-1].model, result.oof, result.test

    def full_train_run(
        self, X_train: Any, y_train: Any, X_test: Any = None, y_test: Any = None
    ) -> tuple[Any, Predictions]:
        """Train one model on all rows, less those that `stopping_size` holds back.

        Args:
            X_train, y_train, X_test, y_test: as for `bag_run`.
        Returns: the model, and its predictions of the test rows; None if none were asked for.
        Raises: EnsembleError: what was given does not fit together, or the run exists.
        """
        train = read_rows(X_train, y_train, "train")
        result = self._run_all(train, _read_test(X_test, y_test, train))
        return result.members[-1].model, result.test

    def _given_valid(self, X_valid: Any, y_valid: Any) -> Observations | None:
        if not self.user_split:
            if X_valid is not None or y_valid is not None:
                raise EnsembleError(
                    "X_valid and y_valid are given, but validation rows are drawn from X_train; set user_split=True "
                    "to be judged by them, or leave them out"
                )
            return None
        if X_valid is None or y_valid is None:
            raise EnsembleError(
                "user_split=True needs X_valid and y_valid; give both, or set user_split=False to draw them"
            )
        return read_rows(X_valid, y_valid, "valid")


@dataclass(eq=False)
class KerasFlowPipeline(FlowArguments, KerasPipeline):
    """Like `KerasPipeline`, for images that are changed at random in training, and predicted several times.

        pipeline = KerasFlowPipeline(
            small_network, predict_test=True, seed=1,
            train_datagen={"rotation_range": 10, "width_shift_range": 0.1, "rescale": 1 / 255},
            test_datagen={"rotation_range": 5, "rescale": 1 / 255}, number_test_augmentations=5,
        )
        model, oof_train, oof_test = pipeline.kf_flow_run(X_train, y_train, X_test)

    Args:
        train_datagen: how training images are changed: a dict of the options of ImageDataGenerator, a transform of
            `torchvision.transforms.v2`, or Keras preprocessing layers; None leaves them as they are.
        valid_datagen, test_datagen: the same of validation and of test images. None takes the part of `train_datagen`
            that is not random, so that a model is shown values as in training; another scale is refused.
        number_test_augmentations: how many changed copies of each test image are predicted and averaged; the order of
            the rows stays, and probabilities still sum to one.
    All other arguments, and what the runs return, are those of `KerasPipeline`. Images are
    [n, height, width, channels].
    """

    bag_flow_run = KerasPipeline.bag_run
    kf_flow_run = KerasPipeline.kfold_run


def _read_test(X_test: Any, y_test: Any, train: Observations) -> Observations | None:
    if X_test is None:
        if y_test is not None:
            raise EnsembleError("y_test is given without X_test; give the rows that it belongs to")
        return None
    if y_test is None:
        return Observations(read_inputs(X_test, "test"))
    test = read_rows(X_test, y_test, "test")
    check_alike(train.y, test.y, ("y_train", "y_test"))
    return test

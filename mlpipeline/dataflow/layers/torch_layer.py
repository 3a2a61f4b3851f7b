"""Torch: a torch module as a layer, trained with a loss or used as it is.

Torch.fit           a copy of the module -> epochs -> batches in random order -> torch_training.step
Torch.transform     batches in order -> module in eval mode -> arrays
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlpipeline.dataflow.layer import StatefulLayer
from mlpipeline.dataflow.layers.batches import features_and_labels, predict_in_batches
from mlpipeline.dataflow.spec import Array, Spec, shape_text
from mlpipeline.errors import PipelineError

if TYPE_CHECKING:
    from mlpipeline.dataflow.layers.torch_training import Training

METHODS = (None, "softmax", "sigmoid", "classes")


class Torch(StatefulLayer):
    """A torch module.

    With a loss, the last node is the labels and the module is trained:
    `Torch(net, "cross_entropy")([images, digits], "logits")`. Without one it is used as it is.
    Numbers come to the module as float32; whole numbers as int64 if it has an Embedding.

    Labels of a cross-entropy are class numbers (n,), or probabilities of the shape of the outputs,
    such as one-hot labels. Targets (n,) of outputs (n, 1) are taken as (n, 1).

    The module itself is never trained: a copy is, and stands in `metadata["module"]`. A fit gives the
    same for the same seed, and leaves torch's own random numbers as they were. On a stream each batch
    is one step, and the optimizer goes on from one to the next; it is not saved with a pipeline, and
    begins anew where a loaded one learns more.

    Args:
        module: an nn.Module, or a function or class that makes one; its weights follow from the seed then.
        loss: "cross_entropy", "mse", "l1", "huber", "bce", "bce_with_logits", "nll", or what takes
            (outputs, targets) and returns a number.
        optimizer: "adam", "adamw", "sgd", ... or what takes (parameters, lr=...).
        learning_rate: of the optimizer.
        epochs: None takes those of the pipeline's fit.
        batch_size: observations in a training step.
        seed: of the order of observations, of dropout, and of new weights.
        device: where it is computed.
        method: what is made of the outputs: None, "softmax", "sigmoid", or "classes", the number of the largest.
        n_outputs: how many arrays the module returns.
    """

    def __init__(
        self,
        module: Any,
        loss: Any = None,
        optimizer: Any = "adam",
        learning_rate: float = 1e-3,
        epochs: int | None = None,
        batch_size: int = 32,
        seed: int = 0,
        device: str = "cpu",
        method: str | None = None,
        n_outputs: int = 1,
    ) -> None:
        from mlpipeline.dataflow.layers.torch_training import loss_function, optimizer_maker

        super().__init__(n_outputs)
        self.module = module
        self.loss = loss
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.seed = seed
        self.device = device
        self.method = method
        self._training: Training | None = None
        if not callable(module):
            raise PipelineError(f"Torch: expected a module or a function that makes one, but got {module!r:.80}")
        if method not in METHODS:
            raise PipelineError(f"Torch: expected as method one of {METHODS}, but got {method!r}")
        loss_function(loss)
        optimizer_maker(optimizer)

    def label_count(self, n_inputs: int) -> int:
        """Return 1 with a loss.

        Raises: PipelineError: there is a loss, but there are no labels.
        """
        if self.loss is not None and n_inputs < 2:
            raise PipelineError(
                f"Torch: with a loss expected [features, labels], the labels last, but got {n_inputs} node"
            )
        return int(self.loss is not None)

    def infer(self, *specs: Spec) -> Spec | tuple[Spec, ...]:
        """Return what the module gives for two observations of zeros, where their shapes are known.

        Raises: PipelineError: the module does not take them.
        """
        from mlpipeline.dataflow.layers.torch_training import fresh_module, looks_up, run_module

        if any(spec.size is None or (spec.dtype is not None and spec.dtype.kind not in "biuf") for spec in specs):
            return super().infer(*specs)
        module = fresh_module(self.module, self.seed)
        if looks_up(module) and any(spec.dtype is None for spec in specs):
            return super().infer(*specs)
        zeros = [
            np.zeros((2, *(length or 0 for length in spec.shape or ())), spec.dtype or np.float32) for spec in specs
        ]
        try:
            results = self._finished(run_module(module.cpu(), zeros, "cpu"))
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            shapes = " and ".join(shape_text(spec.shape) for spec in specs)
            raise PipelineError(f"the module does not take {shapes}: {error}") from None
        outputs = tuple(Spec.of(each) for each in results)
        return outputs[0] if self.n_outputs == 1 else outputs

    def fit(self, *arrays: Array, epochs: int = 1) -> StatefulLayer:
        """Train a copy of the module on all observations."""
        from mlpipeline.dataflow.layers.torch_training import train

        features, labels = features_and_labels(self, arrays)
        training = self._begun(features)
        if labels:
            train(training, features, labels[0], self.epochs or epochs, self.batch_size)
        self.metadata["module"] = training.module
        self._training = training
        return self

    def partial_fit(self, *arrays: Array) -> StatefulLayer:
        """Take one training step with a batch."""
        from mlpipeline.dataflow.layers.torch_training import train_batch

        features, labels = features_and_labels(self, arrays)
        training = self._training
        if training is None or training.module is not self.metadata.get("module"):
            training = self._begun(features)
        if labels:
            train_batch(training, features, labels[0])
        self.metadata["module"] = training.module
        self._training = training
        return self

    def transform(self, *features: Array) -> Any:
        """Return what the trained module gives, computed in eval mode."""
        from mlpipeline.dataflow.layers.torch_training import run_module

        module = self.metadata.get("module")
        if module is None:
            raise PipelineError(f"{self!r} has not been fitted")
        results = predict_in_batches(
            lambda batch: self._finished(run_module(module, batch, self.device)), features, self.batch_size
        )
        return results[0] if self.n_outputs == 1 else results

    def unfitted_copy(self) -> Torch:
        """Return a copy that has learned nothing; a fit does not change the module that they share."""
        copied = copy.copy(self)
        copied.metadata = {}
        copied._training = None
        return copied

    def fitted_copy(self) -> Torch:
        """Return a copy with a trained module and an optimizer of its own."""
        copied = copy.copy(self)
        copied.metadata, copied._training = copy.deepcopy((self.metadata, self._training))
        return copied

    def _begun(self, features: Sequence[Array]) -> Training:
        """Return a training of what is known, or of a copy of the module."""
        from mlpipeline.dataflow.layers.torch_training import begin

        return begin(
            self.metadata.get("module", self.module),
            features,
            self.loss,
            self.optimizer,
            self.learning_rate,
            self.seed,
            self.device,
        )

    def _finished(self, outputs: Any) -> list[Array]:
        """Return the outputs of a module as arrays, by the method that was asked for."""
        results = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
        if len(results) != self.n_outputs or not all(hasattr(each, "cpu") for each in results):
            raise PipelineError(
                f"the module returned {len(results)} outputs, expected {self.n_outputs} tensors: Torch(n_outputs=...)"
            )
        return [_applied(self.method, each).cpu().numpy() for each in results]


def _applied(method: str | None, output: Any) -> Any:
    if output.dtype.is_floating_point and output.dtype.itemsize < 4:
        output = output.float()  # numpy has no bfloat16
    functions: dict[str | None, Callable[[], Any]] = {
        None: lambda: output,
        "softmax": lambda: output.softmax(dim=1),
        "sigmoid": output.sigmoid,
        "classes": lambda: output.argmax(dim=1),
    }
    return functions[method]()

"""Kind of Keras models: their configuration as JSON, and their weights and optimizer's state as arrays.

Keras would import what a configuration names. So every name in it is looked at first: it must be a
public class or function of Keras that only computes, or one that the caller trusts.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from types import FunctionType
from typing import Any

import numpy as np

from mlpipeline.dataflow.layers.keras_layer import keras_module
from mlpipeline.dataflow.saving.archive import parsed
from mlpipeline.dataflow.saving.array_kinds import KINDS as ARRAY_KINDS
from mlpipeline.dataflow.saving.codec import Decoder, Encoder, Json, Kind
from mlpipeline.dataflow.saving.trust import checked_name, dotted, find
from mlpipeline.errors import PipelineError

_SPACES = (
    "activations constraints dtype_policies initializers layers losses metrics optimizers optimizers.schedules "
    "quantizers random regularizers"
)
_BASES = (
    "Layer Initializer constraints.Constraint regularizers.Regularizer Loss Metric Optimizer DTypePolicy "
    "optimizers.schedules.LearningRateSchedule quantizers.Quantizer random.SeedGenerator"
)
_DANGEROUS = "Lambda TorchModuleWrapper TFSMLayer JaxLayer FlaxLayer StringLookup IntegerLookup TextVectorization"
NAMESPACES = frozenset(_SPACES.split())
BASES = tuple(_BASES.split())
NOT_ALLOWED = frozenset(_DANGEROUS.split())  # they hold code, load files or import other libraries
OPERATIONS = ("numpy", "math", "nn", "linalg", "image")  # of keras.src.ops: what x + y makes in a functional model
FUNCTIONAL = "keras.src.models.functional:Functional"
ROLES = ("weights", "optimizer")
VALUES = ("__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__")


def _encode(encoder: Encoder, value: Any, where: str) -> Json:
    keras = keras_module()
    try:
        content = json.dumps(_public(keras.saving.serialize_keras_object(value), type(value))).encode()
        made = _made(json.loads(content), _found_again)
    except PipelineError as error:
        raise PipelineError(f"{where}: {error}") from None
    except Exception as error:
        raise PipelineError(f"{where}: the Keras model cannot be made again from its configuration: {error}") from error
    told: Json = {"config": encoder.add("models", "json", content)}
    for role in ROLES:
        variables = _variables(value, role)
        if [each.shape for each in _variables(made, role, build=bool(variables))] != [each.shape for each in variables]:
            raise PipelineError(f"{where}: the Keras model comes back from its configuration with other {role}")
        told[role] = [_encode_variable(encoder, each, f"{where}, {each.path}") for each in variables]
    return told


def _decode(decoder: Decoder, told: Json) -> Any:
    try:
        model = _made(_config(decoder, told), decoder.trust.find)
    except PipelineError:
        raise
    except Exception as error:
        raise PipelineError(f"{told['config']}: the Keras model cannot be made: {error}") from error
    for role in ROLES:
        for variable, each in zip(_variables(model, role, build=bool(told[role])), told[role], strict=True):
            value = decoder.decode(each)
            if tuple(variable.shape) != value.shape:
                raise ValueError(f"{variable.path} has the shape {tuple(variable.shape)}, but {value.shape} came")
            variable.assign(value)
    return model


def _names(decoder: Decoder, told: Json) -> Iterable[str]:
    """Return what the configuration names and Keras' own allowed classes are not."""
    keras_module()
    return [name for name, _ in _custom(_config(decoder, told))]


def _config(decoder: Decoder, told: Json) -> Json:
    return parsed(decoder.part(told["config"]), str(told["config"]))


def _made(config: Json, look_up: Callable[[str], Any]) -> Any:
    """Return the model of a configuration, compiled if it was.

    Args:
        config: as Keras writes it, with public names.
        look_up: finds a class or function that is not Keras' own.
    """
    keras = keras_module()
    custom = {asked: look_up(name) for name, asked in _custom(config)}
    model = keras.saving.deserialize_keras_object(config, custom_objects=custom, safe_mode=True)
    if not isinstance(model, keras.Model):
        raise ValueError(f"a {type(model).__name__} came where a Keras model should be")
    return model


def _variables(model: Any, role: str, build: bool = False) -> list[Any]:
    if role == "weights":
        return list(model.variables)
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and build and not optimizer.built:
        optimizer.build(model.trainable_variables)
    if optimizer is None or not (build or (optimizer.built and int(optimizer.iterations))):
        return []  # one that has made no step is as good as new
    return list(optimizer.variables)


def _encode_variable(encoder: Encoder, variable: Any, where: str) -> Any:
    array = np.asarray(keras_module().ops.convert_to_numpy(variable.value))
    return {"is": "array", **ARRAY_KINDS["array"].encode(encoder, array, where)}


def _public(told: Any, kind: type | None = None) -> Any:
    """Return a configuration with the public names of Keras' classes in place of those of one backend."""
    if isinstance(told, list | tuple):
        return [_public(each) for each in told]
    if not isinstance(told, dict):
        return told
    public = {key: _public(each) for key, each in told.items()}
    if isinstance(public.get("class_name"), str) and "config" in public and public["class_name"] not in VALUES:
        if kind is not None and public.get("module") is None:
            public["module"] = kind.__module__
        public["module"] = public.get("module") or "__main__"  # where Keras says None
        if public["class_name"] == "function" and public["module"] == "builtins":
            public["module"] = _module_of(public["config"])
        optimizers = f"keras.optimizers:{public['class_name']}"
        if public["module"].startswith("keras.src.") and "optimizers" in public["module"] and _is_allowed(optimizers):
            public["module"] = "keras.optimizers"
        if _is_allowed(_name(public)):
            public["registered_name"] = None
    return public


def _module_of(function: str) -> str:
    """Return where a function was defined that Keras knows by the name it is registered under."""
    found = keras_module().saving.get_registered_object(function)
    return "builtins" if found is None else str(found.__module__)


def _found_again(name: str) -> Any:
    """Return what a name of a configuration says, as it will be found when the pipeline is loaded.

    Raises: PipelineError: it will not.
    """
    try:
        return find(name)
    except PipelineError:
        module, _, last = name.partition(":")
        advice = "; decorate it with @keras.saving.register_keras_serializable()" if module == "builtins" else ""
        raise PipelineError(
            f"{last} of the Keras model cannot be found again when the pipeline is loaded; define it at module level"
            f"{advice}"
        ) from None


def _custom(told: Any) -> Iterator[tuple[str, str]]:
    """Return each name that is not Keras' own, and the word under which Keras will ask for it.

    Raises: ValueError: this is no configuration that was saved here.
    """
    if isinstance(told, list):
        for each in told:
            yield from _custom(each)
    elif isinstance(told, dict):
        if "class_name" in told and told["class_name"] not in VALUES:
            name = _name(told)
            asked = _asked_for(told)
            if not _is_allowed(name):
                yield name, asked
            elif asked != name.partition(":")[2]:  # Keras would take what the program has registered under it
                raise ValueError(f"{dotted(name)} is called {asked!r:.80} too")
        for each in told.values():
            yield from _custom(each)


def _name(told: Json) -> str:
    """Return the name `module:Class` of an object in a configuration."""
    if told["class_name"] in ("__lambda__", "__typespec__"):
        raise PipelineError(
            "the Keras model holds a lambda, which is code; write a layer class or a function at module level instead"
        )
    last = told["config"] if told["class_name"] == "function" else told["class_name"]
    return checked_name(f"{told.get('module')}:{str(last).rpartition('>')[2]}")


def _asked_for(told: Json) -> str:
    return str(
        told["config"] if told["class_name"] == "function" else told.get("registered_name") or told["class_name"]
    )


def _is_allowed(name: str) -> bool:
    """Return whether a name is a class or function of Keras that computes and does nothing else."""
    module, _, last = name.partition(":")
    if name == FUNCTIONAL or name in ("keras:Model", "keras:Sequential", "keras:DTypePolicy"):
        return True
    if module == "builtins":  # so Keras calls its own losses and activations
        return any(_is_function(f"keras.{each}", last) for each in ("activations", "losses", "metrics"))
    space = module.removeprefix("keras.")
    if module.startswith("keras.src.ops.") and module.rpartition(".")[2] in OPERATIONS:
        return _is_operation(module, last)
    if not module.startswith("keras.") or space not in NAMESPACES or last.startswith("_") or last in NOT_ALLOWED:
        return False
    return _is_function(module, last) or _is_class(module, last)


def _is_function(module: str, name: str) -> bool:
    if module.rpartition(".")[2] not in ("activations", "losses", "metrics"):
        return False
    found = getattr(_space(module), name, None)
    return isinstance(found, FunctionType) and name not in ("get", "serialize", "deserialize")


def _is_class(module: str, name: str) -> bool:
    found = getattr(_space(module), name, None)
    bases = tuple(_space(f"keras.{each}") for each in BASES)
    return isinstance(found, type) and issubclass(found, bases)


def _is_operation(module: str, name: str) -> bool:
    found = vars(sys.modules.get(module, object)).get(name)
    return isinstance(found, type) and found.__module__ == module and issubclass(found, keras_module().Operation)


def _space(module: str) -> Any:
    found = keras_module()
    for part in module.split(".")[1:]:
        found = getattr(found, part)
    return found


def _takes(value: Any) -> bool:
    keras = sys.modules.get("keras")
    with contextlib.suppress(AttributeError):  # Keras is being imported by another thread
        return keras is not None and isinstance(value, keras.Model)
    return False


KINDS = {"keras model": Kind(_takes, _encode, _decode, _names)}

"""Kinds of torch: modules as a description and safetensors, tensors, dtypes, devices.

A module is described by its class, what it was made with, found in its attributes, and its children
where it is a container. Saving makes it again from that, and refuses it where another comes out.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mlpipeline.dataflow.saving.codec import Decoder, Encoder, Json, Kind
from mlpipeline.dataflow.saving.name_kinds import name_of
from mlpipeline.dataflow.saving.trust import checked_name, dotted
from mlpipeline.errors import PipelineError

CONTAINERS = ("torch.nn:Sequential", "torch.nn:ModuleList", "torch.nn:ModuleDict")
ADVICE = (
    "pass Torch a function or class at module level that makes the module; it is saved by its import path, and "
    "needs load_pipeline(path, trusted=[...])"
)


def encode_made(encoder: Encoder, value: Any, maker: Callable[[], Any], where: str) -> Json:
    """Return what is told about a module that a function or class makes.

    Raises: PipelineError: it makes another.
    """
    with _own_random_numbers():
        _check_same(value, maker(), where)
    return {"is": "torch module", "maker": encoder.encode(maker, where), **_state(encoder, value, where)}


def _encode_module(encoder: Encoder, value: Any, where: str) -> Json:
    told = _described(encoder, value, where)
    with _own_random_numbers():
        _check_same(value, _remade(value, where), where)
    return {"made": told, **_state(encoder, value, where)}


def _decode_module(decoder: Decoder, told: Json) -> Any:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        state = load(bytes(decoder.part(told["entry"])))
        with _own_random_numbers():
            if "made" in told and all(name.startswith("torch.nn:") for name in _module_names(decoder, told)):
                with torch.device("meta"):  # of any size, without memory
                    _check_sizes(_made(decoder, told["made"]), state)
            module = _made(decoder, told["made"]) if "made" in told else decoder.decode(told["maker"])()
        _check_sizes(module, state)
        module.load_state_dict(state, assign=True)
    except (SafetensorError, RuntimeError) as error:
        raise PipelineError(f"{told['entry']} does not fit on the module that it was saved with: {error}") from None
    for name, each in module.named_modules():
        each.training = name in told["training"]
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name not in told["frozen"])
    return module


def _check_sizes(module: Any, state: dict[str, Any]) -> None:
    """Refuse a description of a module that is larger than the weights that came with it.

    Raises: ValueError: says how they differ.
    """
    if not hasattr(module, "state_dict"):
        raise ValueError(f"a {type(module).__name__} came where a torch module should be")
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    came = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if wanted != came:
        raise ValueError(f"weights of shapes {wanted!r:.200} should be there, but {came!r:.200} came")


@contextmanager
def _own_random_numbers() -> Iterator[None]:
    """Leave torch's random numbers as they are: a module that is made draws its first weights."""
    import torch

    with torch.random.fork_rng(devices=[]):
        yield


def _state(encoder: Encoder, module: Any, where: str) -> Json:
    from safetensors.torch import save

    tensors = module.state_dict()
    for name, tensor in tensors.items():
        if not hasattr(tensor, "data_ptr"):
            raise PipelineError(f"{where}: the state {name} of the {type(module).__name__} is no tensor; {ADVICE}")
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    places = [tensor.data_ptr() for tensor in tensors.values() if tensor.numel()]
    if len(set(places)) != len(places):
        raise PipelineError(
            f"{where}: two tensors of the {type(module).__name__} share their memory, which would be lost"
        )
    return {
        "entry": encoder.add("tensors", "safetensors", save(state)),
        "frozen": [name for name, parameter in module.named_parameters() if not parameter.requires_grad],
        "training": [name for name, each in module.named_modules() if each.training],
    }


def _described(encoder: Encoder, module: Any, where: str) -> Json:
    name = name_of(type(module), where)
    if name in CONTAINERS:
        children = [[key, _described(encoder, child, f"{where}.{key}")] for key, child in module.named_children()]
        return {"class": name, "children": children}
    arguments = {key: encoder.encode(each, f"{where}, {key}") for key, each in _arguments(module, where).items()}
    return {"class": name, "arguments": arguments}


def _remade(module: Any, where: str) -> Any:
    """Return a module as `_described` and `_made` would make it, without a file between them."""
    if name_of(type(module), where) in CONTAINERS:
        return _filled(type(module), {key: _remade(child, where) for key, child in module.named_children()})
    return type(module)(**_arguments(module, where))


def _made(decoder: Decoder, told: Json) -> Any:
    import torch

    name = checked_name(told["class"])
    kind = decoder.trust.find(name)
    if not isinstance(kind, type) or not issubclass(kind, torch.nn.Module):
        raise ValueError(f"{dotted(name)} is no torch module")
    if name in CONTAINERS:
        children = {key: _made(decoder, child) for key, child in told["children"]}
        return _filled(kind, children)
    return kind(**{key: decoder.decode(each) for key, each in told["arguments"].items()})


def _filled(kind: type, children: dict[str, Any]) -> Any:
    made = kind()
    for key, child in children.items():
        made.add_module(key, child)
    return made


def _arguments(module: Any, where: str) -> dict[str, Any]:
    """Return what a module was made with, from its attributes of the same names."""
    import torch

    found = {}
    for parameter in _parameters(module, where):
        value = getattr(module, parameter.name, parameter.empty)
        if isinstance(parameter.default, bool) and (value is None or isinstance(value, torch.nn.Parameter)):
            value = value is not None  # a layer keeps its bias where it was told whether to have one
        if value is not parameter.empty:
            found[parameter.name] = value
        elif parameter.default is parameter.empty or not _shows_all(module):
            raise PipelineError(
                f"{where}: {type(module).__name__} keeps no self.{parameter.name}, so that it cannot be made again; "
                f"{ADVICE}"
            )
    return found


def _shows_all(module: Any) -> bool:
    """Return whether a module looks different for every argument that it keeps no attribute of."""
    import torch

    is_leaf = type(module).__module__.startswith("torch.nn.modules.") and not list(module.children())
    return is_leaf or type(module) is torch.nn.MultiheadAttention


def _parameters(module: Any, where: str) -> list[inspect.Parameter]:
    import torch

    parameters = inspect.signature(type(module).__init__).parameters
    if type(module) in (torch.nn.RNN, torch.nn.LSTM, torch.nn.GRU):  # they take *args, and hand them on
        extra = {"nonlinearity": inspect.Parameter("nonlinearity", inspect.Parameter.KEYWORD_ONLY)}
        handed_on = dict(inspect.signature(torch.nn.RNNBase.__init__).parameters)
        left_out = {"mode", *(() if module.proj_size else ("proj_size",))}
        parameters = {**handed_on, **(extra if type(module) is torch.nn.RNN else {})}  # type: ignore[assignment]
    elif type(module).__init__ is torch.nn.Module.__init__:
        return []
    else:
        left_out = set()
    left_out |= {"self", "device", "dtype"}
    found = [each for name, each in parameters.items() if name not in left_out and not name.startswith("_")]
    if any(each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD) for each in found):
        raise PipelineError(
            f"{where}: {type(module).__name__} takes any arguments, so that they cannot be found again; {ADVICE}"
        )
    return found


def _check_same(module: Any, made: Any, where: str) -> None:
    def told(each: Any) -> object:
        return repr(each), [(name, tensor.shape) for name, tensor in each.state_dict().items()]

    if told(module) != told(made):
        raise PipelineError(f"{where}: {type(module).__name__} cannot be made again from its attributes; {ADVICE}")


def _module_names(decoder: Decoder, told: Json) -> list[str]:
    found: list[str] = []
    waiting = [told["made"]] if "made" in told else []
    while waiting:
        each = waiting.pop()
        found.append(checked_name(each["class"]))
        waiting += [child for _, child in each.get("children", ())]
    return found


def _encode_tensor(encoder: Encoder, value: Any, where: str) -> Json:
    from safetensors.torch import save

    return {"entry": encoder.add("tensors", "safetensors", save({"tensor": value.detach().cpu().contiguous()}))}


def _decode_tensor(decoder: Decoder, told: Json) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(bytes(decoder.part(told["entry"])))["tensor"]
    except SafetensorError as error:
        raise ValueError(f"{told['entry']}: {error}") from None


def _decode_dtype(decoder: Decoder, told: Json) -> Any:
    import torch

    found = getattr(torch, str(told["name"]), None)
    if not isinstance(found, torch.dtype):
        raise ValueError(f"{told['name']!r:.40} is no dtype of torch")
    return found


def _decode_device(decoder: Decoder, told: Json) -> Any:
    import torch

    return torch.device(str(told["name"]))


def is_module(value: Any) -> bool:
    """Return whether a value is a torch module; without torch there is none."""
    return "torch" in sys.modules and isinstance(value, sys.modules["torch"].nn.Module)


def _is(name: str) -> Callable[[Any], bool]:
    """Return what tells whether a value is of a class of torch."""
    return lambda value: "torch" in sys.modules and isinstance(value, getattr(sys.modules["torch"], name))


KINDS = {
    "torch module": Kind(is_module, _encode_module, _decode_module, _module_names),
    "tensor": Kind(_is("Tensor"), _encode_tensor, _decode_tensor),
    "torch dtype": Kind(
        _is("dtype"), lambda encoder, value, where: {"name": str(value).removeprefix("torch.")}, _decode_dtype
    ),
    "device": Kind(_is("device"), lambda encoder, value, where: {"name": str(value)}, _decode_device),
}

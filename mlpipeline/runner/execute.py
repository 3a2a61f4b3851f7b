"""The life of a run, inside its own process.

load_model            the script's MODEL
list_versions         when only the versions are asked for
run_version           data loader -> pre_execution_hook -> train_model -> evaluate_model, twice
"""

from __future__ import annotations

import importlib.util
import math
import sys
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from mlpipeline.description import describe_version
from mlpipeline.errors import ScriptError, VersionError
from mlpipeline.metrics import MetricContainer, as_number
from mlpipeline.model import DataLoader, Model
from mlpipeline.records import Job
from mlpipeline.versions import ExecutionModeKeys, Version, Versions, version_parameters

Outputs = dict[str, str]
_LOADER_METHODS = tuple(
    name for name in vars(DataLoader) if name.startswith("get_") and name.endswith(("input", "count"))
)


def load_model(job: Job) -> Model:
    """Run the script and return its MODEL.

    Raises: ScriptError: it has none, or one that is no Model. Whatever the script itself raises.
    """
    path = Path(job.models_dir, job.script)
    module = _load_module(path)
    model = getattr(module, "MODEL", None)
    if model is None:
        raise ScriptError(f"{job.script} has no global MODEL; end the script with `MODEL = YourModel(versions)`")
    if not isinstance(model, Model):
        raise ScriptError(
            f"{job.script}: MODEL must be an instance of a subclass of mlpipeline.helper.Model, "
            f"but is {'the class ' + model.__name__ if isinstance(model, type) else type(model).__name__}"
        )
    if not isinstance(getattr(model, "versions", None), Versions):
        raise ScriptError(f"{job.script}: MODEL has no versions; call super().__init__(versions) in its __init__")
    return model


def list_versions(job: Job, model: Model) -> list[dict[str, Any]]:
    """Return name, directory suffix, seed and described parameters of each version, in the order of execution.

    Raises: ScriptError: there are none.
    """
    if not len(model.versions):
        raise ScriptError(f"{job.script} has no versions; add one with versions.add('name')")
    return [
        {
            "name": version.name,
            "suffix": version["model_dir_suffix"] or version.name,
            "seed": _seed(version),
            "parameters": describe_version(version),
        }
        for version in model.versions
    ]


def run_version(
    job: Job, model: Model, started: Callable[[], None], version: Version | None = None
) -> tuple[dict[str, float], Outputs, int]:
    """Train and evaluate one version.

    Args:
        job: what to run.
        model: the script's, fresh.
        started: called when the model directory is ready and before anything is trained.
        version: with parameters that were chosen for this run; the model's own of that name where None.
    Returns: metrics by name, texts by heading, and the number of batches trained.
    """
    assert job.version is not None
    version = model.versions.get(job.version) if version is None else version
    loader = _data_loader(version)
    version = version.replacing(dataloader=loader)
    model._version = version
    if job.clean_model_dir and model.allow_delete_model_dir:
        model.clean_model_dir(job.model_dir)
    Path(job.model_dir).mkdir(parents=True, exist_ok=True)
    started()
    mode = ExecutionModeKeys.TEST if job.is_test else ExecutionModeKeys.TRAIN
    model.pre_execution_hook(version, job.model_dir, mode)
    steps = 1 if job.is_test else training_steps(version, loader, model)
    if steps > 0:
        model.train_model(loader.get_train_input(mode=ExecutionModeKeys.TRAIN), steps)
    else:
        model.log(f"nothing left to train: {model.get_trained_step_count()} steps are done", log_to_file=True)
    metrics, outputs = _evaluate(job, model, loader)
    outputs["steps"] = str(steps) if steps > 0 else "none; nothing was left to train"
    outputs["model summary"] = _text(model.summery)
    outputs["data loader summary"] = _text(
        loader.get_dataloader_summery() if hasattr(loader, "get_dataloader_summery") else None
    )
    return metrics, outputs, max(steps, 0)


def _text(summary: object) -> str:
    return "" if summary is None else str(summary)


def training_steps(version: Version, loader: DataLoader, model: Model) -> int:
    """Return how many batches are to be trained: all epochs', less those that an unfinished run has trained."""
    samples = _count(loader, "get_train_sample_count")
    whole = math.ceil(version[version_parameters.EPOC_COUNT] * samples / version[version_parameters.BATCH_SIZE])
    trained = 0 if model.reset_steps else model.get_trained_step_count() or 0
    return int(whole - trained)


def _evaluate(job: Job, model: Model, loader: DataLoader) -> tuple[dict[str, float], Outputs]:
    metrics: dict[str, float] = {}
    outputs: Outputs = {}
    inputs: dict[str, Callable[[], Any]] = {
        "train": lambda: loader.get_train_input(mode=ExecutionModeKeys.TEST),
        "test": loader.get_test_input,
    }
    for part, get_input in inputs.items():
        count = 1 if job.is_test else _count(loader, f"get_{part}_sample_count")
        answer = model.evaluate_model(get_input(), count)
        numbers, outputs[part] = read_evaluation(answer)
        metrics.update({f"{part}.{name}": value for name, value in numbers.items()})
    return metrics, outputs


def read_evaluation(answer: Any) -> tuple[dict[str, float], str]:
    """Return the metrics in what `evaluate_model` returned, and the text that shows it.

    Raises: ScriptError, MetricError: it is neither None, a string, a mapping of numbers nor a MetricContainer.
    """
    if answer is None or isinstance(answer, str):
        return {}, answer or ""
    if isinstance(answer, MetricContainer):
        numbers = answer.averages()
    elif isinstance(answer, Mapping):
        numbers = {str(name): as_number(value) for name, value in answer.items()}
    else:
        raise ScriptError(
            "evaluate_model must return None, a string, a mapping of metric names to numbers or a MetricContainer, "
            f"but returned {type(answer).__name__}"
        )
    return numbers, "    ".join(f"{name}: {value:.6g}" for name, value in numbers.items())


def _load_module(path: Path) -> ModuleType:
    name = path.stem if path.stem not in sys.modules else f"mlpipeline_script_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ScriptError(f"{path} is not a Python file that can be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # so that what the script defines can be found again by worker processes
    spec.loader.exec_module(module)
    return module


def _data_loader(version: Version) -> DataLoader:
    loader = version[version_parameters.DATALOADER]
    if not isinstance(loader, DataLoader) and callable(loader):
        loader = loader()
    missing = [name for name in _LOADER_METHODS if not hasattr(loader, name)]
    if missing:
        kind = f"{type(loader).__module__}.{type(loader).__qualname__}"
        raise VersionError(
            f"version {version.name!r}: dataloader must be an mlpipeline.helper.DataLoader, or a class or function "
            f"without arguments that makes one, but is a {kind} (no {missing[0]}); "
            "one from another library can be what your DataLoader's get_train_input returns"
        )
    return loader  # type: ignore[no-any-return]


def _count(loader: DataLoader, method: str) -> int:
    count = getattr(loader, method)()
    if isinstance(count, bool) or not hasattr(count, "__index__") or count < 0:
        raise ScriptError(f"{type(loader).__name__}.{method} must return a whole number, but returned {count!r}")
    return int(count)


def _seed(version: Version) -> int:
    seed = version.get("seed")
    if seed is None:
        return zlib.crc32(version.name.encode())
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or not 0 <= seed < 2**32:
        raise VersionError(f"version {version.name!r}: seed must be from 0 to 2**32 - 1, but is {seed!r}")
    return int(seed)

"""Kind of scikit-learn's objects, and of what follows its ways: written by skops, read after a look at every type.

skops numbers objects by their address; here they are numbered in their order, and only where one
object stands at several places, so that the same estimator is the same bytes.
"""

from __future__ import annotations

import importlib
import io
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from mlpipeline.dataflow.saving.allowed import LAYERS
from mlpipeline.dataflow.saving.archive import as_array, npy_bytes, pack, parsed, unpack
from mlpipeline.dataflow.saving.array_kinds import without_padding
from mlpipeline.dataflow.saving.codec import Decoder, Encoder, Json, Kind
from mlpipeline.dataflow.saving.trust import checked_name
from mlpipeline.errors import PipelineError

SCHEMA = "schema.json"
# what common estimators are made of beside what skops vouches for: written in Python, and does nothing but compute.
# Trees and their like are not among them: they are indexed in C without a look at the bounds
_PARTS = {
    "numpy": "dtype",
    "sklearn._loss.loss": "HalfTweedieLoss HalfTweedieLossIdentity",
    "sklearn.calibration": "_CalibratedClassifier _SigmoidCalibration",
    "sklearn.cluster._bisect_k_means": "_BisectingTree",
    "sklearn.cluster._kmeans": "_kmeans_single_lloyd _kmeans_single_elkan",
    "sklearn.feature_selection._mutual_info": "mutual_info_classif mutual_info_regression",
    "sklearn.feature_selection._univariate_selection": "chi2 f_classif f_regression r_regression",
    "sklearn.gaussian_process._gpc": "_BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels": (
        "CompoundKernel ConstantKernel DotProduct ExpSineSquared Exponentiation Hyperparameter Matern Product RBF "
        "RationalQuadratic Sum WhiteKernel"
    ),
    "sklearn.neural_network._stochastic_optimizers": "AdamOptimizer SGDOptimizer",
}
KNOWN = frozenset(f"{module}.{name}" for module, names in _PARTS.items() for name in names.split())
FIRST_PROTOCOL = 2  # what older ones let through, skops has learned to refuse since


def _encode(encoder: Encoder, value: Any, where: str) -> Json:
    skops = _skops()
    kind = type(value).__name__
    try:
        content = canonical(skops.dumps(value))
        again = canonical(skops.dumps(skops.loads(content, trusted=skops.get_untrusted_types(data=content))))
    except Exception as error:
        raise PipelineError(f"{where}: {kind} cannot be saved by skops: {error}{_hint(error)}") from None
    if again != content:
        raise PipelineError(f"{where}: {kind} comes back from skops as another; its parameters should be plain values")
    return {"entry": encoder.add("estimators", "skops", content)}


def _decode(decoder: Decoder, told: Json) -> Any:
    content = _checked(decoder, told)
    decoder.trust.check(_unknown(content), told["entry"])
    try:
        return _skops().loads(content, trusted=_untrusted(content))
    except Exception as error:
        raise PipelineError(
            f"{told['entry']}: skops cannot load it: {error}. It may be damaged, or need another scikit-learn"
        ) from None


def _names(decoder: Decoder, told: Json) -> Iterable[str]:
    return _unknown(_checked(decoder, told))


def _unknown(content: bytes) -> list[str]:
    """Return the names of the types that neither skops nor mlpipeline vouches for."""
    known = KNOWN | {f"mlpipeline.dataflow.{place}.{name}" for name, place in LAYERS.items()}
    split = (name.rpartition(".") for name in _untrusted(content) if name not in known)
    return [checked_name(f"{module}:{last}") for module, _, last in split]


def canonical(content: bytes) -> bytes:
    """Return a file of skops with numbers in place of addresses, stored without compression."""
    entries = unpack(io.BytesIO(content), len(content), "the estimator")
    schema = parsed(entries.pop(SCHEMA), "the estimator")
    shared = Counter(node["__id__"] for node in _nodes(schema) if _has_identity(node))
    numbers: dict[Any, int] = {}
    files: dict[str, str] = {}
    for node in _nodes(schema):
        is_shared = _has_identity(node) and shared[node["__id__"]] > 1
        address = node.pop("__id__", None)
        if is_shared:
            node["__id__"] = numbers.setdefault(address, len(numbers) + 1)
        if isinstance(node.get("file"), str):
            ending = node["file"].rpartition(".")[2]
            node["file"] = files.setdefault(node["file"], f"{len(files)}.{ending}")
    named = {files[name]: _cleaned(name, part) for name, part in entries.items()}
    return pack({SCHEMA: json.dumps(schema, indent=1).encode(), **dict(sorted(named.items()))})


def _has_identity(node: Json) -> bool:
    """Return whether it matters that two places have the same object: it can be changed."""
    return "__id__" in node and node["__loader__"] not in ("JsonNode", "TypeNode", "FunctionNode", "TupleNode")


def _nodes(told: Any) -> Iterator[Json]:
    if isinstance(told, dict):
        if isinstance(told.get("__loader__"), str):
            if told["__loader__"] == "SetNode":
                told["content"].sort(key=_without_addresses)
            yield told
        for each in list(told.values()):
            yield from _nodes(each)
    elif isinstance(told, list):
        for each in told:
            yield from _nodes(each)


def _without_addresses(told: Any) -> str:
    return json.dumps({key: each for key, each in told.items() if key != "__id__"})


def _cleaned(name: str, part: bytearray) -> bytes:
    """Return an entry without what is there by chance; a sparse matrix, which scipy compresses, stored as it is."""
    if name.endswith(".npy"):
        return npy_bytes(without_padding(as_array(part, name)))
    if not name.endswith(".npz"):
        return bytes(part)
    with np.load(io.BytesIO(part), allow_pickle=False) as arrays:
        return pack({f"{key}.npy": npy_bytes(arrays[key]) for key in sorted(arrays)})


def _checked(decoder: Decoder, told: Json) -> bytes:
    """Return a file of skops after a look at its sizes and arrays: skops itself would believe them."""
    content = decoder.part(told["entry"])
    entries = unpack(io.BytesIO(content), len(content), str(told["entry"]))
    for name, part in entries.items():
        inner = unpack(io.BytesIO(part), len(part), name) if name.endswith(".npz") else {name: part}
        for each, array in inner.items():
            if each.endswith(".npy"):
                as_array(array, f"{told['entry']}, {each}")
    protocol = parsed(entries.get(SCHEMA, b""), str(told["entry"])).get("protocol")
    if type(protocol) is not int or protocol < FIRST_PROTOCOL:
        raise ValueError(f"{told['entry']} has the protocol {protocol!r:.40}")
    return bytes(content)


def _untrusted(content: bytes) -> list[str]:
    skops = _skops()
    try:
        found: list[str] = skops.get_untrusted_types(data=content)
        return found
    except Exception as error:
        raise ValueError(f"skops cannot read an estimator: {error}") from None


def _skops() -> Any:
    """Return skops.io.

    Raises: PipelineError: it is not installed.
    """
    try:
        return importlib.import_module("skops.io")
    except ImportError:
        raise PipelineError(
            'scikit-learn estimators are saved with skops, which is not installed: pip install "mlpipeline[dataflow]"'
        ) from None


def _hint(error: Exception) -> str:
    lost = "<lambda>" in str(error) or "<locals>" in str(error)
    return "; define the function at module level" if lost else ""


def _takes(value: Any) -> bool:
    if isinstance(value, type):
        return False
    base = sys.modules.get("sklearn.base")
    if base is not None and isinstance(value, base.BaseEstimator):
        return True
    return type(value).__module__.partition(".")[0] in ("sklearn", "scipy")


KINDS = {"estimator": Kind(_takes, _encode, _decode, _names)}

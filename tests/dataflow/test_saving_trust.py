"""Files from strangers: nothing that they name is imported or run."""

import io
import json
import os
import pickle
import sys
import zipfile

import numpy as np
import pytest
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from mlpipeline.dataflow import Input, Pipeline, load_pipeline
from mlpipeline.dataflow.layer import Lambda, StatelessLayer
from mlpipeline.dataflow.layers import Sklearn, Whiten
from mlpipeline.dataflow.saving import archive
from mlpipeline.dataflow.saving.allowed import allowed
from mlpipeline.dataflow.saving.trust import Trust
from mlpipeline.errors import PipelineError
from tests.dataflow.saved_files import changed

HOSTILE = [
    "os:system",
    "posix:system",
    "builtins:eval",
    "builtins:exec",
    "builtins:open",
    "builtins:getattr",
    "builtins:__import__",
    "builtins:str.format",
    "math:__loader__",
    "math:__loader__.load_module",
    "builtins:str.__class__",
    "numpy:savetxt",
    "numpy:fromfile",
    "numpy:load",
    "numpy:apply_along_axis",
    "numpy:frompyfunc",
    "numpy.lib.npyio:os.system",
    "numpy.linalg:os.system",
    "sklearn.metrics:cluster",
    "scipy.special:test",
    "torch.nn:factory_kwargs",
    "torch.nn.functional:handle_torch_function",
    "torch:load",
    "subprocess:Popen",
    "pickle:loads",
    "mlpipeline:os.system",
    "mlpipeline:Whiten.fit",
    "mlpipeline:Observer",
    "mlpipeline.dataflow.saving:os.system",
    "mlpipeline.dataflow.saving.pipelines:os.system",
]


@pytest.fixture
def saved(tmp_path):
    """A small pipeline of a function, fitted."""
    x = Input("x", (2,))
    nodes = [Lambda(np.tanh)(x, "a"), Whiten()(x, "b")]
    return Pipeline(x, nodes, name="small").fit({"x": np.arange(8.0).reshape(4, 2)}).save(tmp_path)


def named(told, kind):
    """Return the objects of a kind within a description."""
    if isinstance(told, dict):
        here = [told] if told.get("is") == kind else []
        return here + [found for each in told.values() for found in named(each, kind)]
    return [found for each in told for found in named(each, kind)] if isinstance(told, list) else []


@pytest.mark.parametrize("name", HOSTILE)
def test_a_dangerous_name_is_refused(name, saved, monkeypatch):
    monkeypatch.setattr(os, "system", lambda command: pytest.fail("it ran"))
    changed(saved, lambda document, _: named(document, "name")[0].update(name=name))
    with pytest.raises(PipelineError, match="if you trust whoever wrote it, load_pipeline") as caught:
        load_pipeline(saved)
    assert f"names {name.replace(':', '.')}, which is not part of mlpipeline" in str(caught.value)
    assert allowed(name) is None


@pytest.mark.parametrize("name", HOSTILE)
def test_a_dangerous_name_is_no_layer(name, saved):
    changed(saved, lambda document, _: document["layers"][0].update({"class": name}))
    with pytest.raises(PipelineError, match="if you trust whoever wrote it, load_pipeline"):
        load_pipeline(saved)


@pytest.fixture
def evil(tmp_path, monkeypatch):
    """A module that leaves a trace where it is imported."""
    (tmp_path / "evil_module.py").write_text(
        "import os\nfrom json import dumps\nopen('trace', 'w').close()\ndef thing(x):\n    return x\n"
        "class Thing:\n    from json import loads\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "trace"
    sys.modules.pop("evil_module", None)


def test_all_names_are_listed_before_anything_is_imported(saved, evil):
    def change(document, _):
        named(document, "name")[0]["name"] = "evil_module:thing"
        document["layers"][1]["class"] = "my_layers:Whiten"
        document["fitted"]["layers"][0]["metadata"]["more"] = [{"is": "name", "name": "os:system"}]

    changed(saved, change)
    with pytest.raises(PipelineError) as caught:
        load_pipeline(saved, trusted=["evil_module.thing"])
    assert "trusted=['evil_module.thing', 'my_layers.Whiten', 'os.system']" in str(caught.value)
    assert not evil.exists()


def test_what_is_trusted_is_imported(saved, evil):
    changed(saved, lambda document, _: named(document, "name")[0].update(name="evil_module:thing"))
    assert load_pipeline(saved, trusted=["evil_module"]).layer("a").function.__name__ == "thing"
    assert evil.exists()


@pytest.mark.parametrize("name", ["evil_module:os.system", "evil_module:dumps", "evil_module:Thing.loads"])
def test_a_trusted_module_does_not_lead_to_others(name, saved, evil):
    changed(saved, lambda document, _: named(document, "name")[0].update(name=name))
    with pytest.raises(PipelineError, match=r"evil_module (imports|has no)"):
        load_pipeline(saved, trusted=["evil_module"])


def test_a_trusted_class_does_not_vouch_for_its_module():
    trust = Trust(["my_layers.Whiten", json.dumps])
    assert trust.knows("my_layers:Whiten")
    assert trust.find("json:dumps") is json.dumps
    assert not any(map(trust.knows, ["my_layers:Other", "my_layers:Whiten.fit", "json:loads", "os:system"]))
    with pytest.raises(PipelineError, match="expected import paths as text, classes or functions, but got int"):
        Trust([3])


@pytest.mark.parametrize("name", [3, "os", "os:", ":x", "a b:c", "os:system()", "..:x", "os;x:y", ["os"], None])
def test_what_is_no_name_is_damage(name, saved):
    changed(saved, lambda document, _: named(document, "name")[0].update(name=name))
    with pytest.raises(PipelineError, match=r"is damaged.*: ValueError: expected a name"):
        load_pipeline(saved, trusted=["os"])


@pytest.mark.parametrize("name", ["numpy:mean", "numpy:float64", "builtins:dict", "torch.nn:Linear"])
def test_only_a_layer_stands_for_a_layer(name, saved):
    changed(saved, lambda document, _: document["layers"][0].update({"class": name}))
    with pytest.raises(PipelineError, match=r"\w is no layer"):
        load_pipeline(saved)


def hostile_npy(shape=(2,), dtype="<f8", data=b"\0" * 16):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"shape": shape, "fortran_order": False, "descr": dtype})
    return header.getvalue() + data


def pickled_array():
    class Trap:
        def __reduce__(self):
            return os.system, ("touch trace",)

    buffer = io.BytesIO()
    np.save(buffer, np.array([Trap()], object), allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pickled_array(),
        hostile_npy(shape=(10**12,)),
        hostile_npy(shape=(10**30, 10**30)),
        hostile_npy(shape=(-1,)),
        hostile_npy(shape=(3,)),
        hostile_npy(shape=(1,)),
        hostile_npy(dtype="|O"),
        hostile_npy(dtype=[("a", "|O")]),
        hostile_npy(dtype="<U0", shape=(10**30,)),
        b"",
        b"\x93NUMPY\x09\x00",
        b"PK",
        pickle.dumps([1]),
    ],
)
def test_a_hostile_array_is_refused(content, saved):
    changed(saved, lambda _, parts: parts.update({"arrays/0.npy": content}))
    with pytest.raises(PipelineError, match=r"arrays/0.npy is damaged"):
        load_pipeline(saved)
    assert not os.path.exists("trace")


def hostile_document(document, parts):
    return {
        "a circle": lambda: document["applications"][0].update(inputs=[1]),
        "a later node": lambda: document["applications"][0].update(inputs=[2]),
        "no node": lambda: document["applications"][0].update(inputs=[-1]),
        "no layer": lambda: document["applications"][0].update(layer=7),
        "an unknown kind": lambda: document["layers"][0]["arguments"].update(function={"is": "pickle"}),
        "no kind": lambda: document["layers"][0]["arguments"].update(function={}),
        "a part that is not there": lambda: named(document, "array")[0].update(entry="arrays/99.npy"),
        "a part outside": lambda: named(document, "array")[0].update(entry="/etc/passwd"),
        "a list as key": lambda: document["fitted"]["layers"][0]["metadata"].update(
            d={"is": "dict", "items": [[[], 1]]}
        ),
        "a layer within itself": lambda: document["layers"][0]["arguments"].update(
            function={"is": "layer", "number": 0}
        ),
        "no inputs": lambda: document.pop("inputs"),
        "no text": lambda: document["inputs"][0].update(name=5),
        "a fit of what does not learn": lambda: document["fitted"]["layers"][0].update(application=0),
        "a huge object array": lambda: document["fitted"]["layers"][0]["metadata"].update(
            a={"is": "object array", "shape": [10**12], "items": []}
        ),
        "a scalar of objects": lambda: document["fitted"]["layers"][0]["metadata"].update(
            a={"is": "scalar", "dtype": "|O", "base64": "AAAAAAAAAAA="}
        ),
        "a wrong version": lambda: document.update(version={"is": "nothing"}),
        "an attribute": lambda: document["layers"][1]["arguments"].update(compute=1),
        "a foreign bit generator": lambda: document["fitted"]["layers"][0]["metadata"].update(
            a={"is": "random generator", "state": {"is": "dict", "items": [["bit_generator", "seed"]]}}
        ),
    }


@pytest.mark.parametrize("what", hostile_document({}, {}))
def test_a_description_without_meaning_is_refused(what, saved):
    changed(saved, lambda document, parts: hostile_document(document, parts)[what]())
    with pytest.raises(PipelineError, match=r"small.pkl(: | is damaged)"):
        load_pipeline(saved)


@pytest.fixture
def saved_estimator(tmp_path):
    x = Input("x", (2,))
    pipeline = Pipeline(x, Sklearn(StandardScaler())(x, "a"), name="estimator")
    return pipeline.fit({"x": np.arange(8.0).reshape(4, 2)}).save(tmp_path)


def change_schema(path, change):
    """Change the description within the first estimator of a file."""

    def change_part(_, parts):
        entries = archive.unpack(io.BytesIO(parts["estimators/0.skops"]), 10**9, "the estimator")
        schema = json.loads(entries["schema.json"])
        change(schema, entries)
        parts["estimators/0.skops"] = archive.pack({**entries, "schema.json": json.dumps(schema).encode()})

    return changed(path, change_part)


@pytest.mark.parametrize(
    ("loader", "module", "name"),
    [
        ("FunctionNode", "os", "system"),
        ("TypeNode", "builtins", "eval"),
        ("ObjectNode", "subprocess", "Popen"),
        ("ConstructorFromReduceNode", "pathlib", "Path"),
        ("FunctionNode", "evil_module", "thing"),
    ],
)
def test_an_estimator_with_types_that_are_not_trusted_is_refused(loader, module, name, saved_estimator, evil):
    node = {"__class__": name, "__module__": module, "__loader__": loader}
    content = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": []}

    def change(schema, _):
        schema["content"]["content"]["copy"] = {**node, "content": content}

    change_schema(saved_estimator, change)
    with pytest.raises(PipelineError, match=rf"this file names {module}.{name}, which is not part of mlpipeline"):
        load_pipeline(saved_estimator)
    assert not evil.exists()


def test_a_trusted_type_in_an_estimator_is_loaded(tmp_path):
    x = Input("x", (2,))
    pipeline = Pipeline(x, Sklearn(FunctionTransformer(json.dumps))(x, "a"), name="function")
    path = pipeline.save(tmp_path)
    with pytest.raises(PipelineError, match=r"names json.dumps"):
        load_pipeline(path)
    for trusted in (["json.dumps"], [json.dumps], ["json"]):
        assert load_pipeline(path, trusted=trusted).graph.applications[0].layer.estimator.func is json.dumps


@pytest.mark.parametrize(
    "change",
    [
        lambda schema, entries: schema.update(protocol=0),
        lambda schema, entries: schema.update(protocol=True),
        lambda schema, entries: schema.update(protocol=99),
        lambda schema, entries: schema.update(__loader__="NoNode"),
        lambda schema, entries: schema.pop("content"),
        lambda schema, entries: entries.update({"0.npy": pickled_array()}),
        lambda schema, entries: entries.update({"0.npy": hostile_npy(shape=(10**12,))}),
        lambda schema, entries: entries.update({"0.npz": b"PK"}),
        lambda schema, entries: schema.clear(),
    ],
)
def test_a_hostile_estimator_is_refused(change, saved_estimator):
    change_schema(saved_estimator, change)
    with pytest.raises(PipelineError):
        load_pipeline(saved_estimator)
    assert not os.path.exists("trace")


class Shouting(StatelessLayer):
    def transform(self, x):
        return x


def test_layers_of_a_program_are_not_known_because_they_are_imported(tmp_path):
    x = Input("x")
    path = Pipeline(x, Shouting()(x, "loud"), name="loud").save(tmp_path)
    name = f"{__name__}.Shouting"
    with pytest.raises(PipelineError) as caught:
        load_pipeline(path)
    assert str(caught.value).endswith(
        f"this file names {name}, which is not part of mlpipeline; if you trust whoever wrote it, "
        f"load_pipeline({str(path)!r}, trusted=[{name!r}])"
    )


def test_a_zip_archive_within_an_estimator_cannot_unfold(saved_estimator):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("data.npy", bytes(10**7))
    change_schema(saved_estimator, lambda schema, entries: entries.update({"9.npz": buffer.getvalue()}))
    with pytest.raises(PipelineError, match="compressed"):
        load_pipeline(saved_estimator)

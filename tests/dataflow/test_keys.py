from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from mlpipeline.dataflow import layers
from mlpipeline.dataflow.keys import NoKeyError, array_key, code_key, content_key, parameters_key, state_key

DISTINCT = [
    np.zeros(4),
    np.zeros((2, 2)),
    np.zeros(4, np.float32),
    np.zeros(4, np.int64),
    np.array(["a", "bc"]),
    np.array(["ab", "c"]),
    np.array(["ab", "c"], dtype=object),
    np.array(["a", "bc"], dtype=object),
    np.array([None, "c"], dtype=object),
    np.array([], float),
    np.array(["2026-01-01"], "datetime64[s]"),
    np.array(["2026-01-02"], "datetime64[s]"),
]


def test_different_arrays_have_different_keys() -> None:
    assert len({array_key(each) for each in DISTINCT}) == len(DISTINCT)


def test_equal_arrays_have_equal_keys_however_they_lie_in_memory() -> None:
    array = np.arange(12.0).reshape(3, 4)
    assert array_key(array) == array_key(np.asfortranarray(array)) == array_key(np.repeat(array, 2, axis=0)[::2])


def test_an_array_of_other_objects_has_no_key() -> None:
    with Path(__file__).open() as file, pytest.raises(NoKeyError, match="TextIOWrapper cannot be told from another"):
        array_key(np.array([file], dtype=object))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (1, True),
        ("1", 1),
        ([1, [2]], [[1], 2]),
        ({"a": 1}, {"a": 2}),
        ((1, 2), [1, 2]),
        (slice(1), slice(2)),
        (np.dtype("f4"), np.dtype("f8")),
        (None, "None"),
    ],
)
def test_different_values_have_different_keys(one: object, other: object) -> None:
    assert content_key(one) != content_key(other)


def function_from(source: str, name: str = "step") -> object:
    names: dict[str, object] = {"__name__": "written_by_a_test"}
    exec(textwrap.dedent(source), names)
    return names[name]


STEP = """
LIMIT = 3
def helper(x):
    return x + 1
def step(x, power=2):
    return helper(x) ** power + LIMIT
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("** power", "* power"),
        ("power=2", "power=3"),
        ("x + 1", "x + 2"),
        ("LIMIT = 3", "LIMIT = 4"),
        ("+ LIMIT", "- LIMIT"),
    ],
)
def test_a_change_in_the_code_or_in_what_it_uses_changes_the_key(old: str, new: str) -> None:
    assert content_key(function_from(STEP)) != content_key(function_from(STEP.replace(old, new)))


OTHERS = {
    "a global dictionary": "T = {'k': §}\ndef step(x): return x * T['k']",
    "a global object": "class C:\n    k = 0\nc = C()\nc.k = §\ndef step(x): return x * c.k",
    "a function in a table": "def f(x): return x * §\nT = {'f': f}\ndef step(x): return T['f'](x)",
    "a decorator's argument": """
        import functools
        def times(k):
            def wrap(f):
                @functools.wraps(f)
                def inner(x): return f(x) * k
                return inner
            return wrap
        @times(§)
        def step(x): return x
    """,
    "a partial function": "import functools\ndef f(x, k): return x * k\nstep = functools.partial(f, k=§)",
    "a cached helper": "import functools\n@functools.lru_cache\ndef f(): return §\ndef step(x): return x * f()",
    "a bound method's object": """
        class C:
            def __init__(self, k): self.k = k
            def f(self, x): return x * self.k
        step = C(§).f
    """,
    "a callable object's code": "class C:\n    def __call__(self, x): return x * §\nstep = C()",
    "a vectorized function": "import numpy as np\nstep = np.vectorize(lambda x: x * §)",
    "an enumeration": "import enum\nclass E(enum.Enum):\n    A = §\ndef step(x): return x * E.A.value",
    "a property": "class C:\n    @property\n    def k(self): return §\ndef step(x): return x * C().k",
    "a scikit-learn transformer's function": """
        from sklearn.preprocessing import FunctionTransformer
        def f(x): return x * §
        step = FunctionTransformer(f)
    """,
    "a default of a dictionary": """
        import collections
        T = collections.defaultdict(lambda: §)
        def step(x): return x * T[0]
    """,
    "a dictionary of the user's": """
        class D(dict):
            def __missing__(self, key): return §
        T = D()
        def step(x): return x * T[0]
    """,
    "the fields of a named tuple": """
        import collections
        P = collections.namedtuple("P", "§")(1, 2)
        def step(x): return x * P.a
    """,
    "an attribute of a function": "def step(x): return x * step.k\nstep.k = §",
    "the order of arguments": "def step(x, *, §): return x * a + b",
    "a module's name": "import § as m\ndef step(x): return m.sqrt(x)",
}
CHANGES = {
    "the fields of a named tuple": ("a b", "b a"),
    "the order of arguments": ("a=2, b=3", "b=2, a=3"),
    "a module's name": ("math", "cmath"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_a_change_of(what: str) -> None:
    one, other = (function_from(OTHERS[what].replace("§", each)) for each in CHANGES.get(what, ("2", "3")))
    same = function_from(OTHERS[what].replace("§", CHANGES.get(what, ("2", "3"))[0]))
    assert content_key(one) == content_key(same) != content_key(other)


def test_a_helper_in_another_module_of_the_users_is_part_of_the_code(tmp_path: Path, monkeypatch: object) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    keys = []
    for k in (2, 3):
        (tmp_path / f"helpers{k}.py").write_text(f"def h(x):\n    return x * {k}\n")
        keys.append(content_key(function_from(f"import helpers{k} as helpers\ndef step(x): return helpers.h(x)")))
        keys.append(content_key(function_from(f"from helpers{k} import h\ndef step(x): return h(x)")))
    assert len(set(keys)) == 4


def test_a_logger_or_another_thing_of_a_library_keeps_its_key() -> None:
    step = function_from(
        "import logging\nlogger = logging.getLogger('x')\ndef step(x):\n    logger.info('!')\n    return x"
    )
    before = content_key(step)
    step(1)
    assert content_key(step) == before


def test_a_lock_or_an_unrelated_global_with_the_name_of_an_attribute_does_not_matter() -> None:
    source = """
        import threading
        lock = threading.Lock()
        mean = (i for i in [])  # has no key
        def step(x):
            with lock:
                return x.mean()
    """
    assert content_key(function_from(source)) == content_key(function_from(source))


def test_what_a_user_keeps_in_a_layer_beside_its_parameters_counts() -> None:
    class Plus(layers.StatelessLayer):
        def __init__(self, k):
            self._k = k

        def transform(self, x):
            return x + self._k

    assert parameters_key(Plus(1)) == parameters_key(Plus(1)) != parameters_key(Plus(2))


def test_a_comment_does_not_change_the_key() -> None:
    assert content_key(function_from(STEP)) == content_key(
        function_from(STEP.replace("LIMIT = 3", "# three\nLIMIT = 3"))
    )


def test_a_value_that_a_function_closes_over_is_part_of_it() -> None:
    def make(power: int) -> object:
        return lambda x: x**power

    assert content_key(make(2)) == content_key(make(2)) != content_key(make(3))


def test_a_method_is_part_of_the_code_of_a_layer() -> None:
    source = """
    from mlpipeline.dataflow import layers
    class Step(layers.StatelessLayer):
        def transform(self, x):
            return self.double(x)
        def double(self, x):
            return x * 2
    """
    one, same = function_from(source, "Step")(), function_from(source, "Step")()
    other = function_from(source.replace("* 2", "* 3"), "Step")()
    assert code_key(one) == code_key(same) != code_key(other)


def test_a_function_that_calls_itself_has_a_key() -> None:
    assert content_key(function_from("def step(x):\n    return step(x - 1) if x else 0"))


def test_the_state_of_an_estimator_is_its_content() -> None:
    rows = np.arange(8.0).reshape(4, 2)
    layer = layers.Sklearn(StandardScaler())
    one, same, other = layer.unfitted_copy(), layer.unfitted_copy(), layer.unfitted_copy()
    one.learn(rows), same.learn(rows), other.learn(rows * 2)
    assert state_key(one) == state_key(same) != state_key(other)


PROGRAM = """
import numpy as np
from sklearn.linear_model import LogisticRegression
from mlpipeline.dataflow import layers
from mlpipeline.dataflow.keys import code_key, content_key
estimator = LogisticRegression().fit([[0.], [1.]], [0, 1])
values = [{"b", "a", "c"}, {"x": np.arange(3), "y": ("z",)}, estimator, lambda x: x in {"p", "q", "r"}]
print(*[content_key(each) for each in values], *[code_key(each()) for each in (layers.Whiten, layers.OneHotLabels)])
"""


def test_keys_are_the_same_in_another_process() -> None:
    printed = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1

import itertools

from mlpipeline.records import Status
from mlpipeline.runner.plan import (
    Candidate,
    List,
    Outcome,
    Plan,
    Start,
    Wait,
    fingerprint,
    is_done,
    is_settled,
    next_run,
)


def candidate(script, name, model_dir=None):
    return Candidate(script, name, "f", model_dir or f"{script}-{name}", 0, "{}")


def plan(*candidates):
    return Plan({each.name: each for each in candidates})


A1, A2, B1 = candidate("a", "1"), candidate("a", "2"), candidate("b", "1")


def test_an_empty_queue_leaves_nothing():
    assert next_run([], {"a": plan(A1)}) is None


def test_the_first_version_of_the_first_script_runs_first():
    assert next_run(["a", "b"], {"b": plan(B1), "a": plan(A1, A2)}) == Start(A1)


def test_the_order_of_the_queue_decides_and_not_that_of_the_plans():
    assert next_run(["b", "a"], {"a": plan(A1), "b": plan(B1)}) == Start(B1)


def test_a_script_is_listed_before_a_later_one_runs():
    assert next_run(["a", "b"], {"b": plan(B1)}) == List("a")


def test_while_a_script_is_listed_the_next_one_runs():
    assert next_run(["a", "b"], {"b": plan(B1)}, listing={"a"}) == Start(B1)


def test_versions_that_share_a_directory_take_turns():
    shared = [candidate("a", name, "shared") for name in "12"]
    plans = {"a": plan(*shared, candidate("a", "3"))}
    assert next_run(["a"], plans, busy_dirs={"shared"}) == Start(candidate("a", "3"))


def test_what_is_blocked_is_waited_for():
    assert next_run(["a"], {"a": plan(A1)}, busy_dirs={A1.model_dir}) == Wait()
    assert next_run(["a"], {}, listing=["a"]) == Wait()


def test_nothing_is_left_when_every_plan_is_empty():
    assert next_run(["a", "b"], {"a": plan(), "b": plan()}) is None


def subsets(items):
    return [set(chosen) for size in range(len(items) + 1) for chosen in itertools.combinations(items, size)]


def expected_choice(queue, plans, listing, busy):
    """Write all that is left in one list, and take the first of it that nothing blocks."""
    left = []
    for script in queue:
        if script in plans:
            left += [(Start(each), each.model_dir in busy) for each in plans[script].pending.values()]
        else:
            left.append((List(script), script in listing))
    return next((choice for choice, blocked in left if not blocked), Wait() if left else None)


def test_every_small_case_agrees_with_the_first_of_what_is_left():
    of_script = {
        script: [None, plan()]
        + [plan(*(candidate(script, str(number), folder) for number, folder in enumerate(folders)))
           for size in (1, 2) for folders in itertools.product("XY", repeat=size)]
        for script in "ab"
    }  # fmt: skip
    checked = 0
    for first, second in itertools.product(of_script["a"], of_script["b"]):
        plans = {script: each for script, each in (("a", first), ("b", second)) if each is not None}
        for queue, listing, busy in itertools.product(["", "a", "ab", "ba"], subsets("ab"), subsets("XY")):
            assert next_run(list(queue), plans, listing, busy) == expected_choice(queue, plans, listing, busy)
            checked += 1
    assert checked == 8 * 8 * 4 * 4 * 4


def test_choosing_changes_no_plan():
    plans = {"a": plan(A1, A2)}
    next_run(["a"], plans)
    assert plans == {"a": plan(A1, A2)}


def test_every_case_of_settled_agrees_with_the_rule_in_words():
    outcomes = [None, *(Outcome(status, print_) for status in Status for print_ in ("now", "before"))]
    for outcome in outcomes:
        is_done_with = outcome is not None and outcome.status in ("SUCCEEDED", "PRUNED")
        once_a_start = is_done_with or (outcome is not None and outcome.fingerprint == "now")
        done_before = is_done_with and outcome.fingerprint == "now"
        assert is_settled("now", outcome) is once_a_start, outcome
        assert is_done("now", outcome) is done_before, outcome


def test_a_status_read_from_a_journal_counts_like_the_status():
    assert is_done("now", Outcome("SUCCEEDED", "now"))
    assert not is_done("now", Outcome("FAILED", "now"))


def test_the_fingerprint_tells_code_and_parameters_apart():
    prints = {fingerprint(*pair) for pair in (("a", "b"), ("a", "c"), ("b", "b"), ("ab", ""), ("", "ab"))}
    assert len(prints) == 5
    assert fingerprint("a", "b") == fingerprint("a", "b")

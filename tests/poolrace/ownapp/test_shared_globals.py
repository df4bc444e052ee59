"""Tasks that write into their module are reported, and tasks that answer the same job in two ways."""

import re
import secrets
import sys
import textwrap
import types

import pytest
from celery import Celery

from poolrace.ownapp.shared_globals import written_globals

SHARED = "on threads all slots share it, on prefork none do"


@pytest.fixture
def noted(monkeypatch):
    """Report the findings on the tasks of a module; each job is (task, args) or (task, args, kwargs)."""

    def noted(source, *jobs, name=None):
        name = name or f"notes_{secrets.token_hex(4)}"
        module = types.ModuleType(name)
        exec(textwrap.dedent(source), vars(module))
        monkeypatch.setitem(sys.modules, name, module)
        app = Celery(name, broker="memory://", set_as_current=False)
        for task in {job[0]: None for job in jobs}:
            app.task(vars(module)[task], name=f"{name}.{task}", shared=False)
        lines = written_globals(
            app,
            [
                {"task": f"{name}.{task}", "args": list(args), **({"kwargs": more[0]} if more else {})}
                for task, args, *more in jobs
            ],
        )
        return [line.replace(name, "notes") for line in lines]

    return noted


def test_a_task_that_appends_to_a_list_of_its_module_is_named_with_the_list(noted):
    source = """
        SEEN = []

        def remember(word):
            SEEN.append(word)
    """
    assert noted(source, ("remember", ["a"])) == [f"notes.remember writes the global notes.SEEN: {SHARED}"]


def test_a_task_that_only_reads_its_module_is_not_named(noted):
    source = """
        PRICES = {"apple": 3}

        def price(name, *, times=1):
            basket = [PRICES[name]] * times
            basket.append(0)
            return sum(basket)
    """
    assert noted(source, ("price", ["apple"], {"times": 2})) == []


@pytest.mark.parametrize(
    "body",
    [
        "global COUNT; COUNT += 1",
        "KNOWN['a'] = 1",
        "TAGS.add('a')",
        "global NEW; NEW = 1",
        "global GONE; del GONE",
        "BY_KEY['a'] += 1",
        "LATEST.append(1)",
        "LONG[-1] = 1",
    ],
)
def test_a_global_is_named_in_whichever_way_it_is_written(noted, body):
    source = f"""
        from collections import defaultdict, deque

        COUNT, KNOWN, TAGS, GONE = 0, {{}}, set(), [1]
        BY_KEY, LATEST, LONG = defaultdict(int), deque(maxlen=9), [0] * 10_000

        def write():
            try:
                {body}
            except NameError:
                pass  # the other thread was first
    """
    (line,) = noted(source, ("write", []))
    assert re.fullmatch(rf"notes\.write writes the global notes\.[A-Z_]+: {SHARED}", line)


def test_each_global_that_is_written_has_a_line_in_order_of_name(noted):
    source = """
        B, A, C = [], [], []

        def write():
            for shared in (B, A):
                shared.append(1)
    """
    assert [line.split()[4] for line in noted(source, ("write", []))] == ["notes.A:", "notes.B:"]


def test_a_task_that_gives_the_same_job_two_answers_is_named_with_both(noted):
    source = """
        import itertools
        _numbers = itertools.count()

        def number():
            return next(_numbers)
    """
    (line,) = noted(source, ("number", []))
    assert line.startswith("notes.number gave two answers to the same job on two threads at once: ")
    assert sorted(line.rpartition(": ")[2].split(", ")) == ["0", "1"]


def test_a_task_that_fails_alike_both_times_is_not_named(noted):
    source = """
        def fail():
            raise ValueError("always")
    """
    assert noted(source, ("fail", [])) == []


def test_only_the_first_job_of_a_task_is_run_and_it_is_run_twice(noted):
    source = """
        ran = []

        def note(word):
            ran.append(word)
    """
    name = f"notes_{secrets.token_hex(4)}"
    noted(source, ("note", ["first"]), ("note", ["second"]), name=name)
    assert sys.modules[name].ran == ["first", "first"]


def test_tasks_are_reported_in_order_of_name_and_only_those_that_may_be_run(noted):
    source = """
        SEEN = []

        def b():
            SEEN.append(1)

        a = c = b
    """
    lines = noted(source, ("c", []), ("a", []))
    assert [line.split()[0] for line in lines] == ["notes.a", "notes.c"]


def test_without_a_job_that_may_be_repeated_nothing_is_run(noted):
    assert noted("") == []


def test_a_task_whose_module_cannot_be_found_is_skipped(noted, monkeypatch):
    def stray():
        raise AssertionError("must not be run")

    stray.__module__ = "nowhere.at.all"
    app = Celery("stray", broker="memory://", set_as_current=False)
    app.task(stray, name="stray", shared=False)
    assert written_globals(app, [{"task": "stray"}]) == []

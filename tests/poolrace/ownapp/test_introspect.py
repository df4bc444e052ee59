"""An app describes itself and makes its jobs into messages, or the reason why it cannot is reported."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from poolrace.ownapp import introspect, redirect
from poolrace.ownapp.introspect import answer, broker_of
from poolrace.ownapp.redirect import BROKER_VARIABLES, OwnAppError, Redirect
from poolrace.pools import POOLS

SHOP = """
from celery import Celery
from kombu import Queue

app = Celery("shop", broker="redis://:geheim@theirs.invalid/0", set_as_current=False)
app.conf.result_backend = "redis://theirs.invalid/1"
app.conf.task_default_priority = 3
app.conf.task_queues = [Queue("celery"), Queue("letters")]
app.conf.task_routes = {"shop.mail": {"queue": "letters"}}
app.conf.task_time_limit = 30

@app.task(name="shop.resize", shared=False)
def resize(width, height=100):
    pass

@app.task(name="shop.mail", shared=False)
def mail(address):
    pass

def make(number, chance):
    return resize.s(number, height=chance.randrange(100))

def broken(number, chance):
    return 7
"""
RESIZE = {"task": "shop.resize", "args": [640], "line": "jobs.jsonl:1"}
MAIL = {"task": "shop.mail", "args": ["Ann"], "line": "jobs.jsonl:2", "weight": 3}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A user's folder, without the effects of stamping on the whole process."""
    (tmp_path / "shop.py").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(redirect.stamping, "attach", [].append)
    for name in BROKER_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    yield tmp_path
    sys.modules.pop("shop", None)


def question(*jobs, app="shop:app", **others):
    to = Redirect(app=app, broker_url="memory://", queue="lane", acks="early")
    return {"redirect": json.loads(to.to_json()), "jobs": list(jobs), "own_backend": "", **others}


def test_an_app_is_described_by_its_own_settings_and_not_by_those_of_the_race():
    found = answer(question(RESIZE))
    assert {"shop.resize", "shop.mail"} <= set(found["tasks"])
    assert not [name for name in found["tasks"] if name.startswith(("celery.", "poolrace."))]
    assert (found["broker_scheme"], found["backend_scheme"], found["default_queue"]) == ("redis", "redis", "celery")
    assert (found["transport"], found["acks"]) == ("stock", "early")
    assert found["changed"]["broker_url"] == "redis -> memory"
    assert "geheim" not in json.dumps(found)


def test_a_backend_of_the_environment_counts_before_that_of_the_settings():
    assert answer(question(RESIZE, own_backend="rpc://"))["backend_scheme"] == "rpc"


def test_settings_that_a_pool_ignores_are_found_for_each_pool():
    inert = answer(question(RESIZE))["inert"]
    assert set(inert) == set(POOLS)
    assert {pool for pool in POOLS if any("task_time_limit" in line for line in inert[pool])} == {"threads", "solo"}


def test_a_job_becomes_the_message_that_the_app_would_send():
    (message,) = answer(question(RESIZE))["messages"]
    args, kwargs, _ = json.loads(base64.b64decode(message["body"]))
    assert (args, kwargs, message["content_type"]) == ([640], {}, "application/json")
    assert (message["headers"]["task"], message["line"], message["weight"]) == ("shop.resize", "jobs.jsonl:1", 1.0)
    assert message["priority"] == 3


def test_each_job_has_the_queue_of_its_route_or_of_its_line():
    found = answer(question(RESIZE, MAIL, {**RESIZE, "queue": "images", "line": "jobs.jsonl:3"}))
    assert found["queues"] == ["images", "letters"]
    assert [message["queue"] for message in found["messages"]] == ["", "letters", "images"]


def test_only_the_jobs_of_the_tasks_that_are_asked_for_are_made():
    found = answer(question(RESIZE, MAIL, tasks=["shop.mail"]))
    assert [(message["task"], message["weight"]) for message in found["messages"]] == [("shop.mail", 3)]


def test_a_factory_makes_jobs_that_are_the_same_for_the_same_seed():
    def made(seed):
        found = answer(question(factory="shop:make", count=3, seed=seed))
        return [json.loads(base64.b64decode(message["body"]))[:2] for message in found["messages"]]

    assert made(1) == made(1) != made(2)
    assert [args for args, _ in made(1)] == [[0], [1], [2]]


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        ({"app": "nowhere:app"}, "nowhere:app cannot be imported from"),
        (
            {"jobs": [{**RESIZE, "task": "shop.resise"}]},
            "jobs.jsonl:1 shop.resise: the app registers no such task. Near",
        ),
        (
            {"jobs": [{**RESIZE, "args": []}]},
            "jobs.jsonl:1: shop.resize() cannot be sent: TypeError: resize() missing 1",
        ),
        ({"jobs": [RESIZE], "tasks": ["shop.nothing"]}, "--task shop.nothing: the app registers no such task."),
        ({"jobs": [RESIZE], "tasks": ["shop.mail"]}, "no job of shop.mail: the jobs are of shop.resize."),
        ({"factory": "shop:nothing", "count": 1, "seed": 1}, "--jobs shop:nothing: AttributeError"),
        ({"factory": "shop:broken", "count": 1, "seed": 1}, "--jobs shop:broken: call 0 gave 7. Allowed: a signature"),
    ],
)
def test_an_app_or_a_job_that_cannot_be_used_is_refused_with_its_place(others, reason):
    with pytest.raises(OwnAppError) as refused:
        answer(question(**others) if "jobs" not in others else {**question(), **others})
    assert str(refused.value).startswith(reason)


def test_the_broker_of_an_app_is_that_of_its_settings():
    assert broker_of("shop:app")["broker_urls"] == ["redis://:geheim@theirs.invalid/0"]


def test_the_answer_is_json_even_if_the_app_prints(folder):
    (folder / "talkative.py").write_text("print('importing')\n" + SHOP)
    done = subprocess.run(
        [sys.executable, "-m", "poolrace.ownapp.introspect"],
        input=json.dumps({**question(app="talkative:app"), "broker": True}),
        # Empty means buffered, as a newcomer's Python is.
        env={**os.environ, "PYTHONPATH": str(Path(introspect.__file__).parents[2]), "PYTHONUNBUFFERED": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout)["broker_urls"] == ["redis://:geheim@theirs.invalid/0"]
    assert "importing" in done.stderr


OTHERS = """
from celery import Celery, Task

app = Celery("others", broker="memory://", set_as_current=False)
app.conf.worker_pool = "threads"
app.conf.worker_disable_prefetch = True

@app.task(name="others.late", acks_late=True, shared=False)
def late():
    pass

@app.task(name="others.early", acks_late=False, shared=False)
def early():
    pass

@app.task(name="others.coroutine", shared=False)
async def coroutine():
    pass

class Batches(Task):
    abstract = True
    Strategy = "others:strategy"

@app.task(name="others.batch", base=Batches, shared=False)
def batch(requests):
    pass
"""


@pytest.fixture
def others(folder):
    (folder / "others.py").write_text(OTHERS)
    yield "others:app"
    sys.modules.pop("others", None)


def asked_of(app, name):
    return answer(question({"task": name, "args": [], "line": "jobs.jsonl:1"}, app=app))


def test_a_coroutine_is_refused_since_its_job_would_end_before_it_began(others):
    with pytest.raises(OwnAppError, match=r"jobs\.jsonl:1: others\.coroutine is an async function"):
        asked_of(others, "others.coroutine")


def test_a_task_that_takes_many_jobs_at_once_is_refused_since_no_record_tells_one_apart(others):
    with pytest.raises(OwnAppError, match=r"others\.batch takes jobs by a strategy of its own \(others:strategy\)"):
        asked_of(others, "others.batch")


def test_tasks_that_acknowledge_in_different_ways_are_told_as_such(others):
    assert asked_of(others, "others.late")["acks"] == "own"


def test_a_pool_of_the_settings_and_a_prefetch_that_is_off_are_told(others):
    found = asked_of(others, "others.late")
    assert found["worker_pool"] == "threads"
    assert found["changed"]["worker_pool"] == "'threads' -> 'prefork'"
    assert all(any("worker_disable_prefetch" in line for line in lines) for lines in found["inert"].values())

"""A child that is spawned gets the app by its settings, and sends jobs where a forked one would."""

import pickle
import subprocess
import sys

import pytest
from celery import Celery
from kombu import Exchange, Queue

from poolrace.ownapp import redirect
from poolrace.ownapp.redirect import Redirect, redirect_app, redirect_spawned

TO = Redirect(app="post", broker_url="memory://race", queue="lane", acks="early", queues=("reports",))


def an_app(**settings):
    app = Celery("post", broker="redis://127.0.0.1:9/0", set_as_current=False)
    app.conf.update(
        task_queues=[
            Queue("mail", Exchange("post", type="topic"), routing_key="mail.#"),
            Queue("reports", Exchange("office"), routing_key="report"),
        ],
        task_default_queue="mail",
        task_routes={"post.report": {"queue": "reports"}, "post.note": {"exchange": "office", "routing_key": "report"}},
        **settings,
    )
    return app


@pytest.fixture(autouse=True)
def unattached(monkeypatch):
    """No app is stamped: real stamping would connect signals for every other test, too."""
    monkeypatch.setattr(redirect.stamping, "attach", lambda _app: None)


@pytest.fixture
def child():
    """The app as Celery rebuilds it in a spawned child of a node whose app was redirected."""
    app = an_app()
    redirect_app(app, TO)
    child = pickle.loads(pickle.dumps(app))
    assert child is not app
    return child


@pytest.mark.parametrize(
    ("task", "queue"), [("post.report", "lane.reports"), ("post.note", "lane.reports"), ("post.stamp", "lane")]
)
def test_a_job_that_a_spawned_child_sends_goes_to_the_lanes_counterpart_of_its_queue(child, task, queue):
    redirect_spawned(child, TO)
    assert child.amqp.router.route({}, task)["queue"].name == queue


def test_only_its_router_is_not_among_its_settings(child):
    assert child.conf.broker_url == "memory://race"
    assert child.amqp.router.route({}, "post.report")["queue"].name == "lane"


def test_an_app_that_was_redirected_before_keeps_its_own_routes():
    app = an_app()
    redirect_app(app, TO)
    redirect_app(app, TO)
    child = pickle.loads(pickle.dumps(app))
    redirect_spawned(child, TO)
    assert child.amqp.router.route({}, "post.report")["queue"].name == "lane.reports"


def test_routes_that_no_new_interpreter_can_be_given_end_the_node_with_the_reason():
    app = Celery("post", broker="redis://127.0.0.1:9/0", set_as_current=False)
    app.conf.task_routes = [lambda name, *_: {"queue": "reports"} if name == "post.report" else None]
    redirect_app(app, TO)
    node = type("Node", (), {"app": app, "pool_start_method": "spawn"})
    with pytest.raises(SystemExit, match="start=spawn: a new interpreter cannot be given the app's queues and routes"):
        redirect._hand_on_to_spawned(node)


def test_children_that_are_forked_need_none_of_it():
    app = an_app()
    redirect_app(app, TO)
    redirect._hand_on_to_spawned(type("Node", (), {"app": app, "pool_start_method": "fork"}))
    assert redirect.IN_SPAWNED not in list(app.conf.imports or ())


@pytest.mark.parametrize("module", ["poolrace.spawned", "poolrace.ownapp.spawned"])
def test_to_import_it_anywhere_else_changes_nothing(module):
    code = (
        "from celery import Task, signals; before = len(signals.worker_process_init.receivers or ()); "
        f"import {module}; assert len(signals.worker_process_init.receivers or ()) == before; "
        "assert '__trace__' not in vars(Task) or not isinstance(vars(Task)['__trace__'], property)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

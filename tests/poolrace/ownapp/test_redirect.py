"""A user's app is found as Celery finds it, and pointed at the race's broker and queues, whatever its settings say."""

import json
import os
import re
import secrets
import subprocess
import sys
import textwrap
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery import Celery, chain
from hypothesis import given
from hypothesis import strategies as st
from kombu import Exchange, Queue

from poolrace import transport
from poolrace.ownapp import redirect
from poolrace.ownapp.redirect import (
    BROKER_VARIABLES,
    VARIABLE,
    OwnAppError,
    Redirect,
    load_app,
    redirect_app,
    redirected_settings,
)

ROOT = Path(redirect.__file__).parents[2]
RACE = Redirect(app="shop", broker_url="memory://race", queue="poolrace.r.threads", acks="early")
WITH_BACKEND = replace(RACE, queue="q", acks="late", backend_url="cache+memory://", backend_prefix="r:")

redirects = st.builds(
    Redirect,
    app=st.text(),
    broker_url=st.text(),
    queue=st.text(),
    acks=st.sampled_from(["early", "late"]),
    queues=st.lists(st.text()).map(tuple),
    backend_url=st.none() | st.text(),
    backend_prefix=st.text(),
)


@pytest.fixture(autouse=True)
def attached(monkeypatch):
    """The apps that were to be stamped: real stamping would connect signals for every other test, too."""
    attached = []
    monkeypatch.setattr(redirect.stamping, "attach", attached.append)
    for name in BROKER_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return attached


def test_a_transport_that_an_app_has_installed_gives_way_to_the_lanes():
    transport.install()
    redirect_app(Celery("shop", broker="redis://127.0.0.1:9/0", set_as_current=False), RACE)
    assert not transport.is_installed()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Writes modules into the current folder; their names begin with that of the package."""
    name = f"shop_{secrets.token_hex(4)}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def package(**sources):
        (tmp_path / name).mkdir()
        for module, source in {"__init__": "", **sources}.items():
            (tmp_path / name / f"{module}.py").write_text(textwrap.dedent(source))
        return name

    yield package
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        del sys.modules[module]


def app_of(**settings):
    app = Celery("shop", broker="memory://theirs", set_as_current=False)
    app.conf.update(settings)
    return app


AN_APP = """
    from celery import Celery
    app = Celery("found", broker="memory://", set_as_current=False)
"""


@given(given=redirects)
def test_a_redirect_is_the_same_after_a_round_trip(given):
    assert Redirect.from_json(given.to_json()) == given


@given(given=redirects)
def test_a_node_has_its_redirect_in_its_environment_and_no_app_of_its_process_can_reach_another_broker(given):
    said = given.environment()
    assert Redirect.from_json(said.pop(VARIABLE)) == given
    assert {said.pop(name) for name in BROKER_VARIABLES} == {given.broker_url}
    assert said == ({} if given.backend_url is None else {"CELERY_RESULT_BACKEND": given.backend_url})


@pytest.mark.parametrize("path", ["{0}.celery:app", "{0}.celery", "{0}", "{0}.celery.app"])
def test_an_app_is_found_by_each_name_that_celery_takes(package, path):
    found = load_app(path.format(package(celery=AN_APP)))
    assert (type(found), found.main) == (Celery, "found")


def test_a_factory_is_called(package):
    source = """
        from celery import Celery

        def make():
            return Celery("made", broker="memory://", set_as_current=False)
    """
    assert load_app(f"{package(factory=source)}.factory:make()").main == "made"


@pytest.mark.parametrize("path", ["{0}.site:flask_app", "{0}.site:make()"])
def test_a_flask_app_has_it_among_its_extensions(package, path):
    source = """
        from celery import Celery

        class Flask:
            extensions = {"celery": Celery("extension", broker="memory://", set_as_current=False)}

        flask_app, make = Flask(), Flask
    """
    assert load_app(path.format(package(site=source))).main == "extension"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("{0}.other:number", "int 7. "),
        ("{0}.other:make", "function <function make at 0x"),
        ("{0}.other:make()", "dict {}. "),
        ("{0}.other:flask_app", "Flask <"),
    ],
)
def test_something_else_than_an_app_is_refused_with_its_type_and_the_way_to_name_one(package, path, kind):
    source = """
        number = 7

        class Flask:
            extensions = {}

        flask_app = Flask()

        def make():
            return {}
    """
    named = path.format(package(other=source))
    with pytest.raises(OwnAppError) as refused:
        load_app(named)
    assert str(refused.value).startswith(f"{named} is no Celery app but {kind}")
    assert str(refused.value).endswith(
        "Name it as `celery -A` takes it, e.g. shop.celery:app; a function that makes it, as shop.factory:make()."
    )


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("nowhere_at_all:app", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("nowhere_at_all:make()", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("{0}.celery:nothing()", "AttributeError: module '{0}.celery' has no attribute 'nothing'"),
        ("{0}.celery:app.main()", "AttributeError: module '{0}.celery' has no attribute 'app.main'"),
    ],
)
def test_an_app_that_cannot_be_found_is_refused_with_the_folder_and_the_reason(package, path, why, tmp_path):
    name = package(celery=AN_APP)
    with pytest.raises(OwnAppError, match="cannot be imported") as refused:
        load_app(path.format(name))
    assert str(refused.value) == f"{path.format(name)} cannot be imported from {tmp_path}: {why.format(name)}"


def test_an_app_that_fails_on_import_is_refused_with_the_users_own_lines_and_none_of_poolraces(package):
    name = package(celery="from . import settings\n", settings="\nKEY = {}['SECRET_KEY']\n")
    with pytest.raises(OwnAppError) as refused:
        load_app(f"{name}.celery:app")
    assert str(refused.value).endswith(
        f"KeyError: 'SECRET_KEY'\n    {name}/celery.py:1: from . import settings"
        f"\n    {name}/settings.py:2: KEY = {{}}['SECRET_KEY']"
    )


def test_in_a_checkout_of_poolrace_none_of_its_lines_are_taken_for_the_users(monkeypatch):
    monkeypatch.chdir(Path(redirect.__file__).parents[2])
    with pytest.raises(OwnAppError) as refused:
        load_app("no_such_module:app")
    assert str(refused.value).endswith("ModuleNotFoundError: No module named 'no_such_module'")


def test_of_a_long_way_to_an_error_only_the_last_lines_are_shown(package):
    source = "def fall(n):\n    return 1 / n if n == 0 else fall(n - 1)\n\n\nmake = lambda: fall(9)\n"
    with pytest.raises(OwnAppError) as refused:
        load_app(f"{package(deep=source)}.deep:make()")
    assert len(str(refused.value).splitlines()) == 1 + redirect.MAX_FRAMES


def test_an_app_without_queues_of_its_own_has_one_on_the_races_broker():
    settings = redirected_settings(app_of().conf, RACE)
    assert {settings[f"broker_{name}"] for name in ("url", "read_url", "write_url")} == {"memory://race"}
    assert settings["broker_use_ssl"] is None
    (queue,) = settings["task_queues"]
    assert (queue.name, queue.routing_key) == ("poolrace.r.threads",) * 2
    assert (queue.exchange.name, queue.exchange.type) == ("poolrace.r.threads", "direct")
    assert {settings[f"task_default_{name}"] for name in ("queue", "exchange", "routing_key")} == {queue.name}
    assert (settings["task_routes"], settings["task_always_eager"]) == (None, False)


def test_each_queue_of_an_app_has_a_counterpart_that_nodes_consume():
    settings = redirected_settings({}, replace(RACE, queues=("images", "mail")))
    assert [(queue.name, queue.exchange.name, queue.routing_key) for queue in settings["task_queues"]] == [
        (name,) * 3 for name in ("poolrace.r.threads", "poolrace.r.threads.images", "poolrace.r.threads.mail")
    ]


def test_of_the_transport_options_only_the_visibility_timeout_stays():
    options = {"visibility_timeout": 7200, "global_keyprefix": "theirs:", "sentinel_kwargs": {"password": "x"}}
    settings = redirected_settings({"broker_transport_options": options}, RACE)
    assert settings["broker_transport_options"] == {"visibility_timeout": 7200}


@pytest.mark.parametrize("options", [None, {}, {"global_keyprefix": "theirs:"}])
def test_transport_options_without_anything_to_keep_are_empty(options):
    assert redirected_settings({"broker_transport_options": options}, RACE)["broker_transport_options"] == {}


@pytest.mark.parametrize(
    ("theirs", "accepted"),
    [
        (["json"], ["json"]),
        (["pickle"], ["pickle", "json"]),
        (("yaml", "json"), ["yaml", "json"]),
        (["application/json"], ["application/json"]),
        ([], ["json"]),
        (None, ["json"]),
    ],
)
def test_an_app_also_accepts_json_which_the_races_commands_are_in(theirs, accepted):
    assert redirected_settings({"accept_content": theirs}, RACE)["accept_content"] == accepted


@given(theirs=st.lists(st.sampled_from(["json", "pickle", "yaml", "msgpack", "shout"]), unique=True))
def test_an_app_accepts_what_it_accepted_before_and_json_once(theirs):
    accepted = redirected_settings({"accept_content": theirs}, RACE)["accept_content"]
    assert accepted[: len(theirs)] == theirs
    assert accepted.count("json") == 1


def sized():
    """The work of a task."""


@pytest.mark.parametrize(("acks", "late"), [("early", False), ("late", True)])
@pytest.mark.parametrize("theirs", [False, True])
def test_jobs_are_acknowledged_as_the_lane_says(acks, late, theirs):
    given = Redirect(app="shop", broker_url="memory://", queue="q", acks=acks)
    assert redirected_settings({"task_acks_late": theirs}, given)["task_acks_late"] is late


def test_results_stay_where_they_go_unless_the_redirect_names_a_backend():
    assert {name for name in redirected_settings({}, RACE) if "result" in name} == set()
    assert redirected_settings({}, WITH_BACKEND)["result_backend"] == "cache+memory://"
    assert redirected_settings({}, WITH_BACKEND)["result_backend_transport_options"] == {"global_keyprefix": "r:"}


def test_a_redirected_app_has_its_settings_and_is_stamped(attached):
    app = app_of(task_acks_late=True, task_routes={"shop.*": "images"}, task_always_eager=True)
    redirect_app(app, RACE)
    assert attached == [app]
    assert {name: app.conf.get(name) for name in redirected_settings({}, RACE)} == redirected_settings({}, RACE)
    assert list(app.amqp.queues) == ["poolrace.r.threads"]
    assert app.control.mailbox.serializer == "json"


def test_a_changed_setting_is_reported_with_both_values_and_others_are_not():
    app = app_of(task_acks_late=True, broker_url="redis://user:secret@host:6380/1", task_default_queue="images")
    changed = redirect_app(app, RACE)
    assert changed["task_acks_late"] == "True -> False"
    assert changed["broker_url"] == "redis -> memory"
    assert changed["task_default_queue"] == "'images' -> 'poolrace.r.threads'"
    assert {"task_always_eager", "worker_direct"}.isdisjoint(changed)
    assert "secret" not in json.dumps(changed)


def test_an_app_that_was_redirected_once_has_nothing_to_change():
    app = app_of()
    redirect_app(app, RACE)
    assert redirect_app(app, RACE) == {}


class Settings:
    """Settings in the form of a Django project."""

    CELERY_BROKER_URL = "memory://theirs"
    CELERY_TASK_ROUTES = {"shop.resize": {"queue": "images"}}  # noqa: RUF012
    CELERY_TASK_QUEUES = (Queue("images"), Queue("letters"))
    CELERY_TASK_DEFAULT_QUEUE = "letters"
    CELERY_TASK_ACKS_LATE = True
    CELERY_ACCEPT_CONTENT = ["pickle"]  # noqa: RUF012
    CELERY_RESULT_BACKEND = "redis://theirs/1"
    CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 60, "global_keyprefix": "x"}  # noqa: RUF012
    CELERY_TASK_TIME_LIMIT = 30


@pytest.mark.parametrize("read_before", [False, True])
def test_settings_under_a_namespace_are_redirected_like_any_other(read_before):
    app = Celery("shop", set_as_current=False)
    app.config_from_object(Settings, namespace="CELERY")
    if read_before:
        assert app.conf.task_default_queue == "letters"
        assert set(app.amqp.queues) == {"images", "letters"}
    redirect_app(app, WITH_BACKEND)
    assert (app.conf.task_routes, app.conf.task_default_queue) == (None, "q")
    assert app.conf.accept_content == ["pickle", "json"]
    assert app.conf.broker_transport_options == {"visibility_timeout": 60}
    assert (app.conf.broker_url, app.conf.result_backend) == ("memory://race", "cache+memory://")
    assert (app.connection_for_write().hostname, app.connection_for_read().hostname) == ("race", "race")
    assert list(app.amqp.queues) == ["q"]
    assert app.conf.task_time_limit == 30


@pytest.mark.parametrize(
    "urls",
    [
        "sentinel://:secret@a:26379;sentinel://:secret@b:26379",
        ["redis://:secret@a/0", "redis://:secret@b/0"],
    ],
)
def test_no_password_is_shown_however_many_brokers_an_app_has(urls):
    app = app_of(broker_url=urls, broker_transport_options={"sentinel_kwargs": {"password": "secret"}})
    assert "secret" not in str(redirect_app(app, RACE))


def test_an_empty_value_for_another_or_a_list_for_a_tuple_is_no_change():
    changed = redirect_app(app_of(accept_content=("json",), broker_use_ssl=False), RACE)
    assert {"accept_content", "broker_use_ssl"}.isdisjoint(changed)


class Stubborn(dict):
    """Settings of which one cannot be changed."""

    @property
    def task_default_queue(self):
        return self["task_default_queue"]

    def update(self, settings):
        super().update({**settings, "task_routes": self["task_routes"]})


def test_an_app_that_keeps_a_setting_of_its_own_is_refused(attached):
    app = app_of()
    app.amqp.router.route({}, "shop.resize")
    app.conf = Stubborn(task_default_queue="celery", task_routes="amqp://user:secret@host/routes")
    with pytest.raises(OwnAppError) as refused:
        redirect_app(app, RACE)
    assert str(refused.value) == "task_routes of the app cannot be set; it stays amqp."
    assert attached == []


def nothing(*_):
    """Do nothing: only the message of the task is looked at."""


class Office:
    """An app of three tasks with routes of its own, redirected to a broker in memory."""

    def __init__(self):
        self.queue = f"poolrace.{secrets.token_hex(4)}.threads"
        self.other = f"images.{secrets.token_hex(4)}"
        self.app = Celery("office", broker="memory://", set_as_current=False)
        self.app.conf.task_routes = {"office.routed": {"queue": self.other}}
        self.app.conf.task_queues = [Queue(self.other, Exchange(self.other), routing_key=self.other)]
        # A shared task would be every other app's, too.
        alike = {"ignore_result": True, "shared": False}
        self.plain = self.app.task(nothing, name="office.plain", **alike)
        self.routed = self.app.task(nothing, name="office.routed", **alike)
        self.own = self.app.task(nothing, name="office.own", queue=self.other, priority=3, **alike)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a task that names its queue: Celery would rather have routes
            self.app.finalize()
        self.plain.apply_async()  # an app may have been used before: it knows its own broker and queues then
        redirect_app(self.app, Redirect(app="office", broker_url="memory://", queue=self.queue, acks="early"))

    def waiting(self):
        """The messages in the race's queue."""
        with self.app.connection_for_read() as connection:
            queue = connection.SimpleQueue(self.queue)
            found = [queue.get_nowait() for _ in range(queue.qsize())]
            for message in found:
                message.ack()
            queue.close()
            return found


@pytest.fixture
def office():
    return Office()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"queue": "letters"},
        {"exchange": "letters", "routing_key": "letters.new"},
        {"exchange": "letters", "exchange_type": "topic", "routing_key": "letters.#"},
        {"routing_key": "letters"},
        {"queue": Queue("letters", Exchange("letters"), routing_key="letters")},
    ],
)
@pytest.mark.parametrize("task", ["plain", "routed", "own"])
def test_whatever_destination_a_job_names_it_stays_in_the_lane(office, task, options):
    getattr(office, task).apply_async(args=(1,), **options)
    (message,) = office.waiting()
    assert message.headers["task"] == f"office.{task}"
    assert message.delivery_info["exchange"] in {"", office.queue}
    assert message.delivery_info["routing_key"] == office.queue


def test_the_other_options_of_a_job_are_kept(office):
    office.plain.apply_async(args=(1,), queue="letters", priority=7, headers={"tenant": "a"}, expires=60)
    office.own.apply_async()
    office.app.send_task("elsewhere.unknown", queue="letters")
    first, own, unknown = office.waiting()
    assert (first.headers["tenant"], first.properties["priority"]) == ("a", 7)
    assert first.headers["expires"]
    assert own.properties["priority"] == 3
    assert unknown.headers["task"] == "elsewhere.unknown"


def test_a_chain_begins_in_the_lane(office):
    chain(office.routed.si(), office.own.si()).apply_async(queue="letters")
    assert [message.headers["task"] for message in office.waiting()] == ["office.routed"]


def test_a_node_redirects_its_app_as_its_environment_says(tmp_path):
    """In a process of its own, with all that stamping needs."""
    source = """
        from celery import Celery
        app = Celery("found", broker="redis://theirs.invalid/0")

        @app.task
        def resize():
            pass
    """
    (tmp_path / "shop.py").write_text(textwrap.dedent(source))
    given = Redirect(app="shop:app", broker_url="memory://race", queue="q", acks="late")
    code = (
        "from poolrace.ownapp.node import app; from poolrace.contract import HOLD_TASK; "
        "print(app.main, app.connection_for_write().hostname, app.conf.task_acks_late, *app.amqp.queues, "
        "HOLD_TASK in app.tasks, 'shop.resize' in app.tasks)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **given.environment()}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, text=True, capture_output=True, timeout=60, check=False
    )
    assert done.stdout.split() == ["found", "race", "True", "q", "True", "True"], done.stderr
    assert not re.search(r"theirs\.invalid", done.stderr)


@pytest.mark.parametrize(
    ("setting", "own", "of_the_run"),
    [
        ("worker_pool", "threads", "prefork"),
        ("control_exchange", "shop", "celery"),
        ("event_exchange", "shop.ev", "celeryev"),
        ("worker_state_db", "/var/run/shop/worker.state", None),
    ],
)
def test_what_would_keep_a_node_from_the_run_or_touch_its_files_is_replaced(setting, own, of_the_run):
    app = app_of(**{setting: own})
    assert app.control is not None  # made before the redirect, with the app's own exchange
    redirect_app(app, RACE)
    assert app.conf[setting] == of_the_run
    assert app.control.mailbox.namespace == "celery"


@pytest.mark.parametrize(("acks", "late"), [("early", [False, False]), ("late", [True, True]), ("own", [True, False])])
def test_tasks_acknowledge_as_the_run_says_whatever_they_say_themselves(acks, late, monkeypatch):
    connected = []
    monkeypatch.setattr(redirect.signals.worker_init, "connect", lambda receiver, **_: connected.append(receiver))
    monkeypatch.setattr(redirect.stamping, "attach", [].append)
    app = app_of()
    tasks = [app.task(name=f"shop.{said}", acks_late=said, shared=False)(sized) for said in (True, False)]
    redirect_app(app, replace(RACE, acks=acks))
    for receiver in connected:
        receiver(SimpleNamespace(app=app))
    assert [task.acks_late for task in tasks] == late

"""The options of every run: what they mean, and what is refused before a user's own app is asked."""

from pathlib import Path

import pytest

from producer.cli import _options as options
from producer.cli._command import command
from producer.cli._options import as_app_says, fleet_options, fleet_settings, live_broker, shares_of
from producer.errors import UsageError
from producer.ownapp import introspect as asking
from producer.ownapp.jobs import jobs_by_task
from producer.plan.own_app import OwnApp
from producer.plan.settings import RaceSettings

FACTS = {
    "concurrency": 3, "prefetch": 2, "acks": "late", "inert": {}, "hazards": {}, "globals": [], "backend_scheme": "",
    "queues": ["images"], "transport": "stock",
}  # fmt: skip


@command(None, epilog="")
@fleet_options
def run():
    """Stand for any command that has these options."""


def own_app(*weighted, facts=FACTS):
    messages = [
        {
            "task": task, "line": "", "weight": weight, "at": None, "body": "", "text": True, "headers": {},
            "content_type": "application/json", "content_encoding": "utf-8", "reply_to": "", "priority": None,
            "expires_s": None, "results_by_task": True,
            "queue": "",
        }
        for task, weight in weighted or [("shop.resize", 1), ("shop.send", 3)]
    ]  # fmt: skip
    return OwnApp(
        app="shop",
        folder=Path("/srv"),
        facts=facts,
        jobs=jobs_by_task(messages, timeout_s=60, seed=1),
        environment={},
        timeout_s=60,
    )


@pytest.fixture(autouse=True)
def no_broker_in_the_environment(monkeypatch):
    monkeypatch.setattr(options, "broker_from_environment", lambda: None)


@pytest.fixture
def asked(monkeypatch):
    """What an app is asked with; it answers with the facts in it."""
    asked = {"facts": FACTS}

    def ask(app, **words):
        asked.update(words, app=app)
        return own_app(facts=asked["facts"])

    monkeypatch.setattr(asking, "ask", ask)
    return asked


def settings(*words):
    return fleet_settings(run.make_context("run", list(words)).params)


def lanes(*words):
    return [(lane.pool, lane.slots, lane.prefetch, lane.acks) for lane in settings(*words)["lanes"]]


def test_without_an_app_lanes_are_as_they_always_were():
    found = settings()
    assert found["own_app"] is None
    assert lanes() == [("prefork", 8, 4, "early"), ("threads", 8, 4, "early")]
    assert found["start_nodes"] is True
    words = ["--concurrency", "2", "--prefetch", "1", "--acks", "late", "--lane", "threads:5", "--lane", "prefork"]
    assert lanes(*words) == [
        ("threads", 5, 1, "late"),
        ("prefork", 2, 1, "late"),
    ]
    assert RaceSettings(workloads=("cpu",), **found)


@pytest.mark.parametrize(
    "words", [["--jobs", "jobs.jsonl"], ["--task", "shop.resize"], ["--keep-backend"], ["--yes-live"]]
)
def test_what_is_for_an_app_is_refused_without_one(words, asked):
    with pytest.raises(UsageError, match=r"--jobs, --task, .* are for your own app: name it with --app\."):
        settings(*words)
    assert settings("--app", "shop", *words)["own_app"]


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ((3, 2, "late", "atomic"), (3, 2, "late", "atomic")),
        ((None, 4, "early", "stock"), (None, 4, "early", "stock")),
        ((1, 0, "own", "stock"), (1, None, "own", "stock")),
    ],
)
def test_an_app_says_what_a_lane_can_have_too_but_no_endless_prefetch(facts, said):
    names = ("concurrency", "prefetch", "acks", "transport")
    assert as_app_says(dict(zip(names, facts, strict=True))) == dict(
        zip(("concurrency", "prefetch", "acks", "transport"), said, strict=True)
    )


def test_a_lane_of_an_app_is_as_the_app_says(asked):
    assert lanes("--app", "shop") == [("prefork", 3, 2, "late"), ("threads", 3, 2, "late")]


def test_an_app_on_the_atomic_transport_is_raced_on_it_unless_a_lane_says_otherwise(asked, capsys):
    asked["facts"] = {**FACTS, "transport": "atomic"}
    specs = ["--lane", "threads", "--lane", "threads:transport=stock"]
    found = settings("--app", "shop", *specs, "--broker", "redis://host/0", "--yes-live")["lanes"]
    assert [(lane.key, lane.transport) for lane in found] == [("threads-atomic", "atomic"), ("threads", "stock")]
    assert "poolrace.<run id>.threads-atomic, " in capsys.readouterr().err


def test_what_the_app_does_not_say_is_as_ever(asked):
    asked["facts"] = {**FACTS, "concurrency": None, "prefetch": 0}
    assert lanes("--app", "shop")[0] == ("prefork", 8, 4, "late")


def test_the_command_line_has_the_last_word(asked):
    words = ["--concurrency", "5", "--prefetch", "7", "--acks", "early", "--lane", "threads"]
    assert lanes("--app", "shop", *words, "--lane", "threads:2:acks=late") == [
        ("threads", 5, 7, "early"),
        ("threads", 2, 7, "late"),
    ]


def test_an_app_is_asked_with_the_words_of_the_command_line_by_the_first_lane(asked, tmp_path):
    settings(
        "--app", "shop.celery:app", "--jobs", "jobs.jsonl", "--task", "shop.resize", "--workdir", str(tmp_path),
        "--job-timeout", "2m", "--keep-backend", "--ready-within", "5s", "--seed", "9",
        "--lane", "threads:2:python=/opt/py", "--lane", "prefork",
    )  # fmt: skip
    said = {name: asked[name] for name in ("app", "jobs", "tasks", "folder", "timeout_s", "keep_backend", "patience_s")}
    assert said == {
        "app": "shop.celery:app", "jobs": "jobs.jsonl", "tasks": ("shop.resize",), "folder": tmp_path,
        "timeout_s": 120.0, "keep_backend": True, "patience_s": 5.0,
    }  # fmt: skip
    assert (asked["seed"], asked["python"]) == (9, "/opt/py")


def test_the_folder_of_an_app_is_known_wherever_its_process_runs(asked, tmp_path, monkeypatch):
    (tmp_path / "shop").mkdir()
    monkeypatch.chdir(tmp_path)
    settings("--app", "shop", "--workdir", "shop")
    assert asked["folder"] == tmp_path / "shop"


@pytest.mark.parametrize("job_timeout", ["0.5s", "2h", "soon"])
def test_a_wrong_patience_is_told_before_the_app_is_asked(asked, job_timeout):
    with pytest.raises(UsageError, match="--job-timeout"):
        settings("--app", "shop", "--job-timeout", job_timeout)
    assert "app" not in asked


def test_what_there_is_to_mind_is_said_before_anything_runs(asked, capsys):
    asked["facts"] = {**FACTS, "inert": {"threads": ["x = 1 is ignored."], "solo": ["y"]}, "globals": ["a writes b"]}
    settings("--app", "shop")
    told = capsys.readouterr()
    assert told.err.splitlines() == ["Note: On threads, the app's setting x = 1 is ignored.", "Note: a writes b."]
    assert told.out == ""


@pytest.mark.parametrize(("broker", "yes_live"), [(None, False), (None, True), ("redis://host/0", True)])
def test_an_embedded_broker_needs_no_yes_and_with_it_a_live_one_is_taken(asked, broker, yes_live):
    words = [*(["--broker", broker] if broker else []), *(["--yes-live"] if yes_live else [])]
    found = settings("--app", "shop", *words)
    assert (asked["app"], found["broker_url"], found["start_nodes"]) == ("shop", broker, True)


def test_a_live_broker_is_refused_with_the_queues_it_would_have_and_without_its_password():
    with pytest.raises(UsageError) as told:
        live_broker("redis://user:secret@host:6380/1", yes_live=False)
    said = str(told.value)
    assert "secret" not in said
    assert "host:6380/1" in said
    assert "poolrace.<run id>.<lane> and poolrace.records.<run id>" in said
    assert "add --yes-live" in said


def test_a_live_broker_is_refused_before_the_app_is_asked_and_else_has_nodes_of_our_own(asked):
    with pytest.raises(UsageError, match="--yes-live"):
        settings("--app", "shop", "--broker", "redis://host/0")
    assert "app" not in asked
    found = settings("--app", "shop", "--broker", "redis://host/0", "--yes-live")
    assert (found["start_nodes"], found["broker_url"]) == (True, "redis://host/0")


def test_a_live_brokers_queues_are_told_before_anything_runs(asked, capsys):
    words = ["--broker", "redis://user:secret@host/0", "--yes-live", "--lane", "threads:2", "--lane", "prefork:2"]
    settings("--app", "shop", *words)
    said = capsys.readouterr().err
    assert "secret" not in said
    assert "poolrace.<run id>.threads.images, poolrace.<run id>.prefork, " in said


def test_a_broker_of_the_environment_is_a_live_one_too(asked, monkeypatch):
    monkeypatch.setattr(options, "broker_from_environment", lambda: "redis://:secret@stack/0")
    with pytest.raises(UsageError, match="--yes-live") as told:
        settings("--app", "shop")
    assert "secret" not in str(told.value)


def test_an_app_has_queues_of_its_own(asked):
    with pytest.raises(UsageError, match=r"--queue: not with --app"):
        settings("--app", "shop", "--broker", "redis://host/0", "--yes-live", "--queue", "a", "--queue", "b")


def test_the_tasks_of_an_app_are_sent_as_often_as_its_jobs_say():
    assert shares_of(None, own_app(), "cpu=1,io=9") == {"resize": 0.25, "send": 0.75}


def test_a_mix_may_name_the_tasks_of_the_app_and_nothing_else():
    assert shares_of("send=1,resize=1", own_app(), "cpu") == {"send": 1.0, "resize": 1.0}
    with pytest.raises(UsageError, match=r"unknown workload 'cpu'\. Allowed: resize, send"):
        shares_of("cpu=1", own_app(), "cpu")
    with pytest.raises(UsageError, match=r"unknown workload 'mix'\. Allowed: resize, send"):
        shares_of("mix", own_app(), "cpu")


def test_without_an_app_a_mix_is_of_the_demonstrations_jobs():
    assert shares_of(None, None, "cpu=1,io=9") == {"cpu": 1.0, "io": 9.0}
    assert shares_of("sleep", None, "cpu=1,io=9") == {"sleep": 1.0}
    with pytest.raises(UsageError, match="unknown workload 'resize'"):
        shares_of("resize", None, "cpu")

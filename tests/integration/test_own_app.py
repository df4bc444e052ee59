"""A user's own app is raced as it is, on both pools, and neither its broker nor its backend is touched."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import psutil
import pytest
import redis
from integration.commands import is_of_the_machine
from integration.tiers import heavy, heavy_too, light_too

from producer.fleet.embedded import start_embedded
from producer.fleet.processes import Processes
from producer.rundir.reader import read_run

APPS = Path(__file__).parents[1] / "apps"
POOLRACE = str(Path(sys.executable).with_name("poolrace"))
PATIENCE_S = 200
LANES = {"prefork", "threads"}
NEEDS = {"pydantic_": "pydantic", "django_": "django", "flask_": "flask"}
KINDS = [
    "bound",
    "canvas",
    "pydantic_",
    "serialiser",
    "django_",
    "flask_",
    "routes",
    "named_like_ours",
    "limits",
    "own_settings",
    "handing_on",
]
LIGHT = ["bound", "canvas", "routes"]
GENERATOR_LATE = 4
CANNOT_RUN = 3
STARTED_BY, OURS = "OWN_APP_STARTED_BY", uuid.uuid4().hex
"""In the environment of all that a command starts: other tests race the same apps at the same time."""
TINY = ("--concurrency", "2", "--pairs", "1", "--duration", "0.1s", "--utilisation", "0.2")
EACH_TASK_APART = {"handing_on", "pydantic_", "serialiser"}
"""Kinds of which each task is raced by itself; of the others all tasks at once, in a fraction of the time."""


def poolrace(*arguments, folder, **variables):
    """Run a command in an app's folder, with nothing of this test's own environment for Celery in it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CELERY_", "POOLRACE_"))}
    return subprocess.run(
        [POOLRACE, *arguments], cwd=folder, env={**kept, **variables, STARTED_BY: OURS}, capture_output=True, text=True,
        timeout=PATIENCE_S, check=False,
    )  # fmt: skip


def race(kind, out, *arguments, **variables):
    """Race an app of `tests/apps` shortly; its summary and its run directory."""
    folder = APPS / kind
    about = json.loads((folder / "app.json").read_text())
    at_once = () if kind in EACH_TASK_APART else ("--workload", "mix")
    done = poolrace(
        "race", "--app", about["app"], "--jobs", "jobs.jsonl", *TINY, *at_once, "--out", str(out), "--json", *arguments,
        folder=folder, **{**about["env"], **variables},
    )  # fmt: skip
    assert done.returncode in {0, GENERATOR_LATE}, done.stderr
    summary = json.loads(done.stdout)
    # Beside other tests the generator is late at times: what was measured has come to its end all the same.
    assert [problem for problem in summary["problems"] if not is_of_the_machine(problem)] == []
    return summary, read_run(out / summary["run"]["directory"])


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    """Runs commands, a few at the same time: most of their time is waiting for nodes."""
    with ThreadPoolExecutor(3) as together:
        yield together


def in_production():
    """What stands for an app's broker in production: its URL, a client, and how many connections it had before."""
    with Processes() as processes:
        url = start_embedded(processes, processes.folder()).url
        with redis.Redis.from_url(url) as client:
            client.lpush("celery", "a job of production")
            yield url, client, client.info("stats")["total_connections_received"]


@pytest.fixture(scope="module")
def own_broker():
    """A broker that an app names, and no race may touch."""
    yield from in_production()


@pytest.fixture
def unused_broker():
    """A broker that no race has."""
    yield from in_production()


@pytest.fixture(scope="module")
def live_broker():
    """A broker on which a race is, as it was named and confirmed."""
    yield from in_production()


@pytest.fixture(scope="module")
def races(request, commands, own_broker, live_broker, tmp_path_factory):
    """The races of this tier, by kind of app; one of them on a broker that is live."""
    if heavy_too(request):
        request.getfixturevalue("endless")  # the longest: they begin first
    options = {"bound": ("--broker", live_broker[0], "--yes-live")}
    own = {"django_": dict.fromkeys(["DJANGO_BROKER", "CELERY_BROKER_URL"], own_broker[0])}
    own["django_"]["DJANGO_FOLDER"] = str(tmp_path_factory.mktemp("books"))
    return {
        kind: commands.submit(race, kind, tmp_path_factory.mktemp(kind), *options.get(kind, ()), **own.get(kind, {}))
        for kind in KINDS
        if (light_too if kind in LIGHT else heavy_too)(request) and importlib.util.find_spec(NEEDS.get(kind, "celery"))
    }


@pytest.fixture(scope="module")
def hanging(commands, tmp_path_factory):
    """A race of an app whose own handler hangs on threads."""
    words = ("race", "--app", "hangs_on_threads:app", "--task", "hangs_on_threads.work", *TINY)
    return commands.submit(poolrace, *words, "--out", str(tmp_path_factory.mktemp("hanging")), folder=APPS / "bad")


@pytest.fixture(scope="module")
def endless(commands, tmp_path_factory):
    """By the lane that is first, a race of a task that never returns."""
    return {
        first: commands.submit(
            poolrace,
            "race",
            "--app",
            "never_returns:app",
            "--task",
            "never_returns.stay",
            "--job-timeout",
            "1s",
            "--concurrency",
            "1",
            "--lane",
            first,
            "--lane",
            *(LANES - {first}),
            "--out",
            str(tmp_path_factory.mktemp(first)),
            folder=APPS / "bad",
        )
        for first in LANES
    }


@pytest.mark.parametrize("kind", [kind if kind in LIGHT else heavy(kind) for kind in KINDS])
def test_each_kind_of_app_is_raced_on_both_pools_and_every_job_is_done(races, kind):
    if kind not in races:
        pytest.skip(f"{NEEDS[kind]} is not installed")
    summary, run = races[kind].result()
    settled = summary["settlement"]
    assert settled["done"] == settled["sent"] > 0
    assert set(run.records["lane"].unique()) == LANES


@pytest.mark.heavy
def test_lanes_are_what_the_report_says_whatever_the_settings_of_the_app_say(races):
    summary, run = races["own_settings"].result()
    assert set(run.records.select("lane", "pool").unique().iter_rows()) == {(lane, lane) for lane in LANES}
    assert {(lane["acks"], lane["pool"]) for lane in summary["lanes"]} == {("own", lane) for lane in LANES}
    assert {node.hello["acks"] for node in run.manifest.nodes} == {"own"}
    assert not list((APPS / "own_settings").glob("billing.state*"))
    commands = [each["recommendation"]["command"] for each in summary["workloads"]]
    assert not [command for command in commands if command and "-P prefork" in command]


@pytest.mark.heavy
def test_jobs_that_take_long_are_told_with_the_time_that_a_race_of_them_takes(tmp_path):
    words = ("--app", "naps:app", "--task", "naps.nap", "--concurrency", "1", "--at-most", "20s")
    done = poolrace("race", *words, "--out", str(tmp_path), folder=APPS / "long")
    assert done.returncode == 2
    assert re.search(r"--at-most 20s: jobs of nap take 1\.\d+ s, so 3 rounds of everything take about", done.stderr)
    assert "Give them: --at-most" in done.stderr


@pytest.mark.heavy
def test_a_job_that_hands_on_under_its_own_id_ends_when_its_replacement_does(races):
    summary, run = races["handing_on"].result()
    results = {(each["workload"], lane["lane"]): lane for each in summary["workloads"] for lane in each["lanes"]}
    assert {workload for workload, _ in results} == {"to_task", "to_chain", "to_group", "mix"}
    assert all(lane["capacity_per_s"] for lane in results.values())
    assert set(run.records["outcome"].unique()) == {"succeeded", "retried"}
    assert run.children.height > 0


@pytest.mark.parametrize("kind", ["canvas", "routes"])
def test_what_a_job_starts_is_counted_under_it_and_stays_on_its_lane(races, kind):
    summary, run = races[kind].result()
    assert summary["answers"][-1]["started_per_job"] > 0
    started = run.children.join(run.sent.select("trial", "seq"), on=["trial", "seq"], how="anti")
    assert started.height == 0
    lane_of = {trial.trial: trial.lane for trial in run.trials}
    assert [row for row in run.children.iter_rows(named=True) if row["lane"] != lane_of[row["trial"]]] == []


def test_a_retry_is_the_same_job_again_and_no_other(races):
    summary, run = races["bound"].result()
    retried = run.records.filter(pl.col("outcome") == "retried")
    assert set(retried["lane"].unique()) == LANES
    assert run.children.height == 0
    assert summary["settlement"]["done"] == summary["settlement"]["sent"]


@pytest.mark.heavy
def test_an_app_without_children_starts_none(races):
    summary, run = races["named_like_ours"].result()
    assert (summary["answers"][-1]["started_per_job"], run.children.height) == (0, 0)


@pytest.mark.heavy
def test_settings_that_a_pool_ignores_are_named_for_that_pool_alone(races):
    app = races["limits"].result()[0]["settings"]["app"]
    inert = {pool: " ".join(lines) for pool, lines in app["facts"]["inert"].items()}
    assert "worker_max_tasks_per_child" in inert["threads"]
    assert "worker_max_tasks_per_child" not in inert["prefork"]


def test_the_manifest_tells_what_became_of_the_backend_and_the_queues(races):
    app = races["canvas"].result()[0]["settings"]["app"]
    assert app["backend"].startswith("replaced: redis in the app's settings")
    changed = races["routes"].result()[0]["settings"]["app"]["facts"]["changed"]
    assert {"task_routes", "task_queues", "broker_transport_options"} <= set(changed)


def test_the_manifest_tells_the_queues_of_the_app(races):
    facts = races["routes"].result()[0]["settings"]["app"]["facts"]
    assert (facts["default_queue"], facts["queues"]) == ("mail", ["reports"])


@pytest.mark.heavy
def test_neither_key_nor_queue_of_the_apps_own_broker_is_touched(races, own_broker):
    _, client, connections = own_broker
    if "django_" not in races:
        pytest.skip("django is not installed")
    races["django_"].result()
    assert client.info("stats")["total_connections_received"] == connections
    assert client.keys("*") == [b"celery"]


def test_a_live_broker_is_used_only_when_confirmed(unused_broker, tmp_path):
    url, client, _ = unused_broker
    words = ("--app", "newsletter:app", "--jobs", "jobs.jsonl", *TINY, "--broker", url)
    asked = poolrace("race", *words, "--out", str(tmp_path), folder=APPS / "bound")
    assert asked.returncode == 2
    assert "poolrace.<run id>.<lane>" in asked.stderr
    assert url not in asked.stderr  # it holds a password
    assert client.keys("*") == [b"celery"]


def test_a_live_broker_is_left_as_it_was(races, live_broker):
    _, client, connections = live_broker
    summary, _ = races["bound"].result()
    assert summary["settlement"]["done"] > 0
    assert client.info("stats")["total_connections_received"] > connections
    left = {key for key in client.keys("*") if not key.startswith((b"_kombu", b"unacked"))}
    assert left == {b"celery"}
    assert client.lrange("celery", 0, -1) == [b"a job of production"]


@pytest.mark.parametrize(
    ("app", "jobs", "said"),
    [
        ("no_module:app", "-", "ModuleNotFoundError: No module named"),
        ("nowhere:app", "-", "No module named 'nowhere'"),
        ("needs_service:app", "-", "ConnectionRefusedError"),
        ("not_an_app:app", "-", "is no Celery app but int 7"),
        ("always_fails:app", "bad_line.jsonl", "bad_line.jsonl, line 3: not JSON"),
        ("always_fails:app", "missing.jsonl", "--jobs missing.jsonl: cannot be read (No such file or directory)"),
        ("always_fails:app", "unserialisable:make_job", "unserialisable:make_job(0): "),
        ("always_fails:app", "unserialisable:make_object", "Allowed: a signature such as resize.s(640)"),
        ("always_fails:app", "unserialisable:nothing", "has no attribute 'nothing'"),
    ],
)
def test_what_cannot_be_raced_is_told_from_the_apps_folder_without_a_traceback(tmp_path, app, jobs, said):
    words = () if jobs == "-" else ("--jobs", jobs)
    done = poolrace("race", "--app", app, *(words or ("--task", "x")), "--out", str(tmp_path), folder=APPS / "bad")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "poolrace/" not in done.stderr.replace(str(APPS), "")
    assert list(tmp_path.iterdir()) == []


def test_a_task_that_the_app_does_not_register_is_told_with_those_near_it(tmp_path):
    done = poolrace("race", "--app", "newsletter:app", "--task", "newsletter.checksun", folder=APPS / "bound")
    assert done.returncode == 2
    assert "--task newsletter.checksun: the app registers no such task. Near it: newsletter.checksum" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--jobs", "jobs.jsonl"), "name it with --app"),
        (("--app", "newsletter:app"), "say what to send: --jobs FILE"),
        (
            ("--app", "newsletter:app", "--jobs", "jobs.jsonl", "--workload", "cpu"),
            "--workload 'cpu': no task of the jobs",
        ),
        (("--app", "newsletter:app", "--jobs", "jobs.jsonl", "--queue", "x", "--queue", "y"), "--queue"),
        (
            ("--app", "newsletter:app", "--jobs", "jobs.jsonl", "--job-timeout", "0"),
            "--job-timeout '0': must be a time",
        ),
    ],
)
def test_options_that_do_not_go_together_are_told(words, said):
    done = poolrace("race", *words, folder=APPS / "bound")
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.heavy
def test_a_task_that_raises_every_time_is_counted_as_failed_and_not_ranked(tmp_path):
    done = poolrace(
        "race", "--app", "always_fails:app", "--task", "always_fails.fail", *TINY[:-2], "--out", str(tmp_path),
        "--json", folder=APPS / "bad",
    )  # fmt: skip
    summary = json.loads(done.stdout)
    lanes = summary["workloads"][0]["lanes"]
    assert [lane["settlement"]["failed"] == lane["settlement"]["sent"] > 0 for lane in lanes] == [True, True]
    assert {verdict["word"] for verdict in summary["workloads"][0]["verdicts"]} == {"open"}
    assert summary["answers"][0]["lane"] is None
    assert "ValueError" in " ".join(summary["warnings"])


@pytest.mark.heavy
@pytest.mark.parametrize("first", sorted(LANES))
def test_a_task_that_never_returns_ends_the_trial_on_either_pool(endless, first):
    done = endless[first].result()
    assert done.returncode == GENERATOR_LATE, done.stderr
    assert f"on lane {first} did not end in time" in done.stderr
    assert "No job ended for 1 s, the --job-timeout" in done.stderr


@pytest.mark.heavy
def test_an_app_whose_handler_hangs_on_threads_is_told_that_processes_can_run_it(hanging):
    done = hanging.result()
    assert done.returncode == CANNOT_RUN, done.stderr
    assert "threads (2 slots) cannot run this app: its nodes took jobs that only sleep" in done.stderr
    assert "handler of task_prerun or task_postrun" in done.stderr
    assert "On prefork (2 slots) the same jobs ended: that can run it." in done.stderr


@pytest.mark.heavy
def test_after_races_of_every_kind_no_process_of_an_app_is_left(races, endless, hanging):
    for each in (*races.values(), *endless.values(), hanging):
        each.result()
    assert [process for process in psutil.process_iter() if is_ours(process)] == []


@pytest.mark.heavy
def test_load_limit_and_sweep_take_the_same_app(commands, tmp_path):
    words = ("--app", "parcels.app", "--jobs", "jobs.jsonl", "--lane", "threads:2", "--out", str(tmp_path), "--json")
    asked = {
        "load": ("--rate", "20/s", "--duration", "0.5s"),
        "sweep": ("--over", "prefetch=1,2", "--pairs", "1", "--duration", "0.1s"),
        "limit": ("--slo", "p99(sojourn) < 0.01ms", "--probe", "1s", "--precision", "0.5", "--from", "1/s"),
    }
    found = {
        command: commands.submit(poolrace, command, *words, *rest, folder=APPS / "pydantic_")
        for command, rest in asked.items()
    }
    told = {command: json.loads(done.result().stdout) for command, done in found.items()}
    settled = [each["settlement"] for each in told.values()]
    assert [each["done"] == each["sent"] > 0 for each in settled] == [True] * 3
    assert [each["settings"]["app"]["app"] for each in told.values()] == ["parcels.app"] * 3


def is_ours(process):
    try:
        return process.environ().get(STARTED_BY) == OURS
    except psutil.Error:
        return False

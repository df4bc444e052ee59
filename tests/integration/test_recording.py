"""A live system is recorded without losing a job, and what was recorded is replayed as it came."""

import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from celery import Celery
from integration.commands import until

from poolrace.credentials import hide_password
from producer.rundir.reader import read_run

APPS = Path(__file__).parents[1] / "apps"
POOLRACE = str(Path(sys.executable).with_name("poolrace"))
JOBS, EVERY_S = 12, 0.1
PATIENCE_S = 120


@pytest.fixture
def live(site):
    """A worker of a user's, as it runs in production, with events."""
    environment = {**os.environ, "CELERY_BROKER_URL": site.broker.url}
    command = [sys.executable, "-m", "celery", "-A", "parcels.app", "worker", "-P", "threads", "-c", "2", "-E"]
    log = site.folder / f"live-{uuid.uuid4().hex}.log"
    child = site.processes.start(
        "live", [*command, "--loglevel", "INFO"], env=environment, cwd=APPS / "pydantic_", log=log
    )
    until(lambda: " ready." in log.read_text())
    yield log
    site.processes.stop(child)


def begin_recording(url, path, *words):
    return subprocess.Popen(
        [POOLRACE, "record", "--broker", url, "--jobs", str(path), "--duration", "5s", "--args", "keep", "--yes-live",
         "--json", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.skipif("not __import__('importlib.util').util.find_spec('pydantic')")
def test_every_job_is_recorded_and_done_and_the_replay_has_its_arrivals(site, live, tmp_path):
    recorded = tmp_path / "recorded.jsonl"
    command = begin_recording(site.broker.url, recorded, "--queue", "celery", "--from", "queue", "--from", "events")
    assert command.stderr.readline() == "Listening. No job so far\n"
    sent_at = []
    for number in range(JOBS):
        sent_at.append(time.time())
        line = json.loads((APPS / "pydantic_" / "jobs.jsonl").read_text().splitlines()[number % 2])
        # Looked at in place, a job must lie there for a moment: it waits in the node for its time.
        site.app.send_task(line["task"], line.get("args"), line.get("kwargs"), queue="celery", countdown=0.2)
        time.sleep(EVERY_S)
    out, err = command.communicate(timeout=PATIENCE_S)
    assert command.returncode == 0, err
    assert json.loads(out)["jobs"] == JOBS
    until(lambda: live.read_text().count(" succeeded in ") == JOBS)
    lines = [json.loads(line) for line in recorded.read_text().splitlines()]
    sent = [at - sent_at[0] for at in sent_at]
    assert [round(line["at"] - due, 0) for line, due in zip(lines, sent, strict=True)] == [0] * JOBS
    done = subprocess.run(
        [POOLRACE, "load", "--app", "parcels.app", "--jobs", str(recorded), "--replay", "2x", "--lane", "threads:2",
         "--out", str(tmp_path), "--json"],
        cwd=APPS / "pydantic_", capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode in {0, 4}, done.stderr
    summary = json.loads(done.stdout)
    run = read_run(tmp_path / summary["run"]["directory"])
    load = next(trial for trial in run.trials if trial.kind == "load")
    due = run.sent.filter(run.sent["trial"] == load.trial).sort("seq")["due_at"]
    assert (due - due[0]).to_list() == pytest.approx([line["at"] / 2 for line in lines], abs=1e-4)
    assert summary["load"]["lanes"][0]["settlement"]["done"] == JOBS


def test_a_live_broker_is_not_watched_before_that_is_confirmed(site, tmp_path):
    done = subprocess.run(
        [POOLRACE, "record", "--broker", site.broker.url, "--queue", "mail", "--jobs", str(tmp_path / "jobs.jsonl")],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "the queues mail, looked at in place" in done.stderr
    assert site.broker.url not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_broker_on_which_nothing_comes_is_told_with_what_to_look_at(site, tmp_path):
    done = subprocess.run(
        [POOLRACE, "record", "--broker", site.broker.url, "--duration", "0.5s", "--yes-live", "--jobs",
         str(tmp_path / "jobs.jsonl")],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no job came. Do its workers send events (celery worker -E)?" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_app_tells_its_own_broker_which_still_has_to_be_confirmed(site, tmp_path):
    words = ("--app", "site_", "--workdir", str(APPS / "django_"), "--jobs", str(tmp_path / "jobs.jsonl"))
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "site_.settings",
        "DJANGO_BROKER": site.broker.url,
        "DJANGO_FOLDER": str(tmp_path),
    }
    environment.pop("CELERY_BROKER_URL", None)
    done = subprocess.run(
        [POOLRACE, "record", *words], env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 2
    assert f"would watch {hide_password(site.broker.url)}" in done.stderr
    done = subprocess.run(
        [POOLRACE, "record", *words, "--duration", "0.3s", "--yes-live"],
        env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert (done.returncode, "no job came" in done.stderr) == (2, True)


def test_an_app_that_cannot_be_imported_is_told(tmp_path):
    done = subprocess.run(
        [POOLRACE, "record", "--app", "no_module:app", "--workdir", str(APPS / "bad"), "--yes-live", "--jobs",
         str(tmp_path / "jobs.jsonl")],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--app no_module:app cannot be imported from" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.heavy
def test_an_app_is_recorded_on_its_broker_as_it_reaches_it(site, tmp_path):
    name = f"parcels_{uuid.uuid4().hex[:8]}"
    options = {"global_keyprefix": "shop:", "priority_steps": list(range(10)), "sep": ":"}
    urls = ["redis://127.0.0.1:9/0", site.broker.url]
    (tmp_path / f"{name}.py").write_text(
        "from celery import Celery\n"
        f"app = Celery('{name}', broker={urls!r})\n"
        f"app.conf.update(broker_transport_options={options!r}, event_exchange='shop.events')\n"
        "@app.task(name='parcels.weigh')\ndef weigh(number): pass\n"
    )
    recorded = tmp_path / "recorded.jsonl"
    command = subprocess.Popen(
        [POOLRACE, "record", "--app", f"{name}:app", "--jobs", str(recorded), "--duration", "4s", "--yes-live",
         "--queue", name, "--args", "keep"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert command.stderr.readline() == "Listening. No job so far\n"
    with Celery("sender", broker=site.broker.url, set_as_current=False) as app:
        app.conf.update(broker_transport_options=options)
        for number in range(10):
            app.send_task("parcels.weigh", [number], queue=name, priority=number)
            time.sleep(EVERY_S)
    _, err = command.communicate(timeout=PATIENCE_S)
    assert command.returncode == 0, err
    lines = [json.loads(line) for line in recorded.read_text().splitlines()]
    assert [(line["args"], line.get("priority", 0)) for line in lines] == [([number], number) for number in range(10)]

"""An app whose broker stands behind Sentinel is recorded there, raced elsewhere, and its master is left as it was."""

import json
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from celery import Celery
from integration.servers import Sentinels

POOLRACE = str(Path(sys.executable).with_name("poolrace"))
MASTER = {"master_name": "shop"}
JOBS, EVERY_S, FOR_S = 8, 0.1, 5
PATIENCE_S = 120
TINY = ("--concurrency", "2", "--pairs", "1", "--duration", "0.1s", "--utilisation", "0.2")
GENERATOR_LATE = 4

pytestmark = pytest.mark.heavy


@pytest.fixture
def shop(site, tmp_path):
    """Sentinels, and the folder of an app that reaches its broker by them."""
    sentinels = Sentinels(site.processes)
    (tmp_path / "relay.py").write_text(
        textwrap.dedent(
            f"""
            from celery import Celery

            app = Celery("relay", broker={sentinels.url!r})
            app.conf.broker_transport_options = {MASTER!r}


            @app.task
            def send(number):
                return number
            """
        )
    )
    return sentinels, tmp_path


def run(folder, *words):
    return subprocess.run(
        [POOLRACE, *words], cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def test_it_is_recorded_by_its_sentinels_and_raced_from_that_recording(shop):
    sentinels, folder = shop
    words = ("--queue", "celery", "--duration", f"{FOR_S}s", "--args", "keep", "--yes-live", "--json")
    command = subprocess.Popen(
        [POOLRACE, "record", "--app", "relay:app", *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert command.stderr.readline() == "Listening. No job so far\n"
    with Celery("sender", broker=sentinels.url, set_as_current=False) as app:
        app.conf.broker_transport_options = MASTER
        for number in range(JOBS):
            app.send_task("relay.send", [number])
            time.sleep(EVERY_S)
    out, err = command.communicate(timeout=PATIENCE_S)
    assert (command.returncode, json.loads(out)["jobs"]) == (0, JOBS), err
    before = sentinels.master.client.lrange("celery", 0, -1)
    assert len(before) == JOBS
    done = run(folder, "race", "--app", "relay:app", "--jobs", "jobs.jsonl", *TINY, "--json", "--out", "runs")
    assert done.returncode in {0, GENERATOR_LATE}, done.stderr
    assert sentinels.master.client.lrange("celery", 0, -1) == before


@pytest.mark.parametrize(
    ("options", "said"),
    [({"master_name": "shoop"}, "no sentinel there knows its master"), ({}, "its master is not named")],
)
def test_a_master_that_sentinel_does_not_know_is_told(shop, options, said):
    _, folder = shop
    module = folder / "relay.py"
    module.write_text(module.read_text().replace(str(MASTER), str(options)))
    done = run(folder, "record", "--app", "relay:app", "--queue", "celery", "--duration", "1s", "--yes-live")
    assert done.returncode == 3, done.stderr
    assert said in done.stderr
    assert "broker_transport_options = {'master_name': NAME}" in done.stderr
    assert "Traceback" not in done.stderr

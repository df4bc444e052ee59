"""A lane's nodes store the results of its jobs if the lane says so, and only then, whatever the jobs themselves say."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from producer.fleet.embedded import start_embedded
from producer.fleet.processes import Processes
from producer.rundir.reader import read_run

POOLRACE = str(Path(sys.executable).with_name("poolrace"))
APPS = Path(__file__).parents[1] / "apps"
PATIENCE_S = 120
HELD = "hold"
"""The jobs that prove the slots of a lane, and have no result."""
LOAD = ("--rate", "20/s", "--duration", "1s", "--json")
DEMONSTRATION = ("--mix", "sleep", "--job-duration", "5ms")
JOBS = {
    "newsletter": '{"task": "newsletter.checksum", "kwargs": {"text": "hello"}}\n',
    "workflows": '{"task": "workflows.add", "args": [1, 2]}\n',
}

pytestmark = pytest.mark.heavy


@pytest.fixture
def broker():
    """A broker that runs already: its URL, and a client."""
    with Processes() as processes:
        url = start_embedded(processes, processes.folder()).url
        with redis.Redis.from_url(url) as client:
            yield url, client


def loaded(broker, tmp_path, lane, *words, folder=None):
    """Hold a short load on a lane; return how many jobs there were, and how many results were stored meanwhile."""
    url, client = broker
    start = ("--broker", url, "--start-nodes", "--lane", lane, "--out", str(tmp_path))
    done = subprocess.run(
        [POOLRACE, "load", *LOAD, *start, *words], cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S,
        check=False,
    )  # fmt: skip
    assert done.returncode in {0, 4}, done.stderr
    run = read_run(tmp_path / json.loads(done.stdout)["run"]["directory"])
    jobs = sum(trial.jobs for trial in run.trials if trial.workload != HELD)
    stored = client.info("commandstats").get("cmdstat_setex", {"calls": 0})["calls"]
    assert [key for key in client.keys("*") if b"result" in key or b"celery-task-meta" in key] == []
    return jobs, stored


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_of_the_demonstrations_jobs_each_result_is_stored_on_the_broker_and_none_is_left(broker, tmp_path, pool):
    jobs, stored = loaded(broker, tmp_path, f"{pool}:2:results=on", *DEMONSTRATION)
    assert stored == jobs > 0


def test_without_a_word_of_results_none_is_stored(broker, tmp_path):
    jobs, stored = loaded(broker, tmp_path, "threads:2", *DEMONSTRATION)
    assert jobs > stored == 0


@pytest.mark.parametrize(
    ("kind", "app", "switch"),
    [("bound", "newsletter", "on"), ("canvas", "workflows", "on"), ("canvas", "workflows", "off")],
)
def test_an_apps_results_are_those_that_the_lane_says_whether_its_settings_name_a_backend_or_not(
    broker, tmp_path, kind, app, switch
):
    jobs_file = tmp_path / "jobs.jsonl"
    jobs_file.write_text(JOBS[app])
    words = ("--app", f"{app}:app", "--jobs", str(jobs_file), "--yes-live")
    jobs, stored = loaded(broker, tmp_path, f"threads:2:results={switch}", *words, folder=APPS / kind)
    assert jobs > 0
    assert (stored == jobs) if switch == "on" else stored == 0

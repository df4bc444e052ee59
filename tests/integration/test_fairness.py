"""One long job holds up short ones behind it, on a node that takes them ahead; on one that does not, none is held."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

APP = Path(__file__).parents[1] / "apps" / "long"
POOLRACE = str(Path(sys.executable).with_name("poolrace"))
PATIENCE_S = 180
JOBS, LONG_S, SHORT_S = 32, 1.5, 0.05
AHEAD, ONE_AT_A_TIME = "threads:1:nodes=2", "threads:1:nodes=2:prefetch=1:acks=late"

pytestmark = pytest.mark.heavy


def test_a_load_finds_hoarding_and_its_cure_ends_it(tmp_path):
    jobs = [{"task": "naps.nap", "args": [LONG_S if number == 5 else SHORT_S]} for number in range(10)]
    (tmp_path / "jobs.jsonl").write_text("".join(json.dumps(job) + "\n" for job in jobs))
    done = subprocess.run(
        [POOLRACE, "load", "--app", "naps:app", "--workdir", str(APP), "--jobs", str(tmp_path / "jobs.jsonl"),
         "--rate", "4/s", "--arrivals", "constant", "--duration", "8s", "--lane", AHEAD, "--lane", ONE_AT_A_TIME,
         "--out", str(tmp_path / "runs"), "--json"],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode in {0, 4}, done.stderr  # 4: others used the machine
    ahead, one_at_a_time = (lane["fairness"] for lane in json.loads(done.stdout)["load"]["lanes"])
    assert ahead["jobs_held"] > 0
    assert ahead["longest_s"] >= LONG_S
    assert (one_at_a_time["jobs_held"], one_at_a_time["hoarded_s"]) == (0, 0.0)
    assert sum(node["jobs"] for node in one_at_a_time["nodes"]) == JOBS
    (run,) = (tmp_path / "runs").iterdir()
    report = subprocess.run(
        [POOLRACE, "report", "--full", str(run)], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert f"--lane {AHEAD} --lane {ONE_AT_A_TIME}" in report.stdout

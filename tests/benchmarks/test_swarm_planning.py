"""A plan is held against a swarm by what is asked of it, in order; without one it is passed over with the reason."""

import json
import os
import sys
from pathlib import Path

import pytest

from benchmarks import swarm_planning
from benchmarks.figures import Skipped

DOCKER = """#!{python}
import pathlib, shutil, subprocess, sys

words, here = sys.argv[1:], pathlib.Path(__file__).parent
with (here / "asked").open("a") as asked:
    asked.write(" ".join(words) + "\\n")
pools, scale = ("prefork", "threads"), here / "scale"
hosts = int(scale.read_text()) if scale.exists() else {hosts}
match words:
    case ["info", *_]:
        print("true active")
    case ["node", "ls", *_]:
        print("Ready\\n" * {hosts})
    case ["service", "ls", *_]:
        print("\\n".join(f"poolrace_worker-{{pool}}" for pool in pools))
    case ["service", "inspect", *_]:
        print({hosts})
    case ["service", "scale", *_]:
        scale.write_text(words[-1].partition("=")[2])
    case ["service", "ps", *_]:
        print("\\n".join(f"node{{number}} Running 3 seconds ago" for number in range(1, hosts + 1)))
    case ["ps", *_]:
        print("abc")
    case ["cp", what, where]:
        shutil.copytree(here / "runs" / pathlib.Path(what).name, where)
    case ["exec", "-i", "abc", "poolrace", "race", "--expect-nodes", nodes, *rest]:
        assert int(nodes) == 2 * hosts
        lanes = [word for pool in pools for word in ("--lane", f"{{pool}}:2:nodes={{hosts}}")]
        race = [sys.executable, "-m", "producer", "race", *lanes, "--out", str(here / "runs"), *rest]
        raise SystemExit(subprocess.run(race).returncode)
    case _:
        sys.exit(f"not expected: {{words}}")
"""
"""Answers as a swarm of three hosts does; nodes are those of this machine."""


def docker(folder: Path, text: str) -> None:
    """Put a command of that name into a folder."""
    (folder / "docker").write_text(text)
    (folder / "docker").chmod(0o755)


@pytest.fixture
def swarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose `docker` is found first."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("LOCAL_SWARM", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("#!/bin/sh\nexit 1\n", "no Docker engine answers here"),
        ("#!/bin/sh\necho false inactive\n", "this engine is in no swarm"),
        (DOCKER.format(python=sys.executable, hosts=2), "here are 2"),
    ],
)
def test_without_three_hosts_it_is_passed_over_with_the_reason(swarm: Path, text: str, says: str) -> None:
    docker(swarm, text)
    (found,) = swarm_planning.measure(out=swarm / "out")
    assert isinstance(found, Skipped)
    assert "needs the stack on a swarm of 3 hosts, `make swarm`" in found.reason
    assert says in found.reason
    assert not (swarm / "scale").exists()


@pytest.mark.heavy
def test_three_hosts_are_foretold_in_a_file_before_they_are_raced_and_workers_are_scaled_back(swarm: Path) -> None:
    docker(swarm, DOCKER.format(python=sys.executable, hosts=3))
    found = swarm_planning.measure(out=swarm / "out", pairs=1, trial_s=0.5)
    names = [figure.name.rpartition(": ")[2].split(" ")[0] for figure in found]
    assert names == ["throughput", "p50", "p99"] * 2
    asked = (swarm / "asked").read_text().splitlines()
    scales = [line.rpartition("=")[2] for line in asked if line.startswith("service scale")]
    assert scales == ["1", "2", "3", "3"]
    (file,) = (swarm / "out").glob("*.prediction.json")
    said = json.loads(file.read_text())
    last = [line for line in asked if line.startswith("exec")][-1]
    assert f"--rate {said['prefork']['rate_per_s']}/s" in last
    runs = sorted((swarm / "out").glob("*-race-*/manifest.json"), key=lambda each: each.stat().st_mtime)
    assert len(runs) == 3
    assert json.loads(runs[-1].read_text())["began_at"] > file.stat().st_mtime

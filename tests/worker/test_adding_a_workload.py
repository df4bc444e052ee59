"""A new workload is one new file: the one on the design page, in a copy of the project."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import worker

ROOT = Path(worker.__file__).parents[1]
LINES = 25

RUN = """
from worker.app import app
app.finalize()
print(app.tasks["worker.compress"](1), app.tasks["worker.compress"](3))
"""

HELP = """
import sys
from {module} import {function}
sys.argv = ["poolrace", "race", "--help"]
{function}()
"""


def example() -> str:
    section = (ROOT / "docs" / "design.md").read_text().split("### Adding a workload\n")[1]
    return section.split("```python\n")[1].split("```\n")[0]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the project's packages, and add the file."""
    folder = tmp_path_factory.mktemp("copy")
    for package in ("poolrace", "worker", "producer"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "worker" / "workloads" / "compress.py").write_text(example())
    return folder


def run(folder: Path, *arguments: str) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("POOLRACE_")}
    command = [sys.executable, "-W", "error", *arguments]
    ended = subprocess.run(
        command, cwd=folder, env={**environ, "PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_it_is_short() -> None:
    assert example().count("\n") < LINES


def test_a_worker_has_a_task_that_runs_it(copy: Path) -> None:
    once, three_times = map(int, run(copy, "-c", RUN).split())
    assert three_times == 3 * once > 0


def test_its_jobs_are_sized(copy: Path) -> None:
    sized = json.loads(run(copy, "-m", "worker.calibrate", "compress", "--target", "0.004"))
    assert list(sized) == ["compress"]
    assert sized["compress"]["target_s"] == 0.004
    assert sized["compress"]["amount"][0] >= 1


def test_a_race_offers_it(copy: Path) -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, function = scripts["poolrace"].split(":")
    text = run(copy, "-c", HELP.format(module=module, function=function))
    assert re.search(r"What jobs do; repeatable: compress, cpu, disk, ", " ".join(text.split()))

"""A new pool is one entry in `pools.py`: the design page shows one, and nothing else spells the name of a pool."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from poolrace import pools
from poolrace.pools import POOLS

DATA = Path(pools.__file__)
ROOT = DATA.parents[1]

NO_POOLS = {
    # The number of threads of a node's processes, on every pool.
    "producer/rundir/schema.py": ["threads"],
    "producer/stack/metrics.py": ["threads"],
    # A module that an app imports.
    "poolrace/ownapp/hazards.py": ["gevent.monkey"],
}
"""Strings that are no pool's name, though they look like one."""

STATEMENTS = ROOT / "producer" / "lessons" / "experiments"
"""Lessons are statements about the two pools."""

LANES = """
from producer.plan.lanes import parse_lanes
from producer.stack.parts import WORKERS
lanes = parse_lanes(["solo:1", "threads:8"], concurrency=4, prefetch=1, acks="early")
print(*(lane.label for lane in lanes), WORKERS["worker-solo"])
"""


def example() -> str:
    section = (ROOT / "docs" / "design.md").read_text().split("### Adding a pool\n")[1]
    return section.split("```python\n")[1].split("```\n")[0]


def spelled(module: Path) -> list[str]:
    """Return the strings of a module that are a pool's name or are made of one; prose and docstrings do not count."""
    tree = ast.parse(module.read_text())
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    strings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in prose]
    name = re.compile(rf"(?:\S*\b)?(?:{'|'.join(POOLS)})(?:\b\S*)?")
    return sorted({text for text in strings if isinstance(text, str) and name.fullmatch(text)})


@pytest.mark.parametrize("package", ["poolrace", "producer", "worker"])
def test_no_module_spells_the_name_of_a_pool(package: str) -> None:
    """Code asks for a pool's properties, not for its name; so a new pool needs no edit of it."""
    modules = [path for path in (ROOT / package).rglob("*.py") if path != DATA and path.parent != STATEMENTS]
    found = {path.relative_to(ROOT).as_posix(): spelled(path) for path in modules}
    assert len(found) > 10
    assert {path: names for path, names in found.items() if names and NO_POOLS.get(path) != names} == {}


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("lane = 'prefork'", ["prefork"]),
        ("queues = ['worker-threads', f'{host}:threads']", [":threads", "worker-threads"]),
        ("'''Run it on prefork.'''", []),
        ("error('Use prefork for this.')", []),
        ("kind = 'multithreads'", []),
    ],
)
def test_a_spelled_name_is_found(tmp_path: Path, code: str, found: list[str]) -> None:
    module = tmp_path / "module.py"
    module.write_text(code)
    assert spelled(module) == found


def test_the_entry_on_the_design_page_is_one_of_the_file() -> None:
    entry = iter(DATA.read_text().split("_SOLO = Pool(\n")[1].split("\n)\n")[0].splitlines())
    shown = [line for line in example().splitlines()[1:-1] if line.strip() != "..."]
    assert len(shown) > 10
    assert all(line in entry for line in shown), "the lines of the page are not those of the file, in their order"


def test_an_entry_is_a_lane_and_a_worker_of_the_stack_as_soon_as_it_is_a_default(tmp_path: Path) -> None:
    for package in ("poolrace", "worker", "producer"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    data = tmp_path / "poolrace" / "pools.py"
    data.write_text(data.read_text().replace("is_default=False", "is_default=True", 1))
    command = [sys.executable, "-W", "error", "-c", LANES]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split("\n")[0] == "solo (1 slots) threads (8 slots) solo"

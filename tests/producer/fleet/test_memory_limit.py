"""A group's limit of memory ends what exceeds it, and nothing of it is left."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from producer.errors import FleetError
from producer.fleet import memory_limit
from producer.fleet.memory_limit import ROOTS, MemoryLimit, why_not

if TYPE_CHECKING:
    from pathlib import Path

NAME = "poolrace-test-limit"
EAT = "import sys; sys.stdin.readline(); eaten = b'x' * (int(sys.argv[1]) << 20)"

needs_groups = pytest.mark.skipif(bool(why_not()), reason=f"no memory can be limited here: {why_not()}")


def eat(mib: int) -> int:
    """Return how a process ends that takes so much memory under a limit of 100 MiB."""
    with MemoryLimit(NAME, 100) as limit:
        with subprocess.Popen([sys.executable, "-c", EAT, str(mib)], stdin=subprocess.PIPE) as process:
            limit.add(process.pid)
            process.communicate(b"\n")
        return process.returncode


@needs_groups
def test_what_takes_more_is_killed_and_what_takes_less_is_not() -> None:
    assert eat(300) == -signal.SIGKILL
    assert eat(10) == 0
    assert not [root / NAME for root, _, _ in ROOTS if (root / NAME).exists()]


def test_without_the_kernels_groups_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory_limit, "ROOTS", ((tmp_path, "cgroup.subtree_control", "memory.max"),))
    assert why_not() == "this system has no control groups for memory"
    with pytest.raises(FleetError, match="no control groups"), MemoryLimit(NAME, 100):
        pass

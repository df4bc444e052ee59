"""
The growth of the generator's memory: the memory of the processes of a `poolrace load`, late in a long load against
early in it. The publisher is counted; the nodes are not.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import psutil

from benchmarks.figures import Figure, Promise
from producer.errors import FleetError, InvalidRunError
from producer.report.formats import mebibytes

if TYPE_CHECKING:
    from collections.abc import Sequence

RATE_PER_S = 100
WARM_SHARE = 0.1
SHARE = 0.2
"""Early and late each are this part of the load's time: after its first tenth, and at its end."""

PROMISE = Promise(most=1.1)
SAMPLE_EVERY_S = 1.0
PATIENCE_S = 120.0


def measure(*, duration_s: float = 600.0) -> list[Figure]:
    """Run one load of no-op jobs on one lane."""
    with tempfile.TemporaryDirectory() as folder:
        seen = _hold(duration_s, Path(folder))
    early, late = _part(seen, WARM_SHARE, duration_s), _part(seen, 1 - SHARE, duration_s)
    name = f"memory of the generator at the end of {duration_s:.0f} s / at their beginning"
    return [Figure.of(name, [(late, early)], mebibytes, PROMISE)]


def _hold(duration_s: float, folder: Path) -> list[tuple[float, int]]:
    """Run the load; return the memory of the generator's processes by second."""
    command = [
        sys.executable, "-c", "from producer.__main__ import main; main()", "load", "--rate", f"{RATE_PER_S}/s",
        "--duration", f"{duration_s:g}s", "--mix", "noop", "--lane", "threads:4", "--out", str(folder), "--json",
    ]  # fmt: skip
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
    seen: list[tuple[float, int]] = []
    began_s, deadline_s = None, time.monotonic() + duration_s + PATIENCE_S
    while process.poll() is None:
        if time.monotonic() > deadline_s:
            process.terminate()
        if began_s is None and list(folder.glob("*/records/00001-*")):
            began_s = time.monotonic()  # the warm-up has ended
        if began_s is not None:
            seen.append((time.monotonic() - began_s, _memory_bytes(process.pid)))
        time.sleep(SAMPLE_EVERY_S)
    # On a busy machine the generator is late, which makes the run invalid and does not change its memory.
    if process.returncode not in {0, InvalidRunError.exit_code}:
        raise FleetError(
            f"The load ended with exit code {process.returncode}:\n{(folder / 'said').read_text()[-2000:]}"
        )
    return seen


def _memory_bytes(pid: int) -> int:
    """Return the unique memory of the command and its publishers, without broker, guard and nodes."""
    try:
        command = psutil.Process(pid)
        ours = [command, *(child for child in command.children() if "multiprocessing" in " ".join(child.cmdline()))]
        return sum(process.memory_full_info().uss for process in ours)
    except psutil.NoSuchProcess:
        return 0


def _part(seen: Sequence[tuple[float, int]], begin: float, duration_s: float) -> float:
    found = [size for at_s, size in seen if begin * duration_s <= at_s < (begin + SHARE) * duration_s and size]
    if not found:
        raise FleetError("The load ended before its memory could be measured twice. Measure for longer.")
    return median(found)

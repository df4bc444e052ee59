"""
The cost of the compose stack: `python -m benchmarks.stack`.

Builds the images, starts a stack of its own beside any other, waits until jobs run, pauses the load, and reads the
containers' use while nothing happens. Needs Docker; takes about three minutes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROJECT = "poolrace-figures"
IMAGE = "poolrace:0.1.0"
IDLE_S = 120.0
SETTLE_S = 15.0

START_S = 15.0
IDLE_SHARE = 0.03
IDLE_BYTES = 400 * 2**20
"""The promises: the time of a start, and the use of all services together while nothing happens."""

READ = """\
cat /sys/fs/cgroup/cpu.stat 2>/dev/null || cat /sys/fs/cgroup/cpuacct/cpuacct.usage
echo --
cat /sys/fs/cgroup/memory.stat 2>/dev/null || cat /sys/fs/cgroup/memory/memory.stat"""
"""Prints the statistics of a container's cgroup, v2 or v1; one command, since each costs 30 ms that count too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """
    The use of one container.

    Attributes:
        cpu_s: CPU time since its start, in seconds.
        memory_bytes: Memory that cannot be read from a file again.
    """

    cpu_s: float
    memory_bytes: int


def parse_cpu_s(text: str) -> float:
    """Parse CPU seconds from `cpu.stat` of cgroup v2, in microseconds, or `cpuacct.usage` of v1, in nanoseconds."""
    first, *rest = text.split()
    return int(rest[0]) / 1e6 if first == "usage_usec" else int(first) / 1e9


def parse_memory_bytes(text: str) -> int:
    """Parse anonymous and shared memory from `memory.stat`: v2 calls them anon and shmem, v1 total_rss and so on."""
    fields = dict(line.split() for line in text.splitlines())
    held = (fields.get("anon") or fields.get("total_rss"), fields.get("shmem") or fields.get("total_shmem"))
    return sum(int(value) for value in held if value)


def compose(*words: str) -> str:
    """Run a command of Compose on this benchmark's stack; return its output."""
    return run("docker", "compose", "-p", PROJECT, *words)


def run(*command: str) -> str:
    """Run a command; return its output. Exit with the end of its errors if it fails."""
    environ = {"FLOWER_PORT": "15555", **os.environ}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    if ended.returncode:
        sys.exit(f"{' '.join(command)}: {ended.stderr.strip()[-2000:]}")
    return ended.stdout


def read_usage(service: str) -> Usage:
    """Return the use of a service's container so far."""
    cpu, _, memory = compose("exec", "-T", service, "sh", "-c", READ).partition("--\n")
    return Usage(cpu_s=parse_cpu_s(cpu), memory_bytes=parse_memory_bytes(memory))


def measure() -> dict[str, Any]:
    """Start the stack, pause its load, wait, and read its use."""
    began_s = time.monotonic()
    compose("up", "--detach", "--wait")
    start_s = time.monotonic() - began_s
    compose("run", "--rm", "-T", "producer", "live", "pause")
    time.sleep(SETTLE_S)
    services = compose("ps", "--services").split()
    before = {service: read_usage(service) for service in services}
    time.sleep(IDLE_S)
    after = {service: read_usage(service) for service in services}
    idle = {
        service: {"cpu_share": (after[service].cpu_s - used.cpu_s) / IDLE_S, "bytes": after[service].memory_bytes}
        for service, used in before.items()
    }
    return {"image_bytes": image_bytes(), "start_s": start_s, "idle": idle}


def image_bytes() -> int:
    """Return the size of the image, its base included."""
    found: list[dict[str, Any]] = json.loads(run("docker", "image", "inspect", IMAGE))
    return int(found[0]["Size"])


def lines(found: Mapping[str, Any], load: float) -> Iterator[str]:
    """Return the figures as lines of text."""
    idle = found["idle"]
    share = sum(used["cpu_share"] for used in idle.values())
    held = sum(used["bytes"] for used in idle.values())
    yield f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, load {load:.1f} before the start"
    yield f"image      {found['image_bytes'] / 1e6:.0f} MB with its base"
    yield f"start      {found['start_s']:.1f} s until jobs run on both pools (promised: {START_S:.0f} s)"
    yield f"idle       {share:.1%} of one core (promised: {IDLE_SHARE:.0%})"
    yield f"           {held / 2**20:.0f} MiB (promised: {IDLE_BYTES / 2**20:.0f} MiB), of which"
    for service, used in sorted(idle.items()):
        yield f"           {service:15} {used['cpu_share']:6.2%} {used['bytes'] / 2**20:6.0f} MiB"


def main() -> None:
    """Measure a stack of its own, and remove it."""
    load = os.getloadavg()[0]
    compose("build")
    try:
        found = measure()
    finally:
        compose("down", "--volumes")
    print("\n".join(lines(found, load)))


if __name__ == "__main__":
    main()

"""
What the compose stack costs: `python -m benchmarks.stack`.

Starts a stack of its own beside any other, with its images built, waits until jobs run, pauses the load, and reads what
the containers use while nothing happens. Needs Docker; takes about three minutes.
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
"""What is promised: how long a start takes, and what all services use together when nothing happens."""

READ = """\
cat /sys/fs/cgroup/cpu.stat 2>/dev/null || cat /sys/fs/cgroup/cpuacct/cpuacct.usage
echo --
cat /sys/fs/cgroup/memory.stat 2>/dev/null || cat /sys/fs/cgroup/memory/memory.stat"""
"""The accounts of a container's own cgroup, v2 or v1. In one go, since going in costs 30 ms, which are counted too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """
    What one container has used.

    Attributes:
        cpu_s: CPU time since its start, in seconds.
        memory_bytes: What it holds that could not be had from a file again.
    """

    cpu_s: float
    memory_bytes: int


def parse_cpu_s(text: str) -> float:
    """CPU seconds from `cpu.stat` of cgroup v2, in microseconds, or `cpuacct.usage` of v1, in nanoseconds."""
    first, *rest = text.split()
    return int(rest[0]) / 1e6 if first == "usage_usec" else int(first) / 1e9


def parse_memory_bytes(text: str) -> int:
    """Anonymous memory and shared memory from `memory.stat`: v2 calls them anon and shmem, v1 total_rss and so on."""
    fields = dict(line.split() for line in text.splitlines())
    held = (fields.get("anon") or fields.get("total_rss"), fields.get("shmem") or fields.get("total_shmem"))
    return sum(int(value) for value in held if value)


def compose(*words: str) -> str:
    """Run a command of Compose on the stack of our own; returns what it prints."""
    return run("docker", "compose", "-p", PROJECT, *words)


def run(*command: str) -> str:
    """Run a command; returns what it prints. If it fails, so do we, with its last words."""
    environ = {"FLOWER_PORT": "15555", **os.environ}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    if ended.returncode:
        sys.exit(f"{' '.join(command)}: {ended.stderr.strip()[-2000:]}")
    return ended.stdout


def read_usage(service: str) -> Usage:
    """What a service's container has used so far."""
    cpu, _, memory = compose("exec", "-T", service, "sh", "-c", READ).partition("--\n")
    return Usage(cpu_s=parse_cpu_s(cpu), memory_bytes=parse_memory_bytes(memory))


def measure() -> dict[str, Any]:
    """Start, pause, wait, and read."""
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
    """The image, its base included."""
    found: list[dict[str, Any]] = json.loads(run("docker", "image", "inspect", IMAGE))
    return int(found[0]["Size"])


def lines(found: Mapping[str, Any], load: float) -> Iterator[str]:
    """The figures, for people."""
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
    """Measure a stack of our own, and leave nothing of it."""
    load = os.getloadavg()[0]
    compose("build")
    try:
        found = measure()
    finally:
        compose("down", "--volumes")
    print("\n".join(lines(found, load)))


if __name__ == "__main__":
    main()

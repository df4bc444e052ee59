"""
Kills busy nodes at random instants and counts lost jobs, on kombu's transport and on the atomic one.

`python -m benchmarks.kills` starts a broker of its own, and a node at a time, which a SIGKILL ends while it works.
Jobs are acknowledged late. At the end the nodes are left alone until nothing is queued or held; a job that was sent
and never ran is lost. One kill takes about two seconds.
"""

from __future__ import annotations

import os
import random
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import redis

from benchmarks.busy import DONE, PREFETCH, QUEUE, TRANSPORTS, make_app, send, start_node
from producer.fleet.broker import start_embedded
from producer.fleet.processes import Processes

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

FEED = 4000
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Toll:
    """
    What the kills cost.

    Attributes:
        kills: How many there were.
        jobs: Sent in all.
        lost: Sent and never run.
        repeats: Runs beyond the first of each job.
        held: For each kill, what the dead node held; no job beyond it can be repeated.
    """

    kills: int
    jobs: int
    lost: int
    repeats: int
    held: tuple[int, ...]


class Round:
    """One pool on one transport."""

    def __init__(self, url: str, pool: str, transport: str, folder: Path) -> None:
        self._url, self._pool, self._transport = url, pool, transport
        self._log = folder / f"{pool}-{transport}.log"
        self._client = redis.Redis.from_url(url)
        self._app = make_app(url)
        self._sent = 0

    def run(self, kills: int, chance: random.Random) -> Toll:
        """Kill so many nodes, then let one finish."""
        self._client.flushall()
        held = tuple(self._kill_one(chance) for _ in range(kills))
        self._finish()
        runs = [int(count) for count in self._client.hvals(DONE)]
        return Toll(
            kills=kills, jobs=self._sent, lost=self._sent - len(runs), repeats=sum(runs) - len(runs), held=held
        )  # fmt: skip

    def _kill_one(self, chance: random.Random) -> int:
        before = self._held()
        self._feed()
        done = self._done()
        node = self._start()
        self._until(lambda: self._done() > done + PREFETCH)
        time.sleep(chance.uniform(0, 0.1))
        _end(node, signal.SIGKILL)
        time.sleep(0.05)  # the server reads what the sockets still hold
        return len(self._held() - before)

    def _finish(self) -> None:
        node = self._start()
        self._until(lambda: not self._client.llen(QUEUE) and not self._held())
        _end(node, signal.SIGTERM)

    def _feed(self) -> None:
        if self._client.llen(QUEUE) < FEED // 2:
            send(self._app, "busy.tick", range(self._sent, self._sent + FEED), with_number=True)
            self._sent += FEED

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return start_node(self._url, self._pool, self._transport, log)

    def _held(self) -> set[Any]:
        return set(self._client.hkeys("unacked"))

    def _done(self) -> int:
        return int(self._client.hlen(DONE))

    def _until(self, holds: Any) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing moves; the end of {self._log}: {self._log.read_text()[-1000:]}")
            time.sleep(0.002)


def _end(node: subprocess.Popen[bytes], number: int) -> None:
    # To the session for a kill, or the processes of a pool would go on for a while; a warm end is the main process's.
    if number == signal.SIGKILL:
        os.killpg(node.pid, number)
    else:
        node.send_signal(number)
    node.wait(PATIENCE_S)


def measure(pool: str, transport: str, kills: int, seed: int = 1) -> Toll:
    """The toll of some kills, on a broker of its own."""
    with Processes() as processes:
        folder = processes.folder()
        return Round(start_embedded(processes, folder).url, pool, transport, folder).run(kills, random.Random(seed))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--kills", default=25, show_default=True, type=click.IntRange(min=1), help="For each pool and transport.")
@click.option("--pool", "pools", multiple=True, default=("threads", "prefork"), show_default=True)
@click.option("--transport", "transports", multiple=True, type=click.Choice(list(TRANSPORTS)), default=list(TRANSPORTS))
@click.option("--seed", default=1, show_default=True, help="Of the instants.")
def main(kills: int, pools: tuple[str, ...], transports: tuple[str, ...], seed: int) -> None:
    """Kill busy nodes and count lost jobs; exit code 1 if the atomic transport lost one."""
    bad = False
    for pool in pools:
        for transport in transports:
            toll = measure(pool, transport, kills, seed)
            bad = bad or (transport == "atomic" and bool(toll.lost))
            click.echo(
                f"{pool:8} {transport:7} {toll.kills} kills, {toll.jobs} jobs: {toll.lost} lost, {toll.repeats} "
                f"repeated; a dead node held {min(toll.held)} to {max(toll.held)}, window {PREFETCH}"
            )
    raise SystemExit(bad)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.kills")

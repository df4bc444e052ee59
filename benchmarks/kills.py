"""
Kills busy nodes at random times and accounts for every job after each kill.

`python -m benchmarks.kills` starts a broker of its own, and one node at a time, which a SIGKILL ends while it works.
After each kill every job that was sent has ended, is queued or is held; a job that is none of these is lost.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import click
import redis

from benchmarks.busy import TRANSPORTS
from benchmarks.counted import BEGUN, ENDED, PREFETCH, QUEUE, SLOTS, Setup, make_app, send, start_node
from benchmarks.ledger import Bounds, Kill, Ledger
from producer import interrupts
from producer.fleet.embedded import start_embedded
from producer.fleet.processes import Processes

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

FEED = 1000
WITHIN_S = 0.2
PATIENCE_S = 60.0
SHOW_EVERY = 10
BOUNDS = {"late": Bounds(window=PREFETCH, lost=0), "early": Bounds(window=PREFETCH, lost=SLOTS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """The kind of a node: its pool, its transport, and when jobs are acknowledged."""

    pool: str
    transport: str
    acks: str

    def __str__(self) -> str:
        """Return the kind as columns of a table."""
        return f"{self.pool:7} {self.transport:6} {self.acks:5}"


@dataclass(slots=True, kw_only=True)
class Toll:
    """
    The cost of the kills of one kind.

    Attributes:
        kind: The kind of nodes.
        ledger: The cost of each kill.
        ended: The faults after a last node was left to finish; None if no node was.
    """

    kind: Kind
    ledger: Ledger = field(default_factory=Ledger)
    ended: list[str] | None = None

    def total(self, name: str) -> int:
        """Return the sum over all kills."""
        return sum(getattr(kill, name) for kill in self.ledger.kills)

    def most(self, name: str) -> int:
        """Return the most of any kill."""
        return max((getattr(kill, name) for kill in self.ledger.kills), default=0)

    def faults(self) -> list[str]:
        """Return in words the costs beyond the bounds."""
        bounds = BOUNDS[self.kind.acks]
        of_kills = [
            f"kill {number}: {fault}"
            for number, kill in enumerate(self.ledger.kills, 1)
            for fault in kill.faults(bounds)
        ]
        return [*of_kills, *(self.ended or [])]

    def __str__(self) -> str:
        """Return the toll in one line."""
        return (
            f"{self.kind} {len(self.ledger.kills):4} kills, {self.ledger.sent} jobs: {self.total('lost')} lost "
            f"(at most {self.most('lost')} a kill), {self.total('repeated')} begun again (at most "
            f"{self.most('repeated')} a kill), a dead node held at most {self.most('held')}, window {PREFETCH}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the toll for other programs: each figure is a list with a number for each kill, in order."""
        names = list(asdict(self.ledger.kills[0])) if self.ledger.kills else []
        return {
            **asdict(self.kind),
            "window": PREFETCH,
            "slots": SLOTS,
            "jobs": self.ledger.sent,
            "kills": {name: [getattr(kill, name) for kill in self.ledger.kills] for name in names},
            "finished": self.ended is not None,
            "faults": self.faults(),
        }


class Round:
    """Kills nodes of one kind on a broker of its own."""

    def __init__(self, processes: Processes, url: str, toll: Toll, log: Path) -> None:
        kind = toll.kind
        self._processes = processes
        self._setup = Setup(url=url, notes_url=url, transport=TRANSPORTS[kind.transport], late=kind.acks == "late")
        self._pool, self._ledger, self._log = kind.pool, toll.ledger, log
        self._client: Any = redis.Redis.from_url(url)
        self._app = make_app(Setup(url=url, notes_url=url, transport=""))

    def kill_one(self, chance: random.Random) -> Kill:
        """Kill a node while it works, and find out where each job is."""
        self._feed()
        before = self._delivered()
        with self._node() as node:
            done = self._client.llen(ENDED)
            self._until(lambda: self._client.llen(ENDED) > done + PREFETCH)
            time.sleep(chance.uniform(0, WITHIN_S))
            kill(node)
        self._note()
        held = self._jobs_of(self._bodies(self._delivered() - before))
        places = [*self._jobs_of(self._client.hvals("unacked")), *self._queued()]
        return self._ledger.kill(held=held, places=places)

    def finish(self) -> list[str]:
        """Let one node finish; return the faults after that."""
        with self._node() as node:
            self._until(lambda: not self._client.llen(QUEUE) and not self._client.hlen("unacked"))
            node.send_signal(signal.SIGTERM)
            node.wait(PATIENCE_S)
        self._note()
        return self._ledger.finish()

    def _feed(self) -> None:
        waiting = int(self._client.llen(QUEUE))
        if waiting < FEED // 2:
            send(self._app, self._ledger.send(FEED - waiting))

    @contextmanager
    def _node(self) -> Iterator[subprocess.Popen[bytes]]:
        """Start a node; at the end leave neither a process nor a socket that the server has yet to read."""
        others = self._connections()
        node = start_node(self._processes, self._setup, self._pool, self._log)
        try:
            yield node.process
        finally:
            kill(node.process)
            self._processes.stop(node)
        # Not after an interrupt, which may have cut a connection of our own.
        self._until(lambda: self._connections() <= others)

    def _connections(self) -> set[str]:
        return {one["id"] for one in self._client.client_list()}

    def _note(self) -> None:
        with self._client.pipeline() as pipe:
            for key in (BEGUN, ENDED):
                pipe.lrange(key, 0, -1).delete(key)
            begun, _, ended, _ = pipe.execute()
        self._ledger.note(map(int, begun), map(int, ended))

    def _delivered(self) -> set[bytes]:
        """Return the tags of all that was delivered and not acknowledged, by whichever node."""
        # Not by when: a node on a busy machine knows the server's clock to some 10 ms.
        return set(self._client.zrange("unacked_index", 0, -1))

    def _bodies(self, tags: set[bytes]) -> list[bytes]:
        return [entry for entry in self._client.hmget("unacked", list(tags)) if entry] if tags else []

    def _queued(self) -> list[int]:
        return [_job_of(json.loads(raw)) for raw in self._client.lrange(QUEUE, 0, -1)]

    def _jobs_of(self, entries: Iterable[bytes]) -> list[int]:
        return [_job_of(json.loads(entry)[0]) for entry in entries]

    def _until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing moves; the end of {self._log}: {self._log.read_text()[-1000:]}")
            time.sleep(0.002)


def _job_of(message: dict[str, Any]) -> int:
    return int(message["headers"]["argsrepr"].strip("(").split(",")[0])


def kill(node: subprocess.Popen[bytes]) -> None:
    """Kill a node that still runs, as a crash would."""
    # The whole session, since the processes of a pool would run on for a while.
    if node.poll() is None:
        os.killpg(node.pid, signal.SIGKILL)
    node.wait(PATIENCE_S)


def measure(kind: Kind, kills: int, seed: int = 1, show: Callable[[Toll], None] = lambda _toll: None) -> Toll:
    """
    Kill nodes on a broker of their own, and return the toll.

    Args:
        kind: The kind of nodes.
        kills: The number of kills; an interrupt ends them early and keeps the counts.
        seed: The seed of the times.
        show: Called after each kill.
    """
    toll, chance = Toll(kind=kind), random.Random(seed)
    with Processes() as processes:
        folder = processes.folder()
        one = Round(processes, start_embedded(processes, folder).url, toll, folder / "nodes.log")
        try:
            for _ in range(kills):
                one.kill_one(chance)
                show(toll)
            toll.ended = one.finish()
        except KeyboardInterrupt:
            pass  # the toll shows it: `ended` is None
    return toll


class Progress:
    """Prints the progress on standard error."""

    def __init__(self, of: int) -> None:
        self._of, self._began_at = of, time.monotonic()

    def __call__(self, toll: Toll) -> None:
        """Print the toll now and then, with the time that is left."""
        kills = len(toll.ledger.kills)
        if kills % SHOW_EVERY == 0 or kills in (1, self._of):
            each_s = (time.monotonic() - self._began_at) / kills
            left_s = each_s * (self._of - kills)
            click.echo(f"{toll}; {each_s:.1f} s a kill, {left_s / 60:.0f} min left of this kind", err=True)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--kills", default=250, show_default=True, type=click.IntRange(min=1), help="Of each kind of node.")
@click.option(
    "--pool", "pools", multiple=True, type=click.Choice(["threads", "prefork"]), default=["threads", "prefork"],
    show_default=True,
)  # fmt: skip
@click.option(
    "--transport", "transports", multiple=True, type=click.Choice(list(TRANSPORTS)), default=["atomic"],
    show_default=True,
)  # fmt: skip
@click.option(
    "--acks", multiple=True, type=click.Choice(list(BOUNDS)), default=list(BOUNDS), show_default=True,
    help="When jobs are acknowledged.",
)  # fmt: skip
@click.option("--seed", default=1, show_default=True, help="Of the instants.")
@click.option("--json", "as_json", is_flag=True, help="The toll of each kill as JSON, on standard output.")
def main(
    kills: int, pools: tuple[str, ...], transports: tuple[str, ...], acks: tuple[str, ...], seed: int, as_json: bool
) -> None:
    """
    Kill busy nodes and account for every job after each kill.

    With late acknowledgement no job may be lost; with early, at most one for each slot. No dead node may hold more than
    the prefetch window, and only jobs that it held may run again. The exit code is 1 if a kill on the atomic transport
    exceeded that, and 130 after Ctrl-C, which shows the counts until then.

    By default there are 1,000 kills, 250 of each pool with late and with early acknowledgement, in about half an hour.
    """
    interrupts.install()
    tolls = []
    for kind in [Kind(pool=pool, transport=one, acks=when) for pool in pools for one in transports for when in acks]:
        tolls.append(measure(kind, kills, seed, Progress(kills)))
        if not as_json:
            click.echo(tolls[-1])
        if tolls[-1].ended is None:
            break
    if as_json:
        click.echo(json.dumps([toll.to_dict() for toll in tolls]))
    raise SystemExit(_judge(tolls))


def _judge(tolls: list[Toll]) -> int:
    faults = [f"{toll.kind}: {fault}" for toll in tolls if toll.kind.transport == "atomic" for fault in toll.faults()]
    for fault in faults:
        click.echo(fault, err=True)
    if faults:
        return 1
    return 130 if any(toll.ended is None for toll in tolls) else 0


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.kills")

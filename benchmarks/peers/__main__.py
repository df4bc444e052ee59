"""Measures task queues side by side: `python -m benchmarks.peers --python INTERPRETER`."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import click
import redis

from benchmarks.peers.contenders import CONTENDERS, Contender
from benchmarks.peers.rate import jobs_per_s
from producer import interrupts
from producer.deadlines import until
from producer.errors import FleetError, InterruptedRunError, PoolraceError
from producer.fleet.distance import Distances
from producer.fleet.embedded import start_embedded
from producer.fleet.machine import describe
from producer.fleet.processes import Processes
from producer.plan.lane_settings import LANE_SETTINGS, RTT
from producer.plan.lanes import parse_lane
from producer.report.formats import instant, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

JOBS = Path(__file__).with_name("jobs")
ROOT = Path(__file__).parents[2]
NOTE_BYTES = 8
START_S, ENOUGH_S = 30.0, 4.0
"""How long the first job of workers may take, and for how long jobs are done from then."""

NEAR_JOBS, FAR_JOBS = 40_000, 20_000

EPILOG = """\b
Examples:
  make bench-peers
  python -m benchmarks.peers --python .venv/queues/bin/python
  python -m benchmarks.peers --python .venv/queues/bin/python --rtt 0,2.4ms,10ms --rounds 5 --only streaq
  python -m benchmarks.peers --python .venv/queues/bin/python --json > peers.json"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """
    A distance to the broker.

    Attributes:
        asked: As it was written.
        url: The URL by which workers reach the broker.
        ping_s: What a round trip takes, measured.
    """

    asked: str
    url: str
    ping_s: float


class Bench:
    """A broker, its distances, and the queues that are run on it."""

    def __init__(self, processes: Processes, python: str) -> None:
        self._processes = processes
        self._python = python
        self._folder = processes.folder()
        self.url = start_embedded(processes, self._folder).url
        self._client = redis.Redis.from_url(self.url)
        self._distances = Distances(processes, self._folder, self.url)
        self._runs = 0

    def place(self, asked: str) -> Place:
        """Return a distance to the broker, with a relay if it is one."""
        lane = replace(parse_lane("threads"), key=f"rtt-{asked}").with_setting(RTT, asked)
        url = self._distances.url(lane)
        (found,) = [each for each in self._distances.found() if each.lane == lane.key]
        return Place(asked=asked, url=url, ping_s=found.ping_s)

    def rate(self, contender: Contender, place: Place) -> float:
        """
        Return how many jobs a second a queue's workers do of a backlog.

        Raises:
            FleetError: If they do none, or end.
        """
        self._client.flushall()
        self._runs += 1
        notes, log = self._folder / f"notes-{self._runs}", self._folder / f"log-{self._runs}"
        python = sys.executable if contender.is_ours else self._python
        environment = {**os.environ, **contender.environment, "PEER_NOTES": str(notes), "PYTHONPATH": str(JOBS)}
        if contender.is_ours:
            environment["PYTHONPATH"] = os.pathsep.join([str(JOBS), str(ROOT)])
        jobs = NEAR_JOBS if place.url == self.url else FAR_JOBS
        sent = subprocess.run(
            [python, str(JOBS / f"{contender.jobs}.py"), str(jobs)],
            env={**environment, "PEER_URL": self.url}, cwd=self._folder, check=False,
        )  # fmt: skip
        if sent.returncode:
            raise FleetError(f"The jobs of {contender.name} could not be sent: exit code {sent.returncode}.")
        child = self._processes.start(
            contender.name, [python, *contender.work], env={**environment, "PEER_URL": place.url}, log=log,
            cwd=self._folder,
        )  # fmt: skip

        def done() -> int:
            child.check()
            return _count(notes)

        try:
            if not until(done, START_S):
                raise FleetError(f"{contender.name} did no job in {START_S:.0f} s. Its log:\n{child.tail()}")
            until(lambda: done() >= jobs, ENOUGH_S)
        finally:
            self._processes.stop(child)
        return jobs_per_s(_read(notes))


def _count(notes: Path) -> int:
    return notes.stat().st_size // NOTE_BYTES if notes.exists() else 0


def _read(notes: Path) -> list[float]:
    raw = notes.read_bytes()
    whole = raw[: len(raw) // NOTE_BYTES * NOTE_BYTES]
    return [at_s for (at_s,) in struct.iter_unpack("d", whole)]


@click.command(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--python", required=True, help="The interpreter that has the other queues.")
@click.option("--rtt", default="0,2.4ms", show_default=True, help="Distances to the broker, apart by commas.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1, 100), help="How often each is measured.")
@click.option("--only", help="Only contenders with this in their name, and Celery's nodes.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures alone, as JSON.")
def main(python: str, rtt: str, rounds: int, only: str | None, *, as_json: bool) -> None:
    """
    Measure how many no-op jobs a second the workers of task queues do, near a broker and at a distance.

    All are measured in turn in each round, on one broker. A job notes its time in a file; the middle of them counts.
    """
    interrupts.install()
    python = str(Path(python).absolute())  # workers run in a folder of their own
    contenders = [each for each in CONTENDERS if not only or each.is_ours or only.lower() in each.name.lower()]
    try:
        distances = [LANE_SETTINGS[RTT].read(each.strip(), "--rtt") for each in rtt.split(",")]
        versions = {each.package: version_of(python, each) for each in contenders}
        with Processes() as processes:
            bench = Bench(processes, python)
            places = [bench.place(asked) for asked in distances]
            found = dict(measured(bench, contenders, places, rounds))
    except KeyboardInterrupt:
        raise SystemExit(_print_error(InterruptedRunError("Interrupted."))) from None
    except PoolraceError as error:
        raise SystemExit(_print_error(error)) from None
    click.echo(as_text(found, places, versions) if not as_json else as_data(found, places, versions))


def _print_error(error: PoolraceError) -> int:
    click.echo(f"benchmarks.peers: {error}", err=True)
    return error.exit_code


def version_of(python: str, contender: Contender) -> str:
    """
    Return the version of a contender's package.

    Raises:
        FleetError: If the interpreter does not have it.
    """
    program = f"from importlib.metadata import version; print(version({contender.package!r}))"
    try:
        done = subprocess.run(
            [sys.executable if contender.is_ours else python, "-c", program],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    except OSError as error:
        raise FleetError(f"--python {python}: cannot be run: {error.strerror}. Name an interpreter.") from error
    if done.returncode:
        raise FleetError(f"{python} has no {contender.package}. Run `make bench-peers`, which installs all.")
    return done.stdout.strip()


def measured(
    bench: Bench, contenders: Sequence[Contender], places: Sequence[Place], rounds: int
) -> Iterator[tuple[tuple[str, str], list[float]]]:
    """Yield the jobs a second of each round, by contender and distance; the order is turned round between rounds."""
    pairs = [(contender, place) for contender in contenders for place in places]
    found: dict[tuple[str, str], list[float]] = {(each.name, place.asked): [] for each, place in pairs}
    for turn in range(rounds):
        for contender, place in pairs[:: -1 if turn % 2 else 1]:
            rate = bench.rate(contender, place)
            click.echo(f"round {turn + 1} of {rounds}: {contender.name}, {place.asked}: {rate:,.0f} jobs/s", err=True)
            found[contender.name, place.asked].append(rate)
    yield from found.items()


def as_text(
    found: Mapping[tuple[str, str], Sequence[float]], places: Sequence[Place], versions: Mapping[str, str]
) -> str:
    """Return a table: a row a contender, a column a distance, the median with the least and the most of the rounds."""
    machine = describe()
    names = list(dict.fromkeys(name for name, _ in found))
    width = max(map(len, names))
    head = "  ".join(f"{f'PING {1000 * place.ping_s:.2g} ms':>26}" for place in places)
    lines = [
        f"{instant(time.time())}, {machine.cores:g} cores; "
        + ", ".join(f"{package} {version}" for package, version in versions.items()),
        f"{'jobs a second':{width}}  {head}",
    ]
    for name in names:
        cells = (found[name, place.asked] for place in places)
        lines.append(f"{name:{width}}  " + "  ".join(f"{_cell(rates):>26}" for rates in cells))
    return "\n".join(lines)


def _cell(rates: Sequence[float]) -> str:
    return f"{number(median(rates))} ({number(min(rates))} to {number(max(rates))})"


def as_data(
    found: Mapping[tuple[str, str], Sequence[float]], places: Sequence[Place], versions: Mapping[str, str]
) -> str:
    """Return the same as JSON, with each round."""
    rows = [{"name": name, "rtt": asked, "jobs_per_s": rates} for (name, asked), rates in found.items()]
    pings = {place.asked: place.ping_s for place in places}
    return json.dumps({"at": time.time(), "versions": versions, "ping_s": pings, "rows": rows}, indent=2)


if __name__ == "__main__":
    main()

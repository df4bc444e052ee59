"""
Holds the records of races against those of an observer apart: `python -m benchmarks.truth.observer`.

The tasks of a small Celery app of its own note, by their own clock, when they began and ended, and tell it to a second
server, of which Poolrace knows nothing. The app is raced from outside, as any app. What the race says of its lanes must
then be what the tasks themselves have seen. Takes about a minute; ends with 1 if they disagree.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import redis

from producer.analysis.analyse import analyse, capacity_per_s
from producer.analysis.latency import after_lead_in
from producer.analysis.percentiles import Spread, percentiles
from producer.errors import FleetError, PoolraceError
from producer.fleet.embedded import start_embedded
from producer.fleet.processes import Processes
from producer.report.formats import number
from producer.rundir.reader import read_run
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from producer.rundir.run import Run
    from producer.rundir.trials import Trial

SERVER, KEY = "server.txt", "seen"
JOBS = 5_000
"""Jobs of each task: more than a trial has, so that the argument of a job is its number."""

CAPACITY_BOUND = 0.01
LATENCY_BOUND_S = 0.002
PATIENCE_S = 39.0

FINE = (0, 4)
"""Exit codes of a race whose records can be compared: of one, too, whose generator was late on a busy machine."""

APP = f'''
"""An app whose tasks tell a server of its own when they began and ended."""

import hashlib
import json
import os
import threading
import time
from collections import deque
from pathlib import Path

import redis
from celery import Celery

app = Celery("watched", broker="memory://")
seen, senders = deque(), {{}}


def send():
    server = redis.Redis.from_url(Path(__file__).with_name("{SERVER}").read_text())
    while True:
        time.sleep(0.02)
        rows = [seen.popleft() for _ in range(len(seen))]
        if rows:
            server.rpush("{KEY}", *map(json.dumps, rows))


def tell(number, began_at):
    seen.append((number, began_at, time.time()))
    if os.getpid() not in senders:
        senders[os.getpid()] = threading.Thread(target=send, daemon=True)
        senders[os.getpid()].start()


@app.task(name="watched.nap")
def nap(number):
    began_at = time.time()
    time.sleep(0.02)
    tell(number, began_at)


@app.task(name="watched.spin")
def spin(number):
    began_at = time.time()
    digest = b""
    for _ in range(6_000):
        digest = hashlib.md5(digest).digest()
    tell(number, began_at)
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """
    A race of the app.

    Attributes:
        name: Of the table.
        lanes: Its two lanes.
        shares: Of the tasks in the mix.
        workload: What is raced.
    """

    name: str
    lanes: tuple[str, str]
    shares: dict[str, int]
    workload: str


RACES = (
    Race(name="naps", lanes=("prefork:4", "threads:4"), shares={"nap": 1}, workload="nap"),
    Race(name="naps, 4 : 5", lanes=("threads:4", "threads:5"), shares={"nap": 1}, workload="nap"),
    Race(name="naps and spins, 3 : 1", lanes=("prefork:4", "threads:4"), shares={"nap": 3, "spin": 1}, workload="mix"),
)


@dataclass(frozen=True, slots=True)
class Figure:
    """
    A figure of a lane, as the run and as the observer has it.

    Attributes:
        race: Name of the race.
        lane: The lane's key.
        figure: What it is.
        run: What the run says, in jobs per second or seconds.
        observer: What the observer says.
        off: By how much they differ: a part for jobs per second, otherwise seconds.
        bound: By how much they may.
    """

    race: str
    lane: str
    figure: str
    run: float
    observer: float
    off: float
    bound: float

    @property
    def agrees(self) -> bool:
        """Whether they differ by no more than they may."""
        return abs(self.off) <= self.bound


def observe(race: Race, folder: Path, server: redis.Redis) -> tuple[Run, pl.DataFrame]:
    """
    Run a race in a folder with the app.

    Returns:
        The run, and what the tasks told: columns number, began_at and ended_at.

    Raises:
        FleetError: If the race fails; with the end of what it printed.
    """
    server.delete(KEY)
    jobs = [
        json.dumps({"task": f"watched.{task}", "args": [number], "weight": share, "repeatable": True})
        for task, share in race.shares.items()
        for number in range(JOBS)
    ]
    (folder / "jobs.jsonl").write_text("\n".join(jobs))
    out = folder / race.name.replace(" ", "")
    command = [sys.executable, "-m", "producer", "race", "--app", "watched:app", "--jobs", "jobs.jsonl",
               "--out", str(out), "--workload", race.workload, "--lane", race.lanes[0], "--lane", race.lanes[1],
               "--pairs", "2", "--duration", "1500ms"]  # fmt: skip
    try:
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    except subprocess.TimeoutExpired as error:
        raise FleetError(f"The race of {race.name} has not ended in {PATIENCE_S:g} s. Is the machine busy?") from error
    if ended.returncode not in FINE:
        said = (ended.stdout + ended.stderr)[-2000:]
        raise FleetError(f"The race of {race.name} ended with {ended.returncode}:\n{said}")
    (path,) = out.iterdir()
    told: Any = server.lrange(KEY, 0, -1)
    return read_run(path), pl.DataFrame(
        [json.loads(row) for row in told],
        {"number": pl.UInt32, "began_at": pl.Float64, "ended_at": pl.Float64},
        orient="row",
    )


def figures(race: Race, run: Run, told: pl.DataFrame) -> Iterator[Figure]:
    """
    Yield what the run says of each lane beside what the observer has seen.

    Raises:
        FleetError: If a job of the run was not seen just once.
    """
    seen = {trial.trial: _seen(run, trial, told) for trial in run.trials if trial.kind is not Kind.WARM_UP}
    for lane in analyse(run.trials, run.sent, run.records, run.children).lanes:
        assert lane.capacity_per_s
        assert lane.latency
        assert lane.latency.sojourn_from_sent
        backlogs, held = (
            [trial for trial in run.trials if (trial.lane, trial.kind) == (lane.lane, kind)]
            for kind in (Kind.CAPACITY, Kind.LATENCY)
        )
        capacities = Spread.of(_capacity_per_s(seen[trial.trial], trial.slots) for trial in backlogs)
        jobs = after_lead_in(pl.concat(seen[trial.trial] for trial in held), held)
        spread = percentiles((jobs["ended_at"] - jobs["sent_at"]).to_numpy())
        assert capacities
        assert spread
        ours, theirs = lane.capacity_per_s.median, capacities.median
        yield Figure(race.name, lane.lane, "capacity", ours, theirs, theirs / ours - 1, CAPACITY_BOUND)
        for name in ("p50", "p99"):
            ours, theirs = lane.latency.sojourn_from_sent.statistic(name), spread.statistic(name)
            yield Figure(race.name, lane.lane, name, ours, theirs, theirs - ours, LATENCY_BOUND_S)


def _capacity_per_s(jobs: pl.DataFrame, slots: int) -> float | None:
    return capacity_per_s(jobs["began_at"].to_numpy(), jobs["ended_at"].to_numpy(), slots)


def _seen(run: Run, trial: Trial, told: pl.DataFrame) -> pl.DataFrame:
    """Return the jobs of a trial as the observer has seen them, with when each was due and sent."""
    sent = run.sent.filter(pl.col("trial") == trial.trial)
    during = told.filter(pl.col("began_at").is_between(trial.began_at, trial.ended_at))
    if sorted(during["number"]) != sorted(sent["seq"]):
        raise FleetError(
            f"Trial {trial.trial}, {trial.workload} on {trial.lane}: {sent.height} jobs were sent, and the tasks saw "
            f"{during.height}, of which {during['number'].n_unique()} differ."
        )
    return sent.join(during, left_on="seq", right_on="number", how="inner")


def table(found: Sequence[Figure]) -> Iterator[str]:
    """Yield the lines of a table."""
    yield f"{'':24}{'lane':12}{'figure':12}{'the run':>10}{'observer':>10}{'off by':>12}"
    for each in found:
        jobs = each.figure == "capacity"
        scale, unit, off = (1, "/s", f"{100 * each.off:+.2f} %") if jobs else (1000, "ms", f"{1000 * each.off:+.2f} ms")
        verdict = "" if each.agrees else "  TOO MUCH"
        yield (
            f"{each.race:24}{each.lane:12}{f'{each.figure}, {unit}':12}{number(each.run * scale):>10}"
            f"{number(each.observer * scale):>10}{off:>12}{verdict}"
        )


def measure(races: Sequence[Race] = RACES) -> list[Figure]:
    """
    Run races of the app, and return what each says beside what the observer has seen.

    Raises:
        FleetError: If a race fails, or a job of it was not seen just once.
    """
    found: list[Figure] = []
    with tempfile.TemporaryDirectory() as name, Processes() as processes:
        folder = Path(name)
        (folder / "watched.py").write_text(APP)
        (folder / SERVER).touch(mode=0o600)
        url = start_embedded(processes, folder).url
        (folder / SERVER).write_text(url)
        with redis.Redis.from_url(url) as server:
            for race in races:
                found += figures(race, *observe(race, folder, server))
    return found


def main() -> int:
    """Print the table, and return 1 if a figure is off by more than it may."""
    try:
        found = measure()
    except PoolraceError as error:
        print(error)
        return 1
    print(*table(found), sep="\n")
    return 0 if all(each.agrees for each in found) else 1


if __name__ == "__main__":
    raise SystemExit(main())

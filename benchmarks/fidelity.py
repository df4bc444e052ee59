"""
Whether the generator does what it is told: how late it sends at a held rate, and whether nodes get all the jobs that
their slots can do.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.figures import Figure, Promise
from producer.analyse import analyse
from producer.course import Jobs
from producer.fleet.local import LocalFleet
from producer.lanes import Lane
from producer.plan import backlog, constant
from producer.publish import Order, Publishers
from producer.race import open_course, start_nodes
from producer.report.formats import milliseconds, number
from producer.rundir import RunWriter, read_run
from producer.settings import RaceSettings
from producer.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE_PER_S = 1000.0
LAG_BOUND_S = 0.002
SLEEP_S = 0.05
SLOTS = 8
RUN_ID = "00" * 8
LANES = (Lane(key="prefork", pool="prefork", slots=SLOTS), Lane(key="threads", pool="threads", slots=SLOTS))


def measure(*, rounds: int = 3, duration_s: float = 10.0, jobs: int = 480) -> list[Figure]:
    """Lag beside the idle fleet first, then what both pools make of a backlog of sleeping jobs."""
    settings = RaceSettings(lanes=LANES, workloads=("sleep",))
    with tempfile.TemporaryDirectory() as folder, fleet(settings, Path(folder)) as (running, writer):
        lags_s = [lag_p99_s(running.broker.url, duration_s) for _ in range(rounds)]
        with open_course(RUN_ID, settings, running, writer) as (course, _):
            for lane in LANES:
                start_nodes(running, lane, course)
                course.warm_up(SLEEPING, lane)
            for turn in range(rounds):
                for lane in LANES:
                    course.measure(Kind.CAPACITY, SLEEPING, lane, turn, backlog(jobs))
        capacities = capacities_of(writer.path)
    ideal_per_s = SLOTS / SLEEP_S
    return [
        Figure(
            name=f"publish lag p99 at {RATE_PER_S:,.0f} jobs/s / {LAG_BOUND_S * 1000:g} ms, beside an idle fleet",
            ratios=[lag_s / LAG_BOUND_S for lag_s in lags_s],
            promise=Promise(most=1.0),
            terms=f"{milliseconds(float(np.median(lags_s)))} ms / {LAG_BOUND_S * 1000:g} ms",
        ),
        *(
            Figure(
                name=f"{lane}: sleep(50 ms) jobs/s on {SLOTS} slots / the ideal {ideal_per_s:g}",
                ratios=[capacity / ideal_per_s for capacity in found],
                promise=Promise(least=0.95),
                terms=f"{number(float(np.median(found)))} jobs/s / {ideal_per_s:g} jobs/s",
            )
            for lane, found in capacities.items()
        ),
    ]


SLEEPING = Jobs(workload="sleep", task="worker.sleep", args=(round(SLEEP_S * 1e6),), expected_s=SLEEP_S)


@contextmanager
def fleet(settings: RaceSettings, folder: Path) -> Iterator[tuple[LocalFleet, RunWriter]]:
    """A broker, nodes to be started, and a run directory to write to."""
    writer = RunWriter.create(folder, "bench", {"run_id": RUN_ID, "settings": settings.to_dict()})
    with LocalFleet(
        RUN_ID, LANES, logs=writer.logs, broker_url=None, needs_upstream=False, ready_s=settings.ready_s
    ) as running:
        yield running, writer


def lag_p99_s(broker_url: str, duration_s: float) -> float:
    """Publish lag at the 99th percentile, sending to a queue that nobody reads."""
    order = Order(
        run_id=RUN_ID, trial=0, task="worker.noop", args=(), queue="nobody", plan=constant(RATE_PER_S, duration_s)
    )
    with Publishers(broker_url) as publishers:
        publishers.begin(order)
        ledger = publishers.ledger()
    return float(np.percentile((ledger["sent_at"] - ledger["due_at"]).to_numpy(), 99))


def capacities_of(path: Path) -> dict[str, list[float]]:
    """Jobs per second of each capacity trial, by lane."""
    run = read_run(path)
    found: dict[str, list[float]] = {lane.key: [] for lane in LANES}
    for trial in analyse(run.trials, run.sent, run.records).trials:
        if trial.kind is Kind.CAPACITY and trial.capacity_per_s is not None:
            found[trial.lane].append(trial.capacity_per_s)
    return found

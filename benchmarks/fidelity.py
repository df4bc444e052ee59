"""
The fidelity of a run: jobs are sent when they are due, and slots do as many jobs as they can.

Beside the publisher's lag stands the lag of the same loop when it sends nothing: a lag that both have is the machine's.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.figures import Figure, Promise, jobs_per_s
from producer.analysis.analyse import analyse
from producer.analysis.percentiles import percentiles
from producer.fleet.local import LocalFleet
from producer.measure.order import Order
from producer.measure.publishers import Publishers
from producer.measure.rounds import balanced
from producer.measure.schedule import send_when_due
from producer.measure.session import open_runner, start_nodes
from producer.measure.trial_spec import TrialSpec
from producer.plan.arrivals import backlog, constant
from producer.plan.jobs import Call, Jobs
from producer.plan.lanes import Lane
from producer.plan.settings import RaceSettings
from producer.report.formats import milliseconds
from producer.rundir.reader import read_run
from producer.rundir.trials import Kind
from producer.rundir.writer import RunWriter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

    from producer.measure.trial import TrialRunner

LAG_BOUNDS_S = {1000.0: 0.002, 5000.0: 0.005}
"""The publish lag at p99 that is allowed beside idle nodes, by arrival rate in jobs per second."""

LAG_PROMISE = Promise(most=1.0)
BARE_S = 3.0

SLOTS = 8
JOBS = 403
"""No multiple of the slots: the last round of jobs is not full."""

SLEEP_S = 0.05
IDEAL_PER_S = SLOTS / SLEEP_S
SLEEP_PROMISE = Promise(least=0.95)

RUN_ID = "00" * 8
UNREAD_QUEUE = "unread"
"""A queue that no node reads."""

LANES = (Lane(key="prefork", pool="prefork", slots=SLOTS), Lane(key="threads", pool="threads", slots=SLOTS))
SLEEPING = Jobs(workload="sleep", calls=(Call("worker.sleep", (round(SLEEP_S * 1e6),)),), expected_s=SLEEP_S)


def measure(*, rounds: int = 3, duration_s: float = 10.0, jobs: int = JOBS) -> list[Figure]:
    """Start a fleet as a race does; measure the lag beside it while it is idle, and then the capacity of its slots."""
    settings = RaceSettings(lanes=LANES, workloads=(SLEEPING.workload,))
    with tempfile.TemporaryDirectory() as folder, _open(settings, Path(folder)) as (fleet, runner, path):
        lags_s = {rate: [_lags_s(fleet, rate, duration_s) for _ in range(rounds)] for rate in LAG_BOUNDS_S}
        _sleep(runner, rounds, jobs)
        capacities = _capacities_per_s(path)
    return [
        *(figure for rate, found in lags_s.items() for figure in _lag_figures(rate, found)),
        *(
            Figure.of(
                f"{lane}: sleep({SLEEP_S * 1000:.0f} ms) on {SLOTS} slots / the ideal",
                [(found, IDEAL_PER_S) for found in capacities[lane]],
                jobs_per_s,
                SLEEP_PROMISE,
            )
            for lane in capacities
        ),
    ]


def _lag_figures(rate: float, lags_s: Sequence[tuple[float, float]]) -> list[Figure]:
    name = f"publish lag p99 at {rate:,.0f} jobs/s beside an idle fleet"
    allowed = [(lag_s, LAG_BOUNDS_S[rate]) for lag_s, _ in lags_s]
    return [
        Figure.of(f"{name} / what is allowed", allowed, _milliseconds, LAG_PROMISE),
        Figure.of(f"{name} / that of a loop that sends nothing", lags_s, _milliseconds),
    ]


def _milliseconds(value_s: float) -> str:
    return f"{milliseconds(value_s)} ms"


@contextmanager
def _open(settings: RaceSettings, folder: Path) -> Iterator[tuple[LocalFleet, TrialRunner, Path]]:
    """Open a fleet whose slots have all run a job, and a trial runner on it."""
    writer = RunWriter.create(folder, "fidelity", {"run_id": RUN_ID, "settings": settings.to_dict()})
    with (
        LocalFleet(
            RUN_ID, LANES, logs=writer.logs, broker_url=None, needs_upstream=False, ready_s=settings.ready_s
        ) as fleet,
        open_runner(RUN_ID, settings, fleet, writer) as (runner, _),
    ):
        for lane in LANES:
            start_nodes(fleet, lane, runner)
        yield fleet, runner, writer.path


def _lags_s(fleet: LocalFleet, rate: float, duration_s: float) -> tuple[float, float]:
    """Return the 99th percentile of the lag of a publisher, and of the loop that sends nothing."""
    order = Order(
        run_id=RUN_ID, trial=0, calls=(Call("worker.noop", ()),), queue=UNREAD_QUEUE, plan=constant(rate, duration_s)
    )
    with Publishers(fleet.broker.url) as publishers:
        publishers.begin(order)
        sent = publishers.ledger()
    with fleet.app.connection_for_write() as connection:
        channel: Any = connection.default_channel
        channel.queue_purge(UNREAD_QUEUE)
    return _p99_s(sent), _p99_s(_send_nothing(order, rate, min(duration_s, BARE_S)))


def _send_nothing(order: Order, rate: float, duration_s: float) -> pl.DataFrame:
    bare = Order(run_id=order.run_id, trial=0, calls=order.calls, queue="", plan=constant(rate, duration_s))
    return send_when_due(bare, start_at=time.time(), part=(0, 1), send=lambda _order, jobs, now: [now() for _ in jobs])


def _p99_s(sent: pl.DataFrame) -> float:
    lag = percentiles((sent["sent_at"] - sent["due_at"]).to_numpy().astype(np.float64))
    assert lag is not None
    return lag.p99


def _sleep(runner: TrialRunner, rounds: int, jobs: int) -> None:
    for lane in LANES:
        runner.warm_up(SLEEPING, lane)
    for turn in range(rounds):
        for lane in balanced(LANES, turn):
            runner.measure(TrialSpec(kind=Kind.CAPACITY, jobs=SLEEPING, lane=lane, plan=backlog(jobs), round=turn))


def _capacities_per_s(path: Path) -> dict[str, Sequence[float]]:
    """Return the jobs per second of each capacity trial, by lane."""
    run = read_run(path)
    trials = analyse(run.trials, run.sent, run.records, run.children).trials
    return {
        lane.key: [trial.capacity_per_s for trial in trials if trial.lane == lane.key and trial.capacity_per_s]
        for lane in LANES
    }

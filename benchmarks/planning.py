"""
A fleet plan held against what it foretells: runs of one node and of two predict four, before four are run.

The prediction is in a file before the run begins, and what is compared is what the file says. Jobs sleep, so that two
cores carry four nodes.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, Promise, jobs_per_s
from producer.analysis.fleet_errors import predicted
from producer.analysis.fleet_inputs import inputs, observations
from producer.measure.kinds import measure_run
from producer.plan.fleet_question import FleetQuestion
from producer.plan.lanes import parse_lanes
from producer.plan.settings import RaceSettings
from producer.report.formats import milliseconds
from producer.report.progress.display import Silent
from producer.rundir.reader import read_run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producer.analysis.fleet_inputs import FleetInputs, Observation
    from producer.rundir.run import Run

OUT = Path("runs") / "planning"
POOLS = ("prefork", "threads")
SLOTS, SLEEP_S = 4, 0.1
SEEN, FORETOLD = (1, 2), 4
"""Nodes that are measured to predict others, and those that are predicted."""

UTILISATION = 0.7
THROUGHPUT, P99 = Promise(least=0.95, most=1.05), Promise(least=0.8, most=1.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Foretold:
    """
    The prediction of a lane with more nodes than were measured.

    Attributes:
        rate_per_s: The rate at which jobs come.
        throughput_per_s: Over a backlog.
        p50_s: The median sojourn at the rate.
        p99_s: The 99th percentile.
    """

    rate_per_s: float
    throughput_per_s: float
    p50_s: float
    p99_s: float


def measure(*, out: Path = OUT, pairs: int = 3, trial_s: float = 8.0) -> list[Figure]:
    """Measure few nodes, write what more of them will do, measure these, and compare."""
    few = [_race(out, nodes, pairs, trial_s) for nodes in SEEN]
    said = written(few[-1].path.with_suffix(".prediction.json"), foretell(few, nodes=FORETOLD, slots=SLOTS))
    rate_per_s = next(iter(said.values())).rate_per_s
    many = _race(out, FORETOLD, pairs, trial_s, rate_per_s)
    return compared(many, said, f"{FORETOLD} nodes by runs of {' and '.join(map(str, SEEN))}")


def written(file: Path, said: Mapping[str, Foretold]) -> dict[str, Foretold]:
    """Write a prediction before it is tried, and return what the file says."""
    file.write_text(json.dumps({lane: asdict(each) for lane, each in said.items()}, indent=2))
    return {lane: Foretold(**each) for lane, each in json.loads(file.read_text()).items()}


def compared(many: Run, said: Mapping[str, Foretold], of: str) -> list[Figure]:
    """Return what was foretold of each lane over what was measured."""
    return [figure for each in observations(many) for figure in _figures(each, said[each.name], of)]


def _race(out: Path, nodes: int, pairs: int, trial_s: float, rate_per_s: float | None = None) -> Run:
    """Race both pools with so many nodes each."""
    settings = RaceSettings(
        lanes=parse_lanes([f"{pool}:{SLOTS}:nodes={nodes}" for pool in POOLS], prefetch=4, acks="early"),
        workloads=("sleep",),
        job_s=SLEEP_S,
        pairs=pairs,
        trial_s=trial_s,
        utilisation=UTILISATION,
        rate_per_s=rate_per_s,
        out=out,
    )
    path, error = measure_run(settings, Silent())
    if error is not None:
        raise error
    return read_run(path)


def foretell(few: Sequence[Run], *, nodes: int, slots: int, utilisation: float = UTILISATION) -> dict[str, Foretold]:
    """Predict each lane with more nodes, by the runs with few, at a part of what the slower one will do."""
    known: dict[str, FleetInputs] = {}
    for pool in POOLS:
        known[pool] = inputs([each for run in few for each in observations(run) if each.name == pool])

    def predict(each: FleetInputs, rate_per_s: float) -> tuple[float, float, float]:
        question = FleetQuestion(rate_per_s=rate_per_s, slo=())
        return predicted(each, nodes=nodes, slots=slots, cores=each.cores, question=question)

    rate_per_s = round(utilisation * min(predict(each, 1.0)[0] for each in known.values()), 1)
    found = {}
    for pool, each in known.items():
        throughput_per_s, p50_s, p99_s = predict(each, rate_per_s)
        found[pool] = Foretold(rate_per_s=rate_per_s, throughput_per_s=throughput_per_s, p50_s=p50_s, p99_s=p99_s)
    return found


def _figures(measured: Observation, said: Foretold, of: str) -> list[Figure]:
    assert measured.capacity_per_s
    assert measured.sojourn
    name = f"{measured.name}: foretold / measured, {of}"
    return [
        Figure.of(f"{name}: throughput", [(said.throughput_per_s, measured.capacity_per_s)], jobs_per_s, THROUGHPUT),
        Figure.of(f"{name}: p50 at {said.rate_per_s:g}/s", [(said.p50_s, measured.sojourn.p50)], _ms),
        Figure.of(f"{name}: p99 at {said.rate_per_s:g}/s", [(said.p99_s, measured.sojourn.p99)], _ms, P99),
    ]


def _ms(value_s: float) -> str:
    return f"{milliseconds(value_s)} ms"

"""
Answers the question of a fleet: the fewest nodes that keep the SLO at a rate, by simulation. Pure.

Brokers are independent of each other: each has its own queues and nodes, and its share of the rate. So one of them is
simulated with its nodes, whatever the rate of all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from producer.analysis.fleet_simulation import simulate
from producer.analysis.percentiles import Percentiles, percentiles
from producer.plan.arrivals import held, seed_for
from producer.plan.thresholds import AT_MOST, MEMORY, OPERATORS, STATISTICS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from producer.analysis.fleet_inputs import FleetInputs
    from producer.analysis.fleet_simulation import FleetModel
    from producer.plan.fleet_question import FleetQuestion
    from producer.plan.thresholds import Threshold

BROKER_SHARE = 0.7
"""The part of its one core that a broker may use: commands that wait behind each other, and what it does besides."""

FULL = 0.9
"""The part of slots, nodes and cores that may be used: above it a queue takes long to empty after any disturbance, and
longer to become what it will be than is simulated."""

LEAST_REPETITIONS, REPETITIONS = 3, 10
JOBS_IN_ALL = 120_000
"""Of large fleets, whose jobs wait less by chance, there are fewer repetitions, so that none takes long."""

LEAST_JOBS, MOST_JOBS = 2_500, 40_000
TURNS_OVER = 20
"""A repetition has so many jobs for each slot that is busy on average: the queue forgets that it began empty."""

SETTLING = 0.25
"""The first part of each repetition is in no figure."""

STEPS = (1.0, 1.05, 1.1, 1.2, 1.4, 1.8, 2.6, 4.0)
"""Times the fewest nodes that keep up: beyond the last, more of them change nothing."""

IDLE_JOBS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """
    The figures of a simulated fleet at a rate.

    Attributes:
        stages: By stage, its percentiles with the interval of the simulation.
        memory_per_slot_bytes: Of a node; None if unknown.
    """

    stages: Mapping[str, Percentiles]
    memory_per_slot_bytes: float | None = None

    def keeps(self, slo: Sequence[Threshold], slower: float = 1.0) -> bool:
        """Check whether an SLO is kept, also if every time is longer by a factor."""
        return all(self._keeps(each, slower) for each in slo)

    def _keeps(self, slo: Threshold, slower: float) -> bool:
        if slo.name == MEMORY:
            value = self.memory_per_slot_bytes
        else:
            value = self.stages[slo.of].statistic(slo.name)
            value *= slower if slo.operator in AT_MOST else 1.0
        return value is not None and OPERATORS[slo.operator](value, slo.limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """
    What is allowed for the error of the model, as it was found on runs that were held out.

    Attributes:
        slower: Times as long as predicted a p99 was at worst; 1 if it was shorter, or none could be compared.
        less: Times as much as measured a throughput was predicted at worst; 1 as above.
    """

    slower: float = 1.0
    less: float = 1.0


NO_ALLOWANCE = Allowance()


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOption:
    """
    A fleet of one kind of lane that keeps the SLO, or the reason why none does.

    Attributes:
        slots: Of a node.
        measured: Whether nodes with so many slots were measured.
        nodes: Of all brokers together, with the allowance; None if no number keeps the SLO.
        least_nodes: The same without the allowance.
        brokers: How many.
        p50_s: The median sojourn that is expected, without the allowance for errors.
        p99_s: Its 99th percentile.
        p99_low_s: Lower end of the simulation's own 95 % interval of that; None if unknown.
        p99_high_s: The upper end.
        use: The part of each resource that is used: `slots`, `node`, `cores` and `broker`.
        first: The resource of which there is least left.
        node_bytes: Memory of a node; None if unknown.
        why_not: Why no number of nodes keeps the SLO, as a sentence; empty if one does.
    """

    slots: int
    measured: bool
    nodes: int | None
    least_nodes: int | None
    brokers: int
    p50_s: float | None = None
    p99_s: float | None = None
    p99_low_s: float | None = None
    p99_high_s: float | None = None
    use: Mapping[str, float] = field(default_factory=dict)
    first: str = ""
    node_bytes: float | None = None
    why_not: str = ""


def best_option(options: Sequence[FleetOption]) -> FleetOption:
    """Return the option with the fewest nodes, and of these the one with the fewest slots; else the first."""
    possible = [each for each in options if each.nodes]
    return min(possible, key=lambda each: (each.nodes or 0, each.slots)) if possible else options[0]


def fleet_options(
    known: FleetInputs, question: FleetQuestion, allowance: Allowance = NO_ALLOWANCE
) -> tuple[FleetOption, ...]:
    """Answer the question for one kind of lane, with each number of slots that is asked for."""
    measured = {slots for _, slots in known.measured}
    return tuple(
        _Search(known, question, slots, allowance).option(measured=slots in measured)
        for slots in question.slots or tuple(sorted(measured))
    )


def brokers_for(rate_per_s: float, broker_s: float | None) -> int:
    """Return how many brokers a rate needs, each with `BROKER_SHARE` of a core; 1 if nothing is known of their cost."""
    return max(1, math.ceil(rate_per_s * (broker_s or 0.0) / BROKER_SHARE - 1e-9))


class _Search:
    """The search for the fewest nodes with so many slots; one broker and its share of the rate are looked at."""

    def __init__(self, known: FleetInputs, question: FleetQuestion, slots: int, allowance: Allowance) -> None:
        self._known, self._question, self._slots, self._allowance = known, question, slots, allowance
        self._memory = known.memory_of(slots)
        self._brokers = brokers_for(question.rate_per_s * allowance.less, known.broker_s)
        self._rate_per_s = question.rate_per_s / self._brokers
        self._cores = question.node_cores or known.cores

    def option(self, *, measured: bool) -> FleetOption:
        """Return the smallest fleet, or why there is none."""
        here = FleetOption(
            slots=self._slots,
            measured=measured,
            nodes=None,
            least_nodes=None,
            brokers=self._brokers,
            node_bytes=self._memory,
        )
        slo, allowance = self._question.slo, self._allowance
        idle = expect_idle(self._fleet(1, 0.0), self._question.seed, self._slot_bytes)
        if not idle.keeps(slo, allowance.slower):
            return _impossible(here, idle, self._question, allowance)
        least = self._fewest(NO_ALLOWANCE)
        if least is None:
            return replace(here, why_not="No number of nodes keeps the SLO: more of them change nothing any more.")
        nodes = least if allowance == NO_ALLOWANCE else self._fewest(allowance, least)
        if nodes is None:
            return replace(here, why_not="No number of nodes keeps the SLO once the error of the model is allowed for.")
        return self._with_figures(here, nodes, least)

    @property
    def _slot_bytes(self) -> float | None:
        return None if self._memory is None else self._memory / self._slots

    def _fleet(self, nodes: int, rate_per_s: float) -> FleetModel:
        return self._known.model(
            nodes=nodes, slots=self._slots, cores=self._cores, rate_per_s=rate_per_s, rtt_s=self._question.rtt_s
        )

    def _expected(self, nodes: int, rate_per_s: float) -> Expected:
        return expect(self._fleet(nodes, rate_per_s), rate_per_s, self._question, self._slot_bytes)

    def _fewest(self, allowed: Allowance, from_nodes: int = 1) -> int | None:
        rate_per_s = self._rate_per_s * allowed.less
        least = max(from_nodes, fewest_nodes(lambda nodes: self._fleet(nodes, rate_per_s), rate_per_s))
        return _search(least, lambda nodes: self._expected(nodes, rate_per_s).keeps(self._question.slo, allowed.slower))

    def _with_figures(self, here: FleetOption, nodes: int, least: int) -> FleetOption:
        """Return the option with so many nodes on each broker, and what is expected of it."""
        found = self._expected(nodes, self._rate_per_s).stages["sojourn"]
        # Cores are in it even where they are not simulated, since nobody waits for them.
        use = replace(self._fleet(nodes, self._rate_per_s), cores=self._cores).use(self._rate_per_s)
        return replace(
            here,
            nodes=nodes * self._brokers,
            least_nodes=least * self._brokers,
            p50_s=found.p50,
            p99_s=found.p99,
            p99_low_s=found.p99_low,
            p99_high_s=found.p99_high,
            use=use,
            first="broker" if self._brokers > 1 else max(use, key=lambda name: use[name]),
        )


def fewest_nodes(fleet: Callable[[int], FleetModel], rate_per_s: float) -> int:
    """Return the fewest nodes on which no resource is full."""
    use = fleet(1).use(rate_per_s)
    return max(1, max(math.ceil(part / FULL - 1e-9) for name, part in use.items() if name != "broker"))


def _search(least: int, keeps: Callable[[int], bool]) -> int | None:
    """Return the smallest number of nodes, from the least on, that keeps the SLO; None if none of those tried does."""
    tried = sorted({math.ceil(least * step) for step in STEPS} | {least, least + 1, least + 2})
    below = least - 1
    for nodes in tried:
        if keeps(nodes):
            break
        below = nodes
    else:
        return None
    while nodes - below > max(1, nodes // 200):
        between = (nodes + below) // 2
        nodes, below = (between, below) if keeps(between) else (nodes, between)
    return nodes


def expect(
    model: FleetModel, rate_per_s: float, question: FleetQuestion, memory_per_slot_bytes: float | None = None
) -> Expected:
    """Simulate a fleet at a rate, several times from an idle start; the beginnings are in no figure."""
    busy = rate_per_s * model.slot_s
    jobs = int(min(max(LEAST_JOBS, TURNS_OVER * busy), MOST_JOBS))
    found: dict[str, list[np.ndarray]] = {"sojourn": [], "queue_wait": [], "service": []}
    repetitions = max(LEAST_REPETITIONS, min(REPETITIONS, JOBS_IN_ALL // jobs))
    for turn in range(repetitions):
        seed = seed_for(question.seed, "fleet", turn)
        plan = held(rate_per_s, jobs / rate_per_s, question.arrivals, seed)
        seen = simulate(model, plan.due_s, seed)
        settled = slice(int(SETTLING * plan.jobs), None)
        for stage, values in found.items():
            values.append(getattr(seen, f"{stage}_s")[settled])
    groups = np.repeat(np.arange(repetitions), [len(values) for values in found["sojourn"]])
    return _expected({stage: np.concatenate(values) for stage, values in found.items()}, groups, memory_per_slot_bytes)


def expect_idle(model: FleetModel, seed: int, memory_per_slot_bytes: float | None = None) -> Expected:
    """Return the figures of jobs that have a fleet to themselves: no number of nodes does better."""
    draw = np.random.default_rng(seed_for(seed, "idle"))
    rows = draw.integers(len(model.work.wait_s), size=IDLE_JOBS)
    service_s = model.work.wait_s[rows] + model.work.cpu_s[rows]
    before_s = model.broker_s + model.trip_s + model.take_s / 2 + draw.choice(model.handover_s, IDLE_JOBS)
    took_s = {"sojourn": before_s + service_s, "queue_wait": before_s, "service": service_s}
    return _expected(took_s, None, memory_per_slot_bytes)


def _expected(took_s: dict[str, np.ndarray], groups: np.ndarray | None, memory_bytes: float | None) -> Expected:
    stages = {stage: found for stage, values in took_s.items() if (found := percentiles(values, groups))}
    return Expected(stages={**stages, "sojourn_from_sent": stages["sojourn"]}, memory_per_slot_bytes=memory_bytes)


def _impossible(here: FleetOption, idle: Expected, question: FleetQuestion, allowance: Allowance) -> FleetOption:
    """Say which part of an SLO is broken by a job that waits for nobody."""
    broken = next(each for each in question.slo if not idle.keeps([each], allowance.slower))
    if broken.name not in STATISTICS:
        return replace(here, why_not=f"{broken.text} is broken by the memory of a slot that was measured.")
    found = idle.stages[broken.of]
    allowed = f", {allowance.slower:.2f} times that with the error of the model" if allowance.slower > 1 else ""
    return replace(
        here,
        p50_s=idle.stages["sojourn"].p50,
        p99_s=idle.stages["sojourn"].p99,
        why_not=(
            f"No number of nodes keeps {broken.text}: of jobs that wait for no other, {broken.name} of {broken.of} is "
            f"{found.statistic(broken.name) * 1000:,.0f} ms{allowed}; {broken.name} of the job itself is "
            f"{idle.stages['service'].statistic(broken.name) * 1000:,.0f} ms, and of the way to its slot "
            f"{idle.stages['queue_wait'].statistic(broken.name) * 1000:,.0f} ms."
        ),
    )

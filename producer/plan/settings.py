"""The settings of a run: options become one frozen object, and each default is declared here, once."""

from __future__ import annotations

import math
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from msgspec import to_builtins

from poolrace.credentials import hide_password
from poolrace.transport_setting import SCHEMES, supports
from producer.errors import UsageError
from producer.plan.run_settings import RaceOptions, RunSettings
from producer.plan.units import one_of
from producer.plan.workloads import CALLS_UPSTREAM, WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producer.plan.lanes import Lane
    from producer.plan.own_app import OwnApp

RESULT_SCHEMES = ("redis://", "rediss://")
"""What the URL of a broker begins with that can store results, too."""

GENTLE_MIX = "cpu=1,io=3,mixed=1"
"""The shares of workloads in a load that names none."""


def default_of(settings: type, name: str) -> Any:
    """
    Return the default of a field of a settings class, so that an option shows and uses the very same.

    Raises:
        LookupError: If the class has no such field, or the field no default.
    """
    found = {each.name: each.default for each in fields(settings)}[name]
    if found is MISSING:
        raise LookupError(f"{settings.__name__}.{name}: has no default")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSettings:
    """
    The settings that every kind of run has: the lanes, their jobs and the fleet.

    Attributes:
        lanes: The configurations under test; the first is the baseline in reports.
        workloads: Names, in the order in which they run.
        job_s: How long a job should hold a slot, in seconds; None for each workload's own default.
        cpu_share: Part of a mixed job that computes, from 0 to 1; None for the workload's own default.
        arrivals: `poisson` or `constant`.
        seed: Of arrivals and of the order of lanes.
        publishers: Publisher processes.
        expect_publishers: Publishers of other hosts that send in their place; None for none.
        broker_url: A broker that runs already; None for the embedded one.
        start_nodes: Start nodes for the run; otherwise take those that run on the broker already.
        expect_nodes: The number of nodes to wait for; None for any two, or for one of each queue.
        queues: Queues of nodes that run already, each a lane; () for a lane a pool.
        ready_s: How long a node may take to become ready, in seconds.
        out: The folder in which the run directory is made.
        sizes: Sizes of the jobs by workload, taken from an earlier run instead of calibrating.
        own_app: A user's own app, whose tasks are the workloads; None for the demonstration's.
    """

    kind: ClassVar[str]
    """The kind of run, e.g. `race`: the last part of its directory's name."""

    lanes: tuple[Lane, ...]
    workloads: tuple[str, ...] = ("cpu", "native", "io", "mixed")
    job_s: float | None = None
    cpu_share: float | None = None
    arrivals: str = "poisson"
    seed: int = 1
    publishers: int = 1
    expect_publishers: int | None = None
    broker_url: str | None = field(default=None, repr=False)
    start_nodes: bool = True
    expect_nodes: int | None = None
    queues: tuple[str, ...] = ()
    ready_s: float = 30.0
    out: Path = Path("runs")
    sizes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    own_app: OwnApp | None = None

    def __post_init__(self) -> None:
        """Refuse settings that cannot be run."""
        for workload in self.workloads:
            if self.own_app is None and workload not in WORKLOADS:
                raise UsageError(f"--workload {workload!r}: unknown. Allowed: {one_of(workload, WORKLOADS)}.")
        if len(set(self.workloads)) != len(self.workloads) or not self.workloads:
            raise UsageError("--workload: name one or more, each once, e.g. --workload cpu --workload io.")
        if self.broker_url is not None and not supports(self.broker_url):
            _refuse_atomic(self.lanes, self.broker_url)
        if self.broker_url is not None and not self.own_app and not self.broker_url.startswith(RESULT_SCHEMES):
            _refuse_results(self.lanes, self.broker_url)

    def replaced(self, changes: Mapping[str, Any]) -> Self:
        """Return the same settings with some fields changed."""
        return replace(self, **changes)

    @property
    def starts_all(self) -> bool:
        """True if the nodes of all lanes run from the beginning; otherwise the measurement starts and stops them."""
        return True

    @property
    def attached(self) -> bool:
        """True if the run is on nodes that run already."""
        return self.broker_url is not None and not self.start_nodes

    @property
    def needs_upstream(self) -> bool:
        """True if some workload calls the upstream server."""
        return self.own_app is None and not CALLS_UPSTREAM.isdisjoint(self.workloads)

    def run_settings(self) -> RunSettings:
        """Return what the manifest records: everything but the broker's URL, the jobs' sizes and an app's messages."""
        return RunSettings(
            kind=self.kind,
            lanes=self.lanes,
            workloads=self.workloads,
            job_s=self.job_s,
            cpu_share=self.cpu_share,
            arrivals=self.arrivals,
            seed=self.seed,
            publishers=self.publishers,
            expect_publishers=self.expect_publishers,
            start_nodes=self.start_nodes,
            expect_nodes=self.expect_nodes,
            queues=self.queues,
            ready_s=self.ready_s,
            out=str(self.out),
            app=self.own_app.app_settings() if self.own_app else None,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what the manifest records, as JSON has it."""
        return dict(to_builtins(self.run_settings()))


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceSettings(FleetSettings):
    """
    The settings of a race.

    Attributes:
        pairs: Trials of each kind on each lane, per workload; None to put them where they decide most.
        at_most_s: When to stop measuring even if something is open, in seconds from when the nodes are ready; None to
            go on until all is settled, or the pairs that were named are done.
        trial_s: How long a trial should take, in seconds.
        utilisation: The held arrival rate as a part of the slower lane's capacity.
        rate_per_s: The arrival rate to hold instead; of all jobs together, where they are a user's app's.
        margin: Lanes closer than this are reported as showing no difference; 0.05 is 5 %.
        quick: The user asked for the short form.
        apart: Tasks of a user's app with the key of the lane whose nodes take their jobs, in trials of the mix that are
            compared with the mix on one lane.
    """

    kind: ClassVar[str] = "race"

    pairs: int | None = None
    at_most_s: float | None = None
    trial_s: float = 0.6
    utilisation: float = 0.7
    rate_per_s: float | None = None
    margin: float = 0.05
    quick: bool = False
    apart: tuple[tuple[str, str], ...] = ()

    def elsewhere(self, lane: Lane) -> dict[str, Lane]:
        """Return the lanes that take the jobs of some tasks instead of a lane, by task, as `apart` says."""
        by_key = {each.key: each for each in self.lanes}
        return {task: by_key[key] for task, key in self.apart if key != lane.key}

    @property
    def relieved_lanes(self) -> int:
        """The number of lanes that have a trial of the mix apart in each of its rounds."""
        return sum(bool(self.elsewhere(lane)) for lane in self.lanes)

    @property
    def least_s(self) -> float:
        """The time that one round of capacity and of latency takes on every lane, warm-up included, in seconds."""
        return math.ceil(len(self.workloads) * len(self.lanes) * (2 * self.trial_s + ROUND_EXTRA_S))

    @property
    def enough_s(self) -> float:
        """The time in which three rounds of everything are likely to fit, without which little can be said."""
        a_round_s = 2 * self.trial_s + self.lead_in_s + TRIALS_EXTRA_S
        everything_s = len(self.workloads) * len(self.lanes) * (3 * a_round_s + 2 * WARM_UP_S + PING_S)
        apart_s = self.relieved_lanes * (self.trial_s + self.lead_in_s + TRIALS_EXTRA_S)
        return math.ceil(everything_s + 3 * apart_s)

    @property
    def lead_in_s(self) -> float:
        """How long a held rate runs before its jobs count, in seconds: an idle lane would flatter itself."""
        return max(LEAD_IN * self.trial_s, LEAST_LEAD_IN_S)

    def run_settings(self) -> RunSettings:
        """Return what the manifest records."""
        options = RaceOptions(
            pairs=self.pairs,
            at_most_s=self.at_most_s,
            trial_s=self.trial_s,
            utilisation=self.utilisation,
            rate_per_s=self.rate_per_s,
            margin=self.margin,
            quick=self.quick,
            apart=self.apart,
        )
        return replace(FleetSettings.run_settings(self), race=options)


AT_MOST_S = 90.0
"""How long a race measures unless it is told otherwise, or more where three rounds of everything take longer."""

LEAD_IN, LEAST_LEAD_IN_S = 0.25, 0.25
"""The lead-in of a held rate, as a part of what is counted, and the least: more brings hardly more (measurement.md)."""

TRIALS_EXTRA_S, WARM_UP_S, PING_S = 0.5, 0.5, 1.0
"""What the two trials of a round take on a lane beside what was asked for; what a warm-up takes, and a ping trial."""

ROUND_EXTRA_S = 1.5
"""What a round takes on a lane beside its two trials: warm-up, lead-in, and the wait for the last records."""

QUICK_AT_MOST_S = 30.0
QUICK_TRIAL_S = 0.5
QUICK_WORKLOADS = ("cpu", "io")
"""The short form of a race: what it has instead of the defaults above."""


def _refuse_atomic(lanes: Sequence[Lane], broker_url: str) -> None:
    atomic = [lane.key for lane in lanes if lane.is_atomic]
    if atomic:
        raise UsageError(
            f"--broker {hide_password(broker_url)}: the atomic transport of lane {atomic[0]} works only with "
            f"{' and '.join(f'{scheme}://' for scheme in SCHEMES)}. Name such a broker, leave --broker out for "
            "an embedded one, or give the lane transport=stock."
        )


def _refuse_results(lanes: Sequence[Lane], broker_url: str) -> None:
    storing = [lane.key for lane in lanes if lane.stores_results]
    if storing:
        raise UsageError(
            f"--broker {hide_password(broker_url)}: lane {storing[0]} stores results, and those of the demonstration's "
            f"jobs go to the broker, which has to be {' or '.join(RESULT_SCHEMES)}. Name such a broker, leave --broker "
            "out for an embedded one, or take results= from the lane."
        )

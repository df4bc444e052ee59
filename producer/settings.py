"""What a run is asked to do: command-line options become one frozen object, each default declared once."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from poolrace.switching import SCHEMES, is_spoken_by
from poolrace.workloads import declarations
from producer.brokers import hide_password
from producer.errors import UsageError
from producer.lanes import Lane, one_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producer.adoption.app import Adopted

_DECLARED = declarations()

WORKLOADS = tuple(each.name for each in _DECLARED)
"""Names of what `worker` can do; read and not imported, since a producer never imports a worker."""

CALLS_UPSTREAM = frozenset(each.name for each in _DECLARED if "upstream_url" in each.needs)

ARRIVALS = ("poisson", "constant")


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSettings:
    """
    What every kind of run asks for: what is measured, with which jobs, on which fleet.

    Attributes:
        lanes: The configurations under test; the first is the baseline in reports.
        workloads: Names, in the order they run.
        job_s: How long a job should hold a slot, in seconds; None for each workload's own default.
        cpu_share: Part of a mixed job that computes, from 0 to 1; None for its default.
        arrivals: `poisson` or `constant`.
        seed: Of arrivals and of the order of lanes.
        publishers: Publisher processes.
        broker_url: A broker that runs already; None for the embedded one.
        start_nodes: Start nodes of our own; otherwise take those that run on the broker already.
        expect_nodes: How many of those to wait for; None for any two, or for one of each queue.
        queues: Queues of theirs that are a lane each; none for a lane a pool.
        ready_s: How long a node may take to become ready, in seconds.
        out: Where run directories go.
        sizes: Of the jobs by workload, taken from an earlier run instead of calibrating.
        adopted: A user's own app, whose tasks are the workloads; None for the demonstration's.
    """

    kind: ClassVar[str]
    """What the run is, e.g. `race`: the last part of its directory's name."""

    lanes: tuple[Lane, ...]
    workloads: tuple[str, ...] = ("cpu", "native", "io", "mixed")
    job_s: float | None = None
    cpu_share: float | None = None
    arrivals: str = "poisson"
    seed: int = 1
    publishers: int = 1
    broker_url: str | None = field(default=None, repr=False)
    start_nodes: bool = True
    expect_nodes: int | None = None
    queues: tuple[str, ...] = ()
    ready_s: float = 30.0
    out: Path = Path("runs")
    sizes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    adopted: Adopted | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        for workload in self.workloads:
            if self.adopted is None and workload not in WORKLOADS:
                raise UsageError(f"--workload {workload}: unknown. Allowed: {one_of(workload, WORKLOADS)}.")
        if len(set(self.workloads)) != len(self.workloads) or not self.workloads:
            raise UsageError("--workload: name one or more, each once, e.g. --workload cpu --workload io.")
        if self.broker_url is not None and not is_spoken_by(self.broker_url):
            _refuse_atomic(self.lanes, self.broker_url)

    def replaced(self, changes: Mapping[str, Any]) -> Self:
        """The same with some fields changed."""
        return replace(self, **changes)

    @property
    def starts_all(self) -> bool:
        """The nodes of all lanes run from the beginning; otherwise whoever measures starts and stops them."""
        return True

    @property
    def attached(self) -> bool:
        """The run is on nodes that are there already."""
        return self.broker_url is not None and not self.start_nodes

    @property
    def needs_upstream(self) -> bool:
        """Some workload calls the upstream server."""
        return self.adopted is None and not CALLS_UPSTREAM.isdisjoint(self.workloads)

    def to_dict(self) -> dict[str, Any]:
        """For the manifest: everything but the broker's URL, which may hold a password."""
        plain = asdict(self)
        del plain["broker_url"], plain["sizes"], plain["adopted"]
        # Without the app's messages: they may be many, and what they hold is nobody's business.
        if self.adopted:
            plain["app"] = self.adopted.to_dict()
        return {**plain, "kind": self.kind, "out": str(self.out), "lanes": [lane.to_dict() for lane in self.lanes]}


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceSettings(FleetSettings):
    """
    A race as it was asked for.

    Attributes:
        pairs: Trials of each kind on each lane, per workload.
        trial_s: How long a trial should take, in seconds.
        utilisation: The held arrival rate as a part of the slower lane's capacity.
        rate_per_s: The arrival rate to hold instead; of all jobs together, where they are a user's app's.
        margin: Lanes closer than this are told to show no difference; 0.05 is 5 %.
        quick: The user asked for the short form.
    """

    kind: ClassVar[str] = "race"

    pairs: int = 5
    trial_s: float = 1.0
    utilisation: float = 0.7
    rate_per_s: float | None = None
    margin: float = 0.05
    quick: bool = False

    def quickened(self) -> Self:
        """The short form: two workloads, or a user's own, three pairs, shorter trials."""
        return replace(
            self, workloads=self.workloads if self.adopted else ("cpu", "io"), pairs=3, trial_s=0.4, quick=True
        )


def _refuse_atomic(lanes: Sequence[Lane], broker_url: str) -> None:
    atomic = [lane.key for lane in lanes if lane.is_atomic]
    if atomic:
        raise UsageError(
            f"--broker {hide_password(broker_url)}: the atomic transport of lane {atomic[0]} speaks to "
            f"{' and '.join(f'{scheme}://' for scheme in SCHEMES)} alone. Name such a broker, leave --broker out for "
            "an embedded one, or give the lane transport=stock."
        )


_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m)?")
TIME_UNITS_S: Mapping[str, float] = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


def parse_duration_s(text: str, name: str, low_s: float, high_s: float) -> float:
    """
    Seconds from `20ms`, `1.5s`, `2m` or a plain number of seconds.

    Raises:
        UsageError: With the name, the value and what is allowed.
    """
    match = _DURATION.fullmatch(text.strip())
    value_s = float(match[1]) * TIME_UNITS_S[match[2] or "s"] if match else -1.0
    if not low_s <= value_s <= high_s:
        raise UsageError(f"{name} {text!r}: must be a time from {low_s:g}s to {high_s:g}s, e.g. 20ms or 1.5s.")
    return value_s


_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB)?")
SIZE_UNITS_BYTES: Mapping[str, float] = {"B": 1.0, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}


def parse_size_bytes(text: str, name: str, high_bytes: int) -> int:
    """
    Bytes from `64KiB`, `1.5MiB` or a plain number.

    Raises:
        UsageError: With the name, the value and what is allowed.
    """
    match = _SIZE.fullmatch(text.strip())
    value = round(float(match[1]) * SIZE_UNITS_BYTES[match[2] or "B"]) if match else -1
    if not 0 <= value <= high_bytes:
        raise UsageError(f"{name} {text!r}: must be a size from 0 to {high_bytes // 2**20} MiB, e.g. 512B or 64KiB.")
    return value


def fraction(text: str, name: str, low: float, high: float) -> float:
    """
    A number within bounds.

    Raises:
        UsageError: With the name, the value and the bounds.
    """
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise UsageError(f"{name} {text!r}: must be a number from {low:g} to {high:g}, e.g. {max(low, 0.25):g}.")
    return value

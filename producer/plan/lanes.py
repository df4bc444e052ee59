"""
Lanes: the configurations under test. The pool is data; lanes differ only in the flags that differ.

A lane is written `POOL[:CONCURRENCY][:KEY=VALUE]...`, e.g. `threads:32`, `prefork:2:prefetch=1`, `threads:8:nodes=2`,
`threads:8:python=/path/to/python3.14t`, `threads:8:transport=atomic` or `prefork:8:events=on`. Concurrency is
Celery's word: the slots of one node. A lane's slots are those of all its nodes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from poolrace.pools import POOLS, REFUSED
from poolrace.transport_setting import ATOMIC, STOCK, TRANSPORTS, flags
from producer.errors import UsageError
from producer.plan.lane_settings import (
    ENVIRONMENT,
    LANE_SETTINGS,
    OFF,
    RESULTS,
    check_settings,
    is_setting,
    read_setting,
    words_of,
)
from producer.plan.units import one_of, parse_choice, whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ACKS = ("early", "late")
EXAMPLES = "e.g. threads:32, prefork:2:prefetch=1, threads:8:python=/path/to/python3.14t or threads:8:transport=atomic"
MAX_CONCURRENCY = 1024
MAX_PREFETCH = 1000
MAX_NODES = 64
DEFAULT_CONCURRENCY = 8
DEFAULT_PREFETCH = 4
DEFAULT_ACKS = "early"
SETTINGS = ("prefetch", "acks", "nodes", "python", "transport", *LANE_SETTINGS, f"{ENVIRONMENT}NAME")
"""Keys that a lane's specification may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """
    One configuration under test.

    Attributes:
        key: Short name, unique in the race; names the node and the queue, e.g. `threads`, `threads-2` or
            `threads-atomic`.
        pool: One of the pools that are raced.
        slots: Jobs that the lane runs at once: the concurrency of all its nodes together.
        prefetch: Messages that a node takes ahead, per slot (Celery's prefetch multiplier).
        acks: `early`: acknowledged when a slot accepts the job; `late`: when the job has ended; `own`: as each task of
            the app says, where they differ.
        nodes: The number of its nodes.
        python: Interpreter that runs the nodes; empty for the one that runs this command.
        transport: Carries messages to the nodes: `stock`, kombu's own, or `atomic`, `poolrace.transport`.
        settings: Further settings, each a key of `producer.plan.lane_settings` and its value.
    """

    key: str
    pool: str
    slots: int
    prefetch: int = DEFAULT_PREFETCH
    acks: str = DEFAULT_ACKS
    nodes: int = 1
    python: str = ""
    transport: str = STOCK
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def is_atomic(self) -> bool:
        """True if its nodes take messages by the atomic transport."""
        return self.transport == ATOMIC

    @property
    def stores_results(self) -> bool:
        """True if it is to store the results of its jobs."""
        return dict(self.settings).get(RESULTS, OFF) != OFF

    @property
    def concurrency(self) -> int:
        """The slots of each node; of nodes that run already and differ, their mean, rounded down."""
        return self.slots // self.nodes

    @property
    def label(self) -> str:
        """The name in reports: the key, and the facts that a reader needs beside it."""
        nodes = f"{self.nodes} nodes, " if self.nodes > 1 else ""
        return f"{self.key} ({', '.join([f'{nodes}{self.slots} slots', *self.extras])})"

    @property
    def extras(self) -> list[str]:
        """What a reader needs beside pool and slots: the transport if it is not kombu's, and further settings."""
        atomic = ["atomic transport"] if self.is_atomic else []
        return [*atomic, *(f"{key} {value}" for key, value in self.settings)]

    def of(self, *, nodes: int | None = None, concurrency: int | None = None) -> Self:
        """Return the same lane with another number of nodes, or another concurrency."""
        nodes, concurrency = nodes or self.nodes, concurrency or self.concurrency
        return replace(self, nodes=nodes, slots=nodes * concurrency)

    def with_setting(self, key: str, value: str) -> Self:
        """Return the same lane with a further setting, or with another value of it."""
        return replace(self, settings=tuple({**dict(self.settings), key: value}.items()))

    def to_dict(self) -> dict[str, Any]:
        """Return the lane as plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read what `to_dict` returned."""
        return cls(**value)

    def worker_flags(self) -> list[str]:
        """Return the flags of `celery -A app worker` for such a node, without names of broker and queue."""
        words = ["-P", self.pool, "-c", str(self.concurrency), "--prefetch-multiplier", str(self.prefetch)]
        return [*words, *words_of(dict(self.settings), self.concurrency), *flags(self.transport)]


def parse_lanes(
    specs: Sequence[str],
    *,
    concurrency: int = DEFAULT_CONCURRENCY,
    prefetch: int = DEFAULT_PREFETCH,
    acks: str = DEFAULT_ACKS,
    transport: str = STOCK,
    least: int = 2,
) -> tuple[Lane, ...]:
    """
    Read lanes from their specifications; the arguments fill in what a specification leaves out.

    Raises:
        UsageError: If a specification is wrong, or there are fewer than the least.
    """
    if len(specs) < least:
        raise UsageError(f"--lane: a race needs at least two lanes and got {len(specs)}. Name another, {EXAMPLES}.")
    lanes = [
        parse_lane(spec, concurrency=concurrency, prefetch=prefetch, acks=acks, transport=transport) for spec in specs
    ]
    return tuple(_unique_keys(lanes))


def parse_lane(
    spec: str,
    *,
    concurrency: int = DEFAULT_CONCURRENCY,
    prefetch: int = DEFAULT_PREFETCH,
    acks: str = DEFAULT_ACKS,
    transport: str = STOCK,
) -> Lane:
    """
    Read one lane from `POOL[:CONCURRENCY][:KEY=VALUE]...`.

    Raises:
        UsageError: If the specification is wrong; with what is allowed in the place that is wrong.
    """
    pool, *rest = spec.split(":")
    where = f"--lane {spec!r}:"
    slots = 1 if POOLS[_known_pool(where, pool)].has_one_slot else concurrency
    lane = Lane(key=pool, pool=pool, slots=slots, prefetch=prefetch, acks=acks, transport=transport)
    if rest and "=" not in rest[0]:
        lane = lane.of(concurrency=whole_number(rest.pop(0), f"{where} concurrency", 1, MAX_CONCURRENCY))
    for part in rest:
        lane = _with_setting(lane, where, part)
    check_lane(lane, where)
    return lane


def check_lane(lane: Lane, where: str) -> None:
    """
    Check that a lane can be what it says.

    Raises:
        UsageError: If its pool has fewer slots, or no use for one of its settings.
    """
    if POOLS[lane.pool].has_one_slot and lane.concurrency > 1:
        raise UsageError(
            f"{where} {lane.pool} runs one job at a time, whatever its concurrency. For {lane.slots} slots take "
            f"{lane.slots} nodes: {lane.pool}:nodes={lane.slots}."
        )
    check_settings(lane.pool, lane.concurrency, dict(lane.settings), where)


def _known_pool(where: str, pool: str) -> str:
    if pool in POOLS:
        return pool
    if pool in REFUSED:
        raise UsageError(f"{where} {pool} is not raced: {REFUSED[pool]}. Allowed: {', '.join(POOLS)}.")
    raise UsageError(f"{where} unknown pool {pool!r}. Allowed: {one_of(pool, tuple(POOLS))}; {EXAMPLES}.")


def _with_setting(lane: Lane, where: str, part: str) -> Lane:
    key, separator, value = part.partition("=")
    if not separator or not value:
        raise UsageError(f"{where} {part!r} is not KEY=VALUE; {EXAMPLES}.")
    if key == "prefetch":
        return replace(lane, prefetch=whole_number(value, f"{where} prefetch", 1, MAX_PREFETCH))
    if key == "acks":
        return replace(lane, acks=parse_choice(value, f"{where} acks", ACKS))
    if key == "nodes":
        return lane.of(nodes=whole_number(value, f"{where} nodes", 1, MAX_NODES))
    if key == "python":
        return replace(lane, python=value)
    if key == "transport":
        return replace(lane, transport=parse_choice(value, f"{where} transport", TRANSPORTS))
    if is_setting(key):
        return lane.with_setting(key, read_setting(key, value, where))
    raise UsageError(f"{where} unknown setting {key!r}. Allowed: {one_of(key, SETTINGS)}.")


def _unique_keys(lanes: Sequence[Lane]) -> list[Lane]:
    seen: Counter[str] = Counter()
    named = []
    for lane in lanes:
        name = _name(lane, lanes)
        seen[name] += 1
        nth = seen[name]
        named.append(replace(lane, key=name if nth == 1 else f"{name}-{nth}"))
    return named


def _name(lane: Lane, lanes: Sequence[Lane]) -> str:
    """Return the pool, with the transport added only if lanes of that pool differ in it, so that other runs compare."""
    rivals = {each.transport for each in lanes if each.pool == lane.pool}
    return f"{lane.pool}-{ATOMIC}" if lane.is_atomic and len(rivals) > 1 else lane.pool

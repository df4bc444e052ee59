"""
Lanes: the configurations under test. The pool is data; lanes differ only in the flags that differ.

A lane is written `POOL[:SLOTS][:KEY=VALUE]...`, e.g. `threads:32`, `prefork:2:prefetch=1`, `threads:8:nodes=2`,
`threads:8:python=/opt/py314t/bin/python3.14t` or `threads:8:transport=atomic`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from poolrace.pools import POOLS, RACED, REFUSED
from poolrace.transport_setting import ATOMIC, STOCK, TRANSPORTS, flags
from producer.errors import UsageError
from producer.plan.units import one_of, whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ACKS = ("early", "late")
EXAMPLES = "e.g. threads:32, prefork:2:prefetch=1, threads:8:python=/path/to/python3.14t or threads:8:transport=atomic"
MAX_SLOTS = 1024
MAX_PREFETCH = 1000
MAX_NODES = 64
SETTINGS = ("prefetch", "acks", "nodes", "python", "transport")
"""Keys that a lane's specification may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """
    One configuration under test.

    Attributes:
        key: Short name, unique in the race; names the node and the queue, e.g. `threads`, `threads-2` or
            `threads-atomic`.
        pool: One of the pools that are raced.
        slots: Jobs that the lane runs at once: the concurrency of its nodes, together.
        prefetch: Messages a node takes ahead, per slot (Celery's prefetch multiplier).
        acks: `early`: acknowledged when a slot accepts the job; `late`: when the job has ended.
        nodes: How many nodes it has.
        python: Interpreter that runs the nodes; empty for the one that runs this command.
        transport: What carries messages to the nodes: `stock`, kombu's own, or `atomic`, `poolrace.transport`.
    """

    key: str
    pool: str
    slots: int
    prefetch: int = 4
    acks: str = "early"
    nodes: int = 1
    python: str = ""
    transport: str = STOCK

    @property
    def is_atomic(self) -> bool:
        """Whether its nodes take messages by the atomic transport."""
        return self.transport == ATOMIC

    @property
    def concurrency(self) -> int:
        """Slots of each of its nodes; of nodes that run already and differ, their mean, rounded down."""
        return self.slots // self.nodes

    @property
    def label(self) -> str:
        """How reports name it: the key, and what a reader must know beside it."""
        nodes = f"{self.nodes} nodes, " if self.nodes > 1 else ""
        return f"{self.key} ({nodes}{self.slots} slots{', atomic transport' if self.is_atomic else ''})"

    def of(self, *, nodes: int | None = None, concurrency: int | None = None) -> Self:
        """The same lane with another number of nodes, or of slots of each."""
        nodes, concurrency = nodes or self.nodes, concurrency or self.concurrency
        return replace(self, nodes=nodes, slots=nodes * concurrency)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        return cls(**value)

    def worker_flags(self) -> list[str]:
        """What comes after `celery -A app worker` to get such a node, without names of broker and queue."""
        words = ["-P", self.pool, "-c", str(self.concurrency), "--prefetch-multiplier", str(self.prefetch)]
        return [*words, *flags(self.transport)]


def parse_lanes(
    specs: Sequence[str], *, slots: int, prefetch: int, acks: str, transport: str = STOCK, least: int = 2
) -> tuple[Lane, ...]:
    """
    Lanes from their specifications; what a specification leaves out comes from the arguments.

    Raises:
        UsageError: If a specification is wrong, or there are fewer than the least.
    """
    if len(specs) < least:
        raise UsageError(f"--lane: a race needs at least two lanes and got {len(specs)}. Name another, {EXAMPLES}.")
    lanes = [parse_lane(spec, slots=slots, prefetch=prefetch, acks=acks, transport=transport) for spec in specs]
    return tuple(_unique_keys(lanes))


def parse_lane(spec: str, *, slots: int, prefetch: int, acks: str, transport: str) -> Lane:
    """One lane from `POOL[:SLOTS][:KEY=VALUE]...`."""
    pool, *rest = spec.split(":")
    lane = Lane(key=pool, pool=_known_pool(spec, pool), slots=slots, prefetch=prefetch, acks=acks, transport=transport)
    if rest and "=" not in rest[0]:
        lane = replace(lane, slots=whole_number(rest.pop(0), f"--lane {spec}: slots", 1, MAX_SLOTS))
    for part in rest:
        lane = _with_setting(lane, spec, part)
    return lane


def _known_pool(spec: str, pool: str) -> str:
    if pool in RACED:
        return pool
    if pool in POOLS or pool in REFUSED:
        why = f": {REFUSED[pool]}" if pool in REFUSED else ""
        raise UsageError(f"--lane {spec}: {pool} is not raced{why}. Allowed: {', '.join(RACED)}.")
    raise UsageError(f"--lane {spec}: unknown pool {pool!r}. Allowed: {one_of(pool, RACED)}; {EXAMPLES}.")


def _with_setting(lane: Lane, spec: str, part: str) -> Lane:
    key, separator, value = part.partition("=")
    if not separator or not value:
        raise UsageError(f"--lane {spec}: {part!r} is no KEY=VALUE; {EXAMPLES}.")
    if key == "prefetch":
        return replace(lane, prefetch=whole_number(value, f"--lane {spec}: prefetch", 1, MAX_PREFETCH))
    if key == "acks":
        return replace(lane, acks=_known(spec, key, value, ACKS))
    if key == "nodes":
        return lane.of(nodes=whole_number(value, f"--lane {spec}: nodes", 1, MAX_NODES))
    if key == "python":
        return replace(lane, python=value)
    if key == "transport":
        return replace(lane, transport=_known(spec, key, value, TRANSPORTS))
    raise UsageError(f"--lane {spec}: unknown setting {key!r}. Allowed: {one_of(key, SETTINGS)}.")


def _known(spec: str, key: str, value: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise UsageError(f"--lane {spec}: {key}={value}: allowed are {' and '.join(allowed)}.")
    return value


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
    """The pool's; the transport is told where it tells lanes of a pool apart, so that runs without that compare."""
    rivals = {each.transport for each in lanes if each.pool == lane.pool}
    return f"{lane.pool}-{ATOMIC}" if lane.is_atomic and len(rivals) > 1 else lane.pool

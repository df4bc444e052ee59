"""
The axis of a sweep: the thing that it varies, and the lanes at each value. Pure.

Concurrency, nodes, prefetch, acks, transport and further settings belong to a lane, so each point has lanes of its own;
CPU share and payload belong to the jobs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from poolrace.transport_setting import TRANSPORTS
from producer.errors import UsageError
from producer.plan.lane_settings import LANE_SETTINGS
from producer.plan.lanes import ACKS, MAX_CONCURRENCY, MAX_NODES, MAX_PREFETCH, check_lane
from producer.plan.units import fraction, one_of, parse_choice, parse_size_bytes, whole_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from producer.plan.lanes import Lane

MAX_VALUES = 20
MAX_PAYLOAD_BYTES = 64 * 2**20
AXIS_EXAMPLES = (
    "concurrency=1,2,4,8, nodes=1,2,4, prefetch=1,4,16, acks=early,late, transport=stock,atomic, "
    f"{', '.join(f'{each.key}={each.example}' for each in LANE_SETTINGS.values())}, "
    "cpu-share=0,0.25,0.5,1 or payload=0,4KiB,64KiB"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """
    The thing that a sweep varies, with its values.

    Attributes:
        name: `concurrency`, `nodes`, `prefetch`, `acks`, `transport`, `cpu-share`, `payload`, or a further setting of a
            lane, e.g. `events`.
        texts: The values as they were written, in the order given.
        values: The values, read.
    """

    name: str
    texts: tuple[str, ...]
    values: tuple[Any, ...]

    @property
    def of_lanes(self) -> bool:
        """True if it changes lanes; otherwise it changes jobs."""
        return self.name in VARIED

    def lanes(self, value: Any, lanes: Sequence[Lane]) -> list[Lane]:
        """
        Return the lanes of a point, each with a key of its own.

        Raises:
            UsageError: If the value has no effect on the pool of one.
        """
        if not self.of_lanes:
            return list(lanes)
        varied = [replace(VARIED[self.name](lane, value), key=f"{lane.key}-{self.name[0]}{value}") for lane in lanes]
        for lane in varied:
            check_lane(lane, f"--over {self.name}={value}:")
        return varied


def _with_setting(key: str, lane: Lane, value: str) -> Lane:
    return lane.with_setting(key, value)


VARIED: Mapping[str, Callable[[Lane, Any], Lane]] = {
    "concurrency": lambda lane, value: lane.of(concurrency=value),
    "nodes": lambda lane, value: lane.of(nodes=value),
    "prefetch": lambda lane, value: replace(lane, prefetch=value),
    "acks": lambda lane, value: replace(lane, acks=value),
    "transport": lambda lane, value: replace(lane, transport=value),
    **{key: partial(_with_setting, key) for key in LANE_SETTINGS},
}
"""Functions that set a value on a lane, by the names of the axes that change lanes."""


def parse_axis(text: str) -> Axis:
    """
    Parse an axis from `NAME=VALUE,VALUE,...`, or from `cpu-share=LOW..HIGH` for five values with even steps.

    Raises:
        UsageError: If the name is unknown or a value is wrong; the message says which are right.
    """
    name, separator, rest = text.partition("=")
    if name not in READ or not separator:
        raise UsageError(
            f"--over {text!r}: unknown {name!r}. Allowed: {one_of(name, tuple(READ))}; e.g. {AXIS_EXAMPLES}."
        )
    texts = _spread(text, rest) if ".." in rest else tuple(part.strip() for part in rest.split(","))
    values = tuple(READ[name](each, f"--over {name}") for each in texts)
    if len(set(values)) != len(values) or not 2 <= len(values) <= MAX_VALUES:
        raise UsageError(f"--over {text!r}: give 2 to {MAX_VALUES} values, each once, e.g. {AXIS_EXAMPLES}.")
    return Axis(name=name, texts=texts, values=values)


def _spread(text: str, rest: str) -> tuple[str, ...]:
    low, _, high = rest.partition("..")
    if not text.startswith("cpu-share"):
        raise UsageError(f"--over {text!r}: only cpu-share has a range. Name the values, e.g. {AXIS_EXAMPLES}.")
    first, last = (fraction(part, "--over cpu-share", 0.0, 1.0) for part in (low, high))
    return tuple(f"{first + (last - first) * step / 4:g}" for step in range(5))


READ: Mapping[str, Callable[[str, str], Any]] = {
    "concurrency": lambda text, name: whole_number(text, name, 1, MAX_CONCURRENCY),
    "nodes": lambda text, name: whole_number(text, name, 1, MAX_NODES),
    "prefetch": lambda text, name: whole_number(text, name, 1, MAX_PREFETCH),
    "acks": lambda text, name: parse_choice(text, name, ACKS),
    "transport": lambda text, name: parse_choice(text, name, TRANSPORTS),
    "cpu-share": lambda text, name: fraction(text, name, 0.0, 1.0),
    **{key: each.read for key, each in LANE_SETTINGS.items()},
    "payload": lambda text, name: parse_size_bytes(text, name, MAX_PAYLOAD_BYTES),
}
"""Functions that read a value, by the name of the axis."""

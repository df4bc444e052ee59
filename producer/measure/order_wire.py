"""An order on its way to a publisher of another host, as bytes. Nothing in them is code, as it is in a pickle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from producer.measure.order import Order
from producer.plan.arrivals import Plan
from producer.plan.jobs import Call

if TYPE_CHECKING:
    from collections.abc import Mapping


def pack(order: Order) -> dict[str, Any]:
    """Return an order as msgpack takes it; its calls have no messages of a user's app."""
    plan = order.plan
    return {
        "run_id": order.run_id, "trial": order.trial, "queue": order.queue, "priority": order.priority,
        "open_s": order.open_s, "results_by_node": order.results_by_node, "elsewhere": dict(order.elsewhere),
        "calls": [
            {"task": call.task, "args": list(call.args), "workload": call.workload, "payload_bytes": call.payload_bytes}
            for call in order.calls
        ],
        "due_s": plan.due_s.tobytes(), "rate_per_s": plan.rate_per_s,
        "parts": None if plan.parts is None else plan.parts.tobytes(),
    }  # fmt: skip


def unpack(packed: Mapping[str, Any]) -> Order:
    """Return the order that was packed."""
    fields = dict(packed)
    due_s, parts, rate_per_s = fields.pop("due_s"), fields.pop("parts"), fields.pop("rate_per_s")
    calls = [Call(**{**call, "args": tuple(call["args"])}) for call in fields.pop("calls")]
    plan = Plan(
        due_s=np.frombuffer(due_s),
        rate_per_s=rate_per_s,
        parts=None if parts is None else np.frombuffer(parts, dtype=np.uint8),
    )
    return Order(**fields, calls=tuple(calls), plan=plan)


def encode(kind: str, **fields: Any) -> bytes:
    """Return a message between a run and its publishers."""
    return msgspec.msgpack.encode({"kind": kind, **fields})


def decode(raw: bytes) -> dict[str, Any]:
    """Return the fields of a message."""
    found: dict[str, Any] = msgspec.msgpack.decode(raw)
    return found

"""An order comes to a publisher of another host as it was given."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.measure.order import Order
from producer.measure.order_wire import decode, encode, pack, unpack
from producer.plan.arrivals import Plan, backlog
from producer.plan.jobs import Call

RUN_ID = "00112233445566ff"


def sent(order):
    """What comes of an order that is sent."""
    return unpack(decode(encode("order", order=pack(order)))["order"])


def test_every_part_of_an_order_arrives():
    order = Order(
        run_id=RUN_ID, trial=7, queue="threads", priority=3, open_s=2.5, results_by_node=True,
        elsewhere={"io": "other"}, calls=(Call("worker.sleep", (0.5,), "sleep", 64), Call("worker.io", (), "io")),
        plan=Plan(due_s=np.array([0.0, 0.25, 0.25]), rate_per_s=4.0, parts=np.array([0, 1, 0], dtype=np.uint8)),
    )  # fmt: skip
    found = sent(order)
    assert (found.run_id, found.trial, found.queue, found.priority) == (RUN_ID, 7, "threads", 3)
    assert (found.open_s, found.results_by_node, found.elsewhere) == (2.5, True, {"io": "other"})
    assert found.calls == order.calls
    assert found.plan.due_s.tolist() == [0.0, 0.25, 0.25]
    assert found.plan.parts.tolist() == [0, 1, 0]
    assert found.plan.rate_per_s == 4.0


def test_a_backlog_has_no_rate_and_no_parts():
    found = sent(Order(run_id=RUN_ID, trial=1, queue="q", calls=(Call("worker.noop"),), plan=backlog(3)))
    assert (found.plan.jobs, found.plan.rate_per_s, found.plan.parts) == (3, None, None)


@given(st.lists(st.floats(0, 1e6), max_size=50).map(sorted))
def test_no_due_time_changes_on_the_way(due_s):
    order = Order(
        run_id=RUN_ID,
        trial=1,
        queue="q",
        calls=(Call("worker.noop"),),
        plan=Plan(due_s=np.array(due_s), rate_per_s=1.0),
    )
    assert sent(order).plan.due_s.tolist() == due_s


def test_what_is_not_an_order_is_refused():
    with pytest.raises(Exception, match="unexpected keyword"):
        unpack({**pack(Order(run_id=RUN_ID, trial=1, queue="q", calls=(), plan=backlog(1))), "code": "import os"})

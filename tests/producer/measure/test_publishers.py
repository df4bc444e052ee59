"""Jobs are sent when due or at once if late, and the ledger tells what became of each."""

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from celery import Celery
from hypothesis import given
from hypothesis import strategies as st
from kombu import Producer
from kombu.exceptions import OperationalError

from poolrace.contract import HEADER, Stamp
from producer.measure.order import BATCH_JOBS, Order
from producer.measure.schedule import LOOK_S, OrderRevisions, send_when_due
from producer.measure.sender import JobSender
from producer.plan.arrivals import Plan, backlog, constant
from producer.plan.jobs import Call, Message
from producer.rundir.schema import SENT_SCHEMA

RUN_ID = "00112233445566ff"
START_AT = 1000.0


class World:
    """A clock that moves only when someone sleeps or sends, and a broker that notes what it gets."""

    def __init__(self, *, now_at=START_AT, send_s=0.0, oversleep_s=0.0, refuses=()):
        self.now_at = now_at
        self.send_s = send_s
        self.oversleep_s = oversleep_s
        self.refuses = set(refuses)
        self.batches = []
        self.slept_s = []

    def now(self):
        return self.now_at

    def sleep(self, wait_s):
        assert wait_s > 0
        self.slept_s.append(wait_s)
        self.now_at += wait_s + self.oversleep_s

    def send(self, _order, jobs, now):
        sent = [now() for _ in jobs]
        self.now_at += self.send_s * len(jobs)
        self.batches.append([seq for seq, _ in jobs])
        if len(self.batches) - 1 in self.refuses:
            raise OperationalError("connection refused")
        return sent

    def run(self, plan, part=(0, 1), trial=7):
        order = Order(run_id=RUN_ID, trial=trial, calls=(Call("worker.noop", ()),), queue="q", plan=plan)
        return send_when_due(
            order, start_at=START_AT, part=part, send=self.send, now=self.now, sleep=self.sleep
        )  # fmt: skip


def plan_of(*due_s):
    return Plan(due_s=due_s, rate_per_s=1.0)


def test_each_job_is_sent_when_it_is_due():
    world = World()
    ledger = world.run(plan_of(0.0, 0.5, 2.0))
    assert world.batches == [[0], [1], [2]]
    assert world.slept_s == [0.5, 1.5]
    assert ledger.to_dict(as_series=False) == {
        "trial": [7, 7, 7],
        "seq": [0, 1, 2],
        "part": [0, 0, 0],
        "due_at": [1000.0, 1000.5, 1002.0],
        "sent_at": [1000.0, 1000.5, 1002.0],
        "accepted_at": [1000.0, 1000.5, 1002.0],
    }


def test_it_waits_for_a_start_that_is_still_to_come():
    world = World(now_at=START_AT - 0.25)
    world.run(plan_of(0.0))
    assert world.slept_s == [0.25]


def test_late_jobs_are_sent_at_once_and_keep_the_instant_at_which_they_were_due():
    # Sending takes 1 s a job, so the job due at 0.5 goes at 1 and with it the one due at 0.75; that of 2.5 at 3.
    ledger = World(send_s=1.0).run(plan_of(0.0, 0.5, 0.75, 2.5))
    assert ledger["due_at"].to_list() == [1000.0, 1000.5, 1000.75, 1002.5]
    assert ledger["sent_at"].to_list() == [1000.0, 1001.0, 1001.0, 1003.0]
    assert ledger["accepted_at"].to_list() == [1001.0, 1003.0, 1003.0, 1004.0]


def test_a_publisher_that_overslept_sends_all_that_became_due():
    world = World(oversleep_s=0.25)
    ledger = world.run(plan_of(0.5, 0.6, 0.7, 0.8))
    assert world.batches == [[0, 1, 2], [3]]
    assert ledger["sent_at"].to_list() == pytest.approx([1000.75, 1000.75, 1000.75, 1001.05])


def test_a_sleep_that_ends_early_is_slept_to_its_end():
    world = World()

    def sleep(wait_s):
        world.slept_s.append(wait_s)
        world.now_at += 0.75 if len(world.slept_s) == 1 else wait_s

    world.sleep = sleep
    ledger = world.run(plan_of(1.0))
    assert world.slept_s == [1.0, 0.25]
    assert ledger["sent_at"].to_list() == [1001.0]


def test_a_backlog_goes_in_batches():
    world = World()
    ledger = world.run(backlog(2 * BATCH_JOBS + 3))
    assert [len(batch) for batch in world.batches] == [BATCH_JOBS, BATCH_JOBS, 3]
    assert world.slept_s == []
    assert ledger["seq"].to_list() == list(range(2 * BATCH_JOBS + 3))


def test_what_the_broker_refuses_is_in_the_ledger_as_not_accepted_and_the_rest_goes_on():
    ledger = World(refuses=[1]).run(plan_of(0.0, 1.0, 2.0))
    assert ledger["accepted_at"].to_list() == [1000.0, None, 1002.0]
    assert ledger["sent_at"].to_list() == [1000.0, 1001.0, 1002.0]


def test_any_other_error_is_a_bug_and_not_hidden():
    def fail(order, jobs, now):
        raise ZeroDivisionError

    order = Order(run_id=RUN_ID, trial=0, calls=(Call("t", ()),), queue="q", plan=backlog(1))
    with pytest.raises(ZeroDivisionError):
        send_when_due(order, start_at=0.0, part=(0, 1), send=fail, now=lambda: 1.0, sleep=lambda _: None)


def test_a_publisher_without_a_share_has_an_empty_ledger_of_the_right_columns():
    ledger = World().run(backlog(2), part=(2, 3))
    assert ledger.height == 0
    assert ledger.schema == pl.Schema(SENT_SCHEMA)


@given(st.integers(1, 60), st.integers(1, 5))
def test_the_shares_of_all_publishers_are_the_plan_each_job_once(jobs, parts):
    plan = constant(10.0, jobs / 10)
    ledgers = [World().run(plan, part=(number, parts)) for number in range(parts)]
    together = pl.concat(ledgers).sort("seq")
    assert together["seq"].to_list() == list(range(plan.jobs))
    assert together["due_at"].to_list() == (plan.due_s + START_AT).tolist()
    assert (together["sent_at"] >= together["due_at"]).all()
    assert together.schema == pl.Schema(SENT_SCHEMA)


@given(
    st.lists(st.floats(0, 5), min_size=1, max_size=30).map(sorted),
    st.floats(0, 0.5),
    st.floats(0, 0.5),
    st.sets(st.integers(0, 10)),
)
def test_no_job_is_sent_early_or_left_out_whatever_is_slow(due_s, send_s, oversleep_s, refuses):
    ledger = World(send_s=send_s, oversleep_s=oversleep_s, refuses=refuses).run(plan_of(*due_s))
    assert ledger["seq"].to_list() == list(range(len(due_s)))
    assert (ledger["sent_at"] >= ledger["due_at"]).all()
    accepted = ledger.drop_nulls("accepted_at")
    assert (accepted["accepted_at"] >= accepted["sent_at"]).all()
    assert not any(map(math.isnan, ledger["sent_at"]))


@pytest.fixture
def messages():
    """Send through Celery and kombu on a broker in memory; gives what has arrived on the queue."""
    app = Celery("publisher", broker="memory://", set_as_current=False)
    with app.connection_for_write() as connection:
        queue = connection.SimpleQueue("jobs-of-a-test")

        def send(jobs, args=(20, 3), now=lambda: 5.0, **changes):
            order = Order(
                run_id=RUN_ID, trial=7, calls=(Call("worker.mixed", args),), queue="jobs-of-a-test", plan=backlog(1)
            )
            order = replace(order, **changes)
            sent = JobSender(app, Producer(connection)).send(order, jobs, now)
            arrived = []
            while queue.qsize():
                arrived.append(queue.get_nowait())
                arrived[-1].ack()
            return sent, arrived

        yield send
        queue.close()


def test_a_job_carries_its_stamp_and_all_that_celery_expects(messages):
    sent, (first, second) = messages([(4, 1.0), (5, 2.0)])
    assert sent == [5.0, 5.0]
    assert Stamp.from_header(first.headers[HEADER]) == Stamp(run_id=RUN_ID, trial=7, seq=4, due_at=1.0, sent_at=5.0)
    assert Stamp.from_header(second.headers[HEADER]).seq == 5
    assert first.headers["task"] == "worker.mixed"
    assert "ignore_result" not in first.headers  # what a node's own setting is overruled by
    assert first.payload[:2] == [[20, 3], {}]
    assert first.content_type == "application/json"


def test_jobs_have_ids_of_their_own_that_name_them(messages):
    _, arrived = messages([(seq, 1.0) for seq in range(3)])
    assert [message.headers["id"] for message in arrived] == [f"{RUN_ID}-7-{seq}" for seq in range(3)]
    assert [message.properties["correlation_id"] for message in arrived] == [f"{RUN_ID}-7-{seq}" for seq in range(3)]


def test_due_is_stamped_as_planned_and_sent_is_read_off_the_clock_for_every_job(messages):
    instants = iter([10.0, 11.0])
    _, arrived = messages([(0, 1.0), (1, 1.0)], now=lambda: next(instants))
    stamps = [Stamp.from_header(message.headers[HEADER]) for message in arrived]
    assert [(stamp.due_at, stamp.sent_at) for stamp in stamps] == [(1.0, 10.0), (1.0, 11.0)]


@pytest.mark.parametrize(
    ("by_node", "by_task", "kept"), [(False, True, True), (True, True, False), (True, False, True)]
)
def test_an_apps_message_leaves_its_result_to_the_node_only_on_a_lane_that_says_and_unless_its_call_said(
    messages, by_node, by_task, kept
):
    message = Message(
        body="[[], {}, {}]", content_type="application/json", content_encoding="utf-8",
        headers={"task": "shop.mail", "ignore_result": False}, results_by_task=by_task,
    )  # fmt: skip
    call = Call("shop.mail", messages=(message,), message_index=(0,))
    _, (arrived,) = messages([(0, 1.0)], calls=(call,), results_by_node=by_node)
    assert arrived.headers["task"] == "shop.mail"
    assert ("ignore_result" in arrived.headers) is kept


CALLS = (Call("worker.noop"), Call("worker.sleep", (5,)))


def order_of(*due_s, parts=None, **changes):
    """An order of jobs due at these offsets."""
    chosen = None if parts is None else np.array(parts, dtype=np.uint8)
    plan = Plan(due_s=np.array(due_s), rate_per_s=1.0, parts=chosen)
    return replace(Order(run_id=RUN_ID, trial=7, calls=CALLS, queue="q", plan=plan), **changes)


class Steered(World):
    """A world in which orders are revised while they are worked on."""

    def __init__(self, revisions, **named):
        super().__init__(**named)
        self.counts = [0, 0]
        self.mailbox = OrderRevisions(self.counts)
        self.revisions = sorted(revisions.items())

    def sleep(self, wait_s):
        super().sleep(wait_s)
        self._revise()

    def send(self, *arguments):
        try:
            return super().send(*arguments)
        finally:
            self._revise()

    def _revise(self):
        while self.revisions and self.revisions[0][0] <= self.now_at - START_AT:
            self.mailbox.revise(self.revisions.pop(0)[1])

    def work(self, order, part=(0, 1)):
        return send_when_due(
            order, start_at=START_AT, part=part, send=self.send, now=self.now, sleep=self.sleep, revisions=self.mailbox
        )  # fmt: skip


def offsets(ledger, column="due_at"):
    """Seconds from the plan's zero; a clock that sleeps in small steps adds up what each is rounded by."""
    return (ledger[column] - START_AT).round(6).to_list()


def test_once_an_order_is_revised_what_was_sent_stays_and_the_rest_follows_the_new_plan():
    first = order_of(0.0, 0.5, 1.0, 1.5, parts=[0, 1, 0, 0], open_s=4.0)
    revised = order_of(0.0, 0.5, 1.25, 2.0, 3.0, parts=[0, 1, 1, 0, 1], open_s=4.0)
    ledger = Steered({0.7: revised}).work(first)
    assert offsets(ledger) == [0, 0.5, 1.25, 2, 3]
    assert offsets(ledger, "sent_at") == [0, 0.5, 1.25, 2, 3]
    assert ledger["seq"].to_list() == [0, 1, 2, 3, 4]
    assert ledger["part"].to_list() == [0, 1, 1, 0, 1]
    assert ledger.schema == pl.Schema(SENT_SCHEMA)


def test_an_order_can_be_revised_again_and_again():
    first = order_of(0.0, 1.0, 2.0, open_s=4.0)
    paused, back = order_of(0.0, 1.0, open_s=4.0), order_of(0.0, 1.0, 3.5, open_s=4.0)
    ledger = Steered({1.2: paused, 2.5: back}).work(first)
    assert offsets(ledger, "sent_at") == [0, 1, 3.5]


def test_a_shorter_order_ends_where_it_says():
    ledger = Steered({0.7: order_of(0.0, 0.5, open_s=0.7)}).work(order_of(0.0, 0.5, 1.0, 1.5, open_s=4.0))
    assert offsets(ledger) == [0, 0.5]


def test_what_was_sent_and_is_in_the_new_plan_no_more_stays_in_the_ledger():
    """The revision comes when three have been sent, and knows of one only."""
    ledger = Steered({1.1: order_of(0.0, parts=[1], open_s=0.2)}).work(
        order_of(0.0, 0.5, 1.0, 1.5, parts=[1, 1, 1, 1], open_s=4.0)
    )
    assert offsets(ledger) == [0, 0.5, 1]
    assert ledger["accepted_at"].null_count() == 0
    assert ledger["seq"].to_list() == [0, 1, 2]


def test_jobs_that_are_late_when_an_order_is_revised_go_by_the_new_plan():
    """Sending takes 1 s a job: while the first is sent, those of 0.5 and 0.6 are late and the revision comes."""
    ledger = Steered({0.7: order_of(0.0, 0.5, 0.9, open_s=3.5)}, send_s=1.0).work(order_of(0.0, 0.5, 0.6, open_s=3.5))
    assert offsets(ledger) == [0, 0.5, 0.9]
    assert offsets(ledger, "sent_at") == [0, 1, 1]


def test_an_order_stays_open_until_it_says_for_others_to_take_its_place():
    world = Steered({2.0: order_of(0.0, 2.5, open_s=3.0)})
    ledger = world.work(order_of(0.0, open_s=3.0))
    assert offsets(ledger, "sent_at") == [0, 2.5]
    assert world.now_at == pytest.approx(START_AT + 3.0)
    assert max(world.slept_s) <= LOOK_S


def test_an_order_that_is_not_open_ends_with_its_last_job_and_sleeps_without_looking():
    world = Steered({})
    world.work(order_of(0.0, 2.0))
    assert world.slept_s == [2.0]
    assert world.now_at == START_AT + 2.0


def test_an_order_of_nothing_waits_for_another_as_long_as_it_is_open():
    ledger = Steered({0.5: order_of(1.0, open_s=2.0)}).work(order_of(open_s=2.0))
    assert offsets(ledger, "sent_at") == [1]


def test_an_order_of_another_trial_takes_no_ones_place():
    ledger = Steered({0.5: order_of(0.0, trial=8, open_s=2.0)}).work(order_of(0.0, 1.0, open_s=2.0))
    assert offsets(ledger) == [0, 1]
    assert ledger["trial"].to_list() == [7, 7]


def test_the_mailbox_counts_what_the_broker_took_and_what_it_did_not():
    world = Steered({}, refuses=[1])
    world.work(order_of(0.0, 1.0, 1.0, 2.0))
    assert world.counts == [2, 2]


@given(
    st.lists(st.floats(0, 2), max_size=8).map(sorted),
    st.lists(st.floats(2, 4), max_size=8).map(sorted),
    st.lists(st.floats(2, 4), max_size=8).map(sorted),
    st.floats(0, 2 - 2 * LOOK_S),
    st.integers(1, 3),
)
def test_revised_in_time_every_publisher_sends_its_share_of_the_new_plan_and_nothing_else(
    same_s, old_s, new_s, revised_s, parts
):
    old, new = order_of(*same_s, *old_s, open_s=4.0), order_of(*same_s, *new_s, open_s=4.0)
    ledgers = [Steered({revised_s: new}).work(old, (number, parts)) for number in range(parts)]
    together = pl.concat(ledgers).sort("seq")
    assert together["seq"].to_list() == list(range(new.plan.jobs))
    assert together["due_at"].to_list() == (new.plan.due_s + START_AT).tolist()
    assert (together["sent_at"] >= together["due_at"]).all()
    assert together["accepted_at"].null_count() == 0


@pytest.fixture
def deliver():
    """Send orders, one after the other, through one sender; gives what has arrived on the queue."""
    app = Celery("publisher", broker="memory://", set_as_current=False)
    with app.connection_for_write() as connection:
        queue = connection.SimpleQueue("orders-of-a-test")
        sender = JobSender(app, Producer(connection))

        def deliver(order):
            order = replace(order, queue="orders-of-a-test")
            sender.send(order, [(seq, 1.0) for seq in range(order.plan.jobs)], lambda: 5.0)
            arrived = []
            while queue.qsize():
                arrived.append(queue.get_nowait())
                arrived[-1].ack()
            return arrived

        yield deliver
        queue.close()


def test_a_message_has_the_priority_of_its_order(deliver):
    (message,) = deliver(order_of(0.0, priority=3))
    assert message.properties["priority"] == 3
    (message,) = deliver(order_of(0.0))
    assert message.properties["priority"] == 0


def test_a_message_is_longer_by_its_payload_and_the_arguments_stay(deliver):
    long = Call("worker.sleep", (5,), payload_bytes=64 * 2**10)
    message, short = deliver(order_of(0.0, 0.0, parts=[1, 0], calls=(Call("worker.noop"), long)))
    assert message.payload[:2] == [[5], {"payload": "x" * 65_536}]
    assert short.payload[:2] == [[], {}]
    assert len(short.body) < 1000 < 65_536 <= len(message.body)


def test_the_headers_of_a_long_message_stay_short(deliver):
    """They hold the arguments in print, and a node's records would be slow to come if that were all of them."""
    (message,) = deliver(order_of(0.0, calls=(Call("worker.noop", payload_bytes=64 * 2**10),)))
    assert len(message.headers["kwargsrepr"]) < 10_000


def test_each_job_of_a_mix_is_the_task_that_its_part_says(deliver):
    messages = deliver(order_of(0.0, 0.0, 0.0, parts=[1, 0, 1]))
    assert [message.headers["task"] for message in messages] == ["worker.sleep", "worker.noop", "worker.sleep"]
    assert [message.payload[0] for message in messages] == [[5], [], [5]]


def test_after_a_revision_jobs_are_those_of_the_new_order(deliver):
    first = order_of(0.0, parts=[0])
    assert deliver(first)[0].headers["task"] == "worker.noop"
    revised = replace(first, calls=(Call("worker.cpu", (9,)), CALLS[1]))
    assert deliver(revised)[0].headers["task"] == "worker.cpu"

"""Jobs are sent when due or at once if late, and the ledger tells what became of each."""

import math

import polars as pl
import pytest
from celery import Celery
from hypothesis import given
from hypothesis import strategies as st
from kombu import Producer
from kombu.exceptions import OperationalError

from poolrace.contract import HEADER, Stamp
from producer.plan import Plan, backlog, constant
from producer.publish import BATCH_JOBS, SENT_SCHEMA, Call, JobSender, Order, send_when_due

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

        def send(jobs, args=(20, 3), now=lambda: 5.0):
            order = Order(
                run_id=RUN_ID, trial=7, calls=(Call("worker.mixed", args),), queue="jobs-of-a-test", plan=backlog(1)
            )
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
    assert first.headers["ignore_result"] is True
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

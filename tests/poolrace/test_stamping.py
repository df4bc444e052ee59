"""A stamped job leaves one record of its end, and jobs that it sends carry its stamp on; other jobs are left alone."""

import math
import os
import threading
from types import SimpleNamespace

import pytest
from celery import Celery
from celery.app.trace import trace_ok_t
from celery.concurrency import get_implementation
from celery.exceptions import Terminated

from poolrace import stamping
from poolrace.contract import (
    CHILD_HEADER,
    FLAG_CHILD,
    FLAG_REDELIVERED,
    HEADER,
    RECEIVED,
    STARTED,
    JobRecord,
    Outcome,
    Stamp,
    pack_record,
    unpack_rows,
)
from poolrace.pools import POOLS

STAMP = Stamp(run_id="0123456789abcdef", trial=3, seq=7, due_at=10.0, sent_at=10.5)
APP = Celery("stamped", broker="memory://", set_as_current=False)


class Shipper:
    """Takes records as a node's shipper does, and gives them back."""

    pid = os.getpid()

    def __init__(self):
        self.rows = []

    def put(self, header, end):
        self.rows.append(pack_record(*header, *end))

    @property
    def records(self) -> list[JobRecord]:
        return list(unpack_rows(b"".join(self.rows)))


@pytest.fixture
def shipper(monkeypatch):
    shipper = Shipper()
    monkeypatch.setattr(stamping, "_shipper", shipper)
    monkeypatch.setattr(stamping, "_node_pid", os.getpid())
    return shipper


def request_of(**fields):
    """Return a request as Celery hands it to a tracer."""
    return {"id": "job", "hostname": "threads@host", RECEIVED: 11.0, HEADER: STAMP.to_header(), **fields}


def run(work, request):
    """Trace a job by a tracer that runs `work` and returns what it returns."""
    return stamping.traced(lambda *_: work(), APP)("job", (), {}, request)


def ended(state=None, error=None):
    """Return the answer of Celery's tracer to the end of a job."""
    return trace_ok_t(None, None if state is None else SimpleNamespace(state=state, retval=error), 0.1, None)


def test_a_job_that_succeeds_leaves_a_record_of_its_life(shipper):
    answer = ended()
    assert run(lambda: answer, request_of()) is answer
    (record,) = shipper.records
    assert (record.run_id, record.trial, record.seq, record.due_at, record.sent_at) == (
        STAMP.run_id,
        STAMP.trial,
        STAMP.seq,
        STAMP.due_at,
        STAMP.sent_at,
    )
    assert (record.outcome, record.exception, record.attempt) == (Outcome.SUCCEEDED, "", 1)
    assert record.received_at == 11.0
    assert record.finished_at >= record.started_at
    assert (record.pid, record.thread_id) == (os.getpid(), threading.get_native_id())


@pytest.mark.parametrize(
    ("state", "outcome", "exception"),
    [
        ("FAILURE", Outcome.FAILED, "ValueError"),
        ("RETRY", Outcome.RETRIED, ""),
        ("IGNORED", Outcome.IGNORED, ""),
        ("REJECTED", Outcome.REJECTED, ""),
    ],
)
def test_a_job_that_does_not_succeed_leaves_a_record_with_its_outcome(shipper, state, outcome, exception):
    run(lambda: ended(state, ValueError("no")), request_of(retries=2))
    (record,) = shipper.records
    assert (record.outcome, record.exception, record.attempt) == (outcome, exception, 3)


def test_an_error_of_the_tracer_itself_is_recorded_and_raised(shipper):
    with pytest.raises(SystemExit):
        run(lambda: exec("raise SystemExit"), request_of())
    assert [record.exception for record in shipper.records] == ["SystemExit"]


def test_a_child_process_that_ends_itself_leaves_the_record_to_the_main_process(shipper, monkeypatch):
    monkeypatch.setattr(stamping, "_node_pid", os.getpid() + 1)
    with pytest.raises(SystemExit):
        run(lambda: exec("raise SystemExit"), request_of())
    assert shipper.records == []


@pytest.mark.parametrize("request_", [None, {}, {"id": "job"}])
def test_a_job_without_a_stamp_leaves_no_record(shipper, request_):
    answer = ended()
    assert run(lambda: answer, request_) is answer
    assert shipper.records == []


@pytest.mark.parametrize(("info", "redelivered"), [(None, False), ({}, False), ({"redelivered": True}, True)])
def test_a_redelivered_job_is_known_as_such(shipper, info, redelivered):
    run(ended, request_of(delivery_info=info))
    assert [record.redelivered for record in shipper.records] == [redelivered]


def test_a_job_that_a_stamped_job_sends_carries_its_stamp_on(shipper):
    headers = {"id": "child"}

    def send():
        stamping._on_publish(headers=headers)
        return ended()

    run(send, request_of())
    run_id, trial, seq, due_at, sent_at = headers[CHILD_HEADER]
    assert (run_id, trial, seq, due_at) == (STAMP.run_id, STAMP.trial, STAMP.seq, STAMP.due_at)
    assert sent_at > STAMP.sent_at
    assert [record.started for record in shipper.records] == [1]
    run(ended, {"id": "child", "hostname": "threads@host", **headers})
    assert [record.child for record in shipper.records] == [False, True]


def test_a_retry_of_a_job_is_no_child_of_it(shipper):
    headers = {"id": "job"}

    def retry():
        stamping._on_publish(headers=headers)
        return ended("RETRY")

    run(retry, request_of())
    assert headers == {"id": "job"}
    assert [record.started for record in shipper.records] == [0]


def handing_on(headers):
    """The work of a task that ends with `self.replace`."""

    def work():
        stamping._on_publish(headers=headers)
        return ended("IGNORED")

    return work


def test_a_job_that_is_replaced_by_a_task_goes_on_as_the_same_job(shipper):
    headers = {"id": "job", "replaced_task_nesting": 1}
    run(handing_on(headers), request_of())
    run(ended, {"hostname": "threads@host", **headers})
    assert [record.outcome for record in shipper.records] == [Outcome.RETRIED, Outcome.SUCCEEDED]
    assert {(record.seq, record.child) for record in shipper.records} == {(STAMP.seq, False)}


def test_a_child_that_is_replaced_goes_on_as_a_child(shipper):
    headers = {"id": "job", "replaced_task_nesting": 2}
    request = {"id": "job", "hostname": "threads@host", CHILD_HEADER: STAMP.to_header(), "replaced_task_nesting": 1}
    run(handing_on(headers), request)
    assert headers[CHILD_HEADER] == STAMP.to_header()
    assert HEADER not in headers


def test_a_job_that_is_replaced_by_several_has_ended_and_they_are_its_children(shipper):
    headers = {"id": "first of a chain", "replaced_task_nesting": 1}
    run(handing_on(headers), request_of())
    run(ended, {"hostname": "threads@host", **headers})
    assert [(record.outcome, record.child) for record in shipper.records] == [
        (Outcome.SUCCEEDED, False),
        (Outcome.SUCCEEDED, True),
    ]


def test_a_job_that_its_author_ignores_stays_ignored_whatever_it_sent(shipper):
    run(handing_on({"id": "another"}), request_of())
    assert [record.outcome for record in shipper.records] == [Outcome.IGNORED]


def test_outside_of_a_stamped_job_nothing_is_passed_on(shipper):
    headers = {"id": "other"}
    run(ended, request_of())
    stamping._on_publish(headers=headers)
    run(lambda: stamping._on_publish(headers=headers) or ended(), {"id": "job"})
    assert headers == {"id": "other"}


def test_a_task_that_is_called_in_the_slot_of_another_gives_the_slot_back(shipper):
    """What the inner job sends is its own; what the outer sends afterwards is the outer's again."""
    inner, outer = {"id": "of the inner"}, {"id": "of the outer"}
    other = Stamp(run_id=STAMP.run_id, trial=3, seq=8, due_at=20.0, sent_at=20.5)

    def call():
        run(
            lambda: stamping._on_publish(headers=inner) or ended(),
            request_of(id="inner", **{HEADER: other.to_header()}),
        )
        stamping._on_publish(headers=outer)
        return ended()

    run(call, request_of(id="outer"))
    assert (inner[CHILD_HEADER][2], outer[CHILD_HEADER][2]) == (other.seq, STAMP.seq)


class Request:
    """The part of Celery's Request that a stamped one builds on."""

    hostname = "prefork@host"
    app = APP
    time_start = 12.0
    worker_pid = 4711

    def __init__(self, message, **_):
        self._request_dict = message
        self._already_revoked = self._already_cancelled = False
        self.failures = 0

    def on_failure(self, *_, **__):
        self.failures += 1


def failure(error):
    return SimpleNamespace(exception=SimpleNamespace(exc=error))


@pytest.fixture
def stamped(shipper):
    return stamping.stamped(Request)({"id": "job", HEADER: STAMP.to_header()})


def test_a_request_notes_when_its_message_came(stamped):
    assert stamped._request_dict[RECEIVED] > STAMP.sent_at
    assert stamping.stamped(Request)({"id": "job"})._request_dict == {"id": "job"}


def test_the_end_of_a_slot_that_cannot_report_it_is_recorded_by_the_request(stamped, shipper):
    stamped.on_failure(failure(ChildProcessError("killed")))
    (record,) = shipper.records
    assert (record.outcome, record.exception, record.pid) == (Outcome.FAILED, "ChildProcessError", 4711)
    assert record.started_at == 12.0
    assert math.isnan(record.cpu_s)
    assert stamped.failures == 1


def test_a_failure_that_the_slot_reported_has_one_record(stamped, shipper):
    stamped.on_failure(failure(ValueError("no")), return_ok=True)
    assert (shipper.records, stamped.failures) == ([], 1)


@pytest.mark.parametrize("flag", ["_already_revoked", "_already_cancelled"])
def test_a_revoked_or_cancelled_job_is_not_recorded_as_failed(stamped, shipper, flag):
    setattr(stamped, flag, True)
    stamped.on_failure(failure(ValueError("no")))
    assert (shipper.records, stamped.failures) == ([], 1)


def test_a_terminated_job_is_recorded_once_as_revoked(stamped, shipper):
    stamped.on_failure(failure(Terminated(15)))
    assert shipper.records == []


class Revoked(dict):
    """A request that a node revokes, as the signal passes it."""

    retries = 0
    hostname = "prefork@host"


@pytest.mark.parametrize(("header", "child"), [(HEADER, False), (CHILD_HEADER, True)])
def test_a_revoked_job_is_recorded_and_never_started(shipper, header, child):
    sender = SimpleNamespace(app=APP)
    stamping._on_revoked(sender, Revoked({header: STAMP.to_header(), RECEIVED: 11.0}))
    stamping._on_revoked(sender, Revoked())
    (record,) = shipper.records
    assert (record.outcome, record.child, record.received_at) == (Outcome.REVOKED, child, 11.0)
    assert math.isnan(record.started_at)


@pytest.mark.parametrize("name", POOLS)
def test_a_pool_has_the_name_that_celery_takes(name):
    assert stamping.pool_name(get_implementation(name)) == name


def test_flags_fit_the_contract():
    assert stamping._flags({HEADER: [], "delivery_info": {"redelivered": True}}) & FLAG_REDELIVERED
    assert stamping._flags({CHILD_HEADER: []}) & FLAG_CHILD
    assert not stamping._flags({HEADER: []}) & (FLAG_REDELIVERED | FLAG_CHILD)


def test_the_jobs_that_a_job_starts_are_counted_in_its_request():
    request = request_of()
    stamping._at_work.job = request
    try:
        stamping._on_publish(headers={"id": "a"})
        stamping._on_publish(headers={"id": "b"})
    finally:
        stamping._at_work.job = None
    assert request[STARTED] == 2

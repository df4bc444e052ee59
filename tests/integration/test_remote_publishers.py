"""Publishers of other hosts share one plan and make one ledger; who is gone is noticed on both sides."""

import secrets
import threading
from contextlib import contextmanager

import pytest
from integration.commands import until

from producer.errors import FleetError
from producer.fleet.lease import FleetLease
from producer.measure import publishing_keys as keys
from producer.measure.order import Order
from producer.measure.publisher_service import PublisherService
from producer.measure.remote_publishers import RemotePublishers
from producer.plan.arrivals import backlog, constant
from producer.plan.jobs import Call

JOBS = 31


@contextmanager
def publisher(site, name):
    """A publisher as the command runs it."""
    service = PublisherService(site.app, name)
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        yield service
    finally:
        service.stop()
        thread.join()


@pytest.fixture
def leased(site):
    """A run that has the lease of the fleet."""
    run_id = secrets.token_hex(8)
    lease = FleetLease(site.app, run_id)
    lease.take()
    yield run_id
    lease.release()


def an_order(run_id, plan, trial=1):
    return Order(run_id=run_id, trial=trial, calls=(Call("foreign.ok"),), queue=f"remote.{run_id}", plan=plan)


def test_each_sends_its_share_and_the_ledger_has_every_job_once(site, leased):
    with (
        publisher(site, "a"),
        publisher(site, "b"),
        publisher(site, "c"),
        RemotePublishers(site.app, leased, 3) as three,
    ):
        order = an_order(leased, backlog(JOBS))
        start_at = three.begin(order)
        ledger = three.ledger()
        assert ledger["seq"].to_list() == list(range(JOBS))
        assert ledger["due_at"].to_list() == [start_at] * JOBS
        assert ledger["accepted_at"].null_count() == 0
        assert site.client.llen(order.queue) == JOBS
        assert three.progress() == (JOBS, 0)
        # Jobs may take hours after they were sent, and only then is the ledger asked for.
        assert site.client.ttl(keys.counts(leased)) > 3_600
        assert set(three.clocks) == {"a", "b", "c"}
        # The next order begins its count anew.
        three.begin(an_order(leased, backlog(2), trial=2))
        assert three.ledger().height == 2
        assert three.progress() == (2, 0)
    assert not list(site.client.scan_iter("poolrace.publisher*"))
    assert not site.client.exists(keys.answers(leased), keys.counts(leased), *map(keys.orders, "abc"))


def test_a_revised_order_replaces_the_rest_of_the_one_that_is_sent(site, leased):
    with publisher(site, "a"), publisher(site, "b"), RemotePublishers(site.app, leased, 2) as both:
        order = an_order(leased, constant(1.0, 3600.0))
        open_order = Order(**{**{name: getattr(order, name) for name in order.__slots__}, "open_s": 2.0})
        both.begin(open_order)
        both.revise(Order(**{**{name: getattr(order, name) for name in order.__slots__}, "plan": constant(4.0, 2.0)}))
        assert both.ledger().height == 8


def test_a_run_that_is_gone_is_sent_no_more_jobs(site):
    run_id = secrets.token_hex(8)
    lease = FleetLease(site.app, run_id)
    lease.take()
    said = []
    with publisher(site, "a") as service:
        service._on_order = said.append
        with RemotePublishers(site.app, run_id, 1) as alone:
            alone.begin(an_order(run_id, constant(20.0, 3600.0)))
            until(lambda: alone.progress()[0] > 0)
            lease.release()
            until(lambda: said and "is gone" in said[-1])
            sent = alone.progress()
        # It serves the next run.
        lease.take()
        with RemotePublishers(site.app, run_id, 1) as alone:
            alone.begin(an_order(run_id, backlog(3), trial=2))
            assert alone.ledger().height == 3
        assert sent[0] < 72_000
    lease.release()


def test_a_publisher_that_dies_ends_the_run(site, leased, monkeypatch):
    monkeypatch.setattr(keys, "ALIVE_S", 1)
    with publisher(site, "a") as service:
        with RemotePublishers(site.app, leased, 1) as alone:
            alone.begin(an_order(leased, constant(1.0, 3600.0)))
            service.stop()
            with pytest.raises(FleetError, match="No word from a any more"):
                until(lambda: alone.progress() is None)


@pytest.mark.parametrize(
    ("expected", "said"), [(2, "only 1 on that broker: a"), (0, "1 publishers are on that broker")]
)
def test_more_or_fewer_than_were_asked_for_are_named(site, leased, monkeypatch, expected, said):
    monkeypatch.setattr("producer.measure.remote_publishers.FIND_S", 0.2)
    with publisher(site, "a"):
        until(lambda: site.client.exists(keys.alive("a")))
        with pytest.raises(FleetError, match=said), RemotePublishers(site.app, leased, expected):
            pass


def test_a_publisher_that_loses_its_broker_says_so(site, leased, monkeypatch):
    service = PublisherService(site.app, "a")
    monkeypatch.setattr(service, "_listen", _lose_the_broker)
    with pytest.raises(FleetError, match="lost on purpose"):
        service.run()


def _lose_the_broker(_client):
    raise ConnectionError("lost on purpose")


def test_another_version_is_refused(site, leased):
    site.client.set(keys.alive("old"), '{"host": "h", "pid": 1, "poolrace": "0.0.1"}', ex=60)
    site.client.sadd(keys.ALL, "old")
    with pytest.raises(FleetError, match=r"old has 0\.0\.1"), RemotePublishers(site.app, leased, 1):
        pass
    site.client.delete(keys.alive("old"), keys.ALL)

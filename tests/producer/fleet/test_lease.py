"""One run at a time measures on a fleet: who has the lease keeps it, and who does not is refused."""

import pytest

from producer.errors import FleetError
from producer.fleet import lease
from producer.fleet.lease import EXPIRES_S, LEASE_KEY, RENEW_EVERY_S, FleetLease


class Broker:
    """Keys that expire, as Redis has them, by a clock that only a test moves."""

    def __init__(self):
        self.now_s = 1000.0
        self.keys = {}
        self.sets = 0

    def set(self, key, value, *, ex, nx=False):
        if nx and self.exists(key):
            return None
        self.sets += 1
        self.keys[key] = (value.encode(), self.now_s + ex)
        return True

    def get(self, key):
        return self.keys[key][0] if self.exists(key) else None

    def exists(self, key):
        return int(key in self.keys and self.keys[key][1] > self.now_s)

    def delete(self, key):
        del self.keys[key]


class App:
    """An app with one connection to a broker; what is not a Redis has no client."""

    def __init__(self, client):
        self.connection = Connection(client)

    def connection_for_write(self):
        return self.connection


class Connection:
    def __init__(self, client):
        self.default_channel = type("Channel", (), {"client": client})()
        self.released = False

    def release(self):
        self.released = True


@pytest.fixture
def broker(monkeypatch):
    broker = Broker()
    monkeypatch.setattr(lease.time, "monotonic", lambda: broker.now_s)
    return broker


@pytest.fixture
def lease_of(broker):
    return lambda run_id: FleetLease(App(broker), run_id)


def test_a_fleet_that_nobody_has_is_taken_and_seen_to_be(lease_of):
    ours, live_load = lease_of("ours"), lease_of("live")
    assert not live_load.taken()
    ours.take()
    assert live_load.taken()


def test_another_run_is_refused_with_when_to_try_again(lease_of):
    lease_of("ours").take()
    with pytest.raises(FleetError, match=r"^Another run measures on this fleet\..* within 20 s\.$"):
        lease_of("theirs").take()


def test_a_lease_that_is_not_renewed_expires(lease_of, broker):
    lease_of("killed").take()
    broker.now_s += EXPIRES_S + 0.1
    lease_of("theirs").take()
    assert broker.get(LEASE_KEY) == b"theirs"


def test_a_lease_that_is_renewed_does_not_expire(lease_of, broker):
    ours = lease_of("ours")
    ours.take()
    for _ in range(10 * EXPIRES_S):
        broker.now_s += 1.0
        ours.renew()
        assert broker.get(LEASE_KEY) == b"ours"
    with pytest.raises(FleetError):
        lease_of("theirs").take()


def test_renewing_writes_every_few_seconds_however_often_it_is_called(lease_of, broker):
    ours = lease_of("ours")
    ours.take()
    before = broker.sets
    for _ in range(200):  # twenty seconds
        broker.now_s += 0.1
        ours.renew()
    assert broker.sets - before == pytest.approx(20 / RENEW_EVERY_S, abs=1)


def test_a_fleet_that_was_given_back_can_be_taken(lease_of):
    ours = lease_of("ours")
    ours.take()
    ours.release()
    theirs = lease_of("theirs")
    assert not theirs.taken()
    theirs.take()
    assert theirs.taken()


def test_who_lost_the_lease_leaves_it_to_who_has_it(lease_of, broker):
    """A run that hung for longer than its lease, and ends while another measures."""
    hung = lease_of("hung")
    hung.take()
    broker.now_s += EXPIRES_S + 0.1
    lease_of("theirs").take()
    hung.release()
    assert broker.get(LEASE_KEY) == b"theirs"


def test_the_connection_is_given_back_in_any_case(broker):
    app = App(broker)
    FleetLease(app, "ours").release()
    assert app.connection.released


@pytest.mark.parametrize("client", [None, object()], ids=["no client", "no Redis"])
def test_on_a_broker_without_keys_there_is_nothing_to_take(client):
    app = App(client)
    ours, theirs = FleetLease(app, "ours"), FleetLease(app, "theirs")
    ours.take()
    ours.renew()
    theirs.take()  # is not refused: nobody can know of the other
    assert not theirs.taken()
    ours.release()
    assert app.connection.released

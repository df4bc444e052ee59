"""Settings of the running load: kept on the broker, changed in part, and the default where there are none."""

from types import SimpleNamespace

import pytest

from producer.errors import FleetError, UsageError
from producer.stack.live_settings import SETTINGS_KEY, LiveSettings, LiveSettingsStore, parse_live_rate

DEFAULT = LiveSettings(rate_per_s=2.0, mix={"cpu": 1.0, "io": 3.0})


class Redis(dict):
    """A Redis client, as far as settings need one."""

    set = dict.__setitem__


def store(client):
    connection = SimpleNamespace(default_channel=SimpleNamespace(client=client))
    return LiveSettingsStore(SimpleNamespace(connection_for_write=lambda: connection), DEFAULT)


def test_where_there_are_none_the_default_is_in_force():
    assert store(Redis()).read() == DEFAULT


def test_a_change_leaves_the_rest_and_is_read_by_others():
    client = Redis()
    assert store(client).change(paused=True) == LiveSettings(rate_per_s=2.0, mix=DEFAULT.mix, paused=True)
    assert store(client).change(rate_per_s=9.0, mix={"io": 1.0}) == store(client).read()
    assert store(client).read() == LiveSettings(rate_per_s=9.0, mix={"io": 1.0}, paused=True)
    assert list(client) == [SETTINGS_KEY]


def test_a_broker_without_keys_is_refused():
    with pytest.raises(FleetError, match="takes its settings from a Redis broker"):
        store(None).read()


@pytest.mark.parametrize(("text", "rate"), [("2/s", 2.0), ("30/m", 0.5), ("500", 500.0)])
def test_a_gentle_rate_is_read(text, rate):
    assert parse_live_rate(text, "--rate") == rate


@pytest.mark.parametrize("text", ["0/s", "501/s", "fast"])
def test_a_rate_that_is_not_gentle_is_refused(text):
    with pytest.raises(UsageError, match=rf"--rate '{text}': must be a rate above 0 and up to 500/s"):
        parse_live_rate(text, "--rate")

"""What switches an app to the atomic transport is told as data, and understood again."""

import importlib

import pytest

from poolrace.transport_setting import PATH, SETTING, TRANSPORTS, flags, setting, supports, transport_of


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_switches_an_app_says_which_transport_it_has(transport):
    assert transport_of(setting(transport).get(SETTING)) == transport


def test_the_path_leads_to_the_transport_that_tells_its_name():
    module, _, name = PATH.partition(":")
    assert getattr(importlib.import_module(module), name).kind == "atomic"


@pytest.mark.parametrize("value", [None, "", "redis", "amqp", "kombu.transport.redis:Transport"])
def test_any_other_value_of_the_setting_is_not_ours(value):
    assert transport_of(value) == "stock"


def test_behind_sentinel_it_is_the_atomic_transport_as_well():
    assert transport_of("poolrace.transport:SentinelTransport") == "atomic"


def test_kombus_own_transport_needs_nothing_on_the_command_line():
    assert flags("stock") == []
    assert flags("atomic") == ["broker_transport=poolrace.transport:Transport"]


@pytest.mark.parametrize(
    ("url", "spoken"),
    [("redis://host/0", True), ("rediss://host/0", True), ("redis://a/0;redis://b/0", True),
     ("redis://a/0;amqp://b//", False), ("amqp://host//", False), ("redis+socket:///run/broker.sock", False),
     ("sentinel://host:26379", False), ("memory://", False)],
)  # fmt: skip
def test_a_broker_is_spoken_to_if_kombu_heeds_the_setting_with_its_url(url, spoken):
    assert supports(url) is spoken

"""The setting that switches an app to the atomic transport can be written and read back."""

import importlib

import pytest

from poolrace.transport_setting import PATH, SETTING, TRANSPORTS, flags, setting, supports, transport_of


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_setting_of_a_transport_is_read_back_as_that_transport(transport):
    assert transport_of(setting(transport).get(SETTING)) == transport


def test_the_path_leads_to_the_transport_that_reports_its_name():
    module, _, name = PATH.partition(":")
    assert getattr(importlib.import_module(module), name).kind == "atomic"


@pytest.mark.parametrize("value", [None, "", "redis", "amqp", "kombu.transport.redis:Transport"])
def test_any_other_value_of_the_setting_is_not_the_atomic_transport(value):
    assert transport_of(value) == "stock"


def test_behind_sentinel_it_is_the_atomic_transport_as_well():
    assert transport_of("poolrace.transport:SentinelTransport") == "atomic"


@pytest.mark.parametrize("url", ["sentinel://a:26379", "sentinel://:secret@a:1/0;sentinel://:secret@b:2/0"])
def test_behind_sentinel_the_setting_is_another_whose_path_leads_to_that_transport(url):
    (value,) = setting("atomic", url).values()
    module, _, name = value.partition(":")
    assert getattr(importlib.import_module(module), name).__name__ == "SentinelTransport"
    assert transport_of(value) == "atomic"
    assert setting("stock", url) == {}


def test_kombus_own_transport_needs_nothing_on_the_command_line():
    assert flags("stock") == []
    assert flags("atomic") == ["broker_transport=poolrace.transport:Transport"]


@pytest.mark.parametrize(
    ("url", "supported"),
    [
        ("redis://host/0", True),
        ("rediss://host/0", True),
        ("redis://a/0;redis://b/0", True),
        ("redis://a/0;amqp://b//", False),
        ("amqp://host//", False),
        ("redis+socket:///run/broker.sock", False),
        ("sentinel://host:26379", False),
        ("memory://", False),
    ],
)
def test_a_broker_is_supported_if_kombu_heeds_the_setting_with_its_url(url, supported):
    assert supports(url) is supported

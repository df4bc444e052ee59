"""Where it can be put in, and that it can be taken out."""

import pytest
from celery import Celery
from celery.backends import redis
from celery.backends.redis import RedisBackend, SentinelBackend

from poolrace import results
from poolrace.results.backend import Backend
from poolrace.results.backend import SentinelBackend as OurSentinelBackend

URLS = {
    "redis://127.0.0.1:1/0": (RedisBackend, Backend),
    "rediss://127.0.0.1:1/0?ssl_cert_reqs=none": (RedisBackend, Backend),
    "redis+socket:///nowhere": (RedisBackend, Backend),
    "sentinel://127.0.0.1:1": (SentinelBackend, OurSentinelBackend),
}


@pytest.fixture(autouse=True)
def taken_out():
    yield
    results.uninstall()


@pytest.mark.parametrize(("url", "kinds"), URLS.items())
def test_a_backend_is_celerys_before_and_after_and_ours_between(url, kinds):
    celerys, ours = kinds
    app = Celery(backend=url, set_as_current=False)
    app.conf.result_backend_transport_options = {"master_name": "shop"}
    assert type(app.backend) is celerys
    results.install()
    assert results.is_installed()
    assert type(app.backend) is ours
    results.uninstall()
    assert not results.is_installed()
    assert type(app.backend) is celerys


def test_other_backends_are_left_alone():
    app = Celery(backend="rpc://", set_as_current=False)
    before = type(app.backend)
    results.install()
    assert type(app.backend) is before


def test_a_celery_without_a_name_that_it_needs_is_refused_with_that_name(monkeypatch):
    monkeypatch.delattr(redis.RedisBackend, "ensure")
    with pytest.raises(ImportError, match=r"poolrace\.results needs Celery .* lacks RedisBackend\.ensure"):
        results.install()
    assert not results.is_installed()

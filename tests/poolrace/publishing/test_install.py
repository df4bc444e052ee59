"""Where it can be put in, and that it can be taken out."""

import pytest
from celery import Celery, group
from celery.app.task import Task
from kombu.transport import redis

from poolrace import publishing


@pytest.fixture
def app():
    made = Celery("shop", broker="redis://127.0.0.1:1/0", set_as_current=False)
    yield made
    publishing.uninstall(made)


def test_celery_is_as_it_was_once_the_last_app_has_it_no_more(app):
    before = Task.apply_async, group.apply_async, app.send_task
    publishing.install(app)
    publishing.install(app)  # again, with other words perhaps
    assert not set(before) & {Task.apply_async, group.apply_async, app.send_task}
    publishing.uninstall(app)
    publishing.uninstall(app)
    assert before == (Task.apply_async, group.apply_async, app.send_task)


def test_another_broker_is_refused_with_what_would_do():
    with pytest.raises(ValueError, match=r"needs a Redis broker \(redis://, rediss://, sentinel://\), not memory"):
        publishing.install(Celery(broker="memory://", set_as_current=False))


def test_a_kombu_without_a_name_that_it_needs_is_refused_with_that_name(app, monkeypatch):
    monkeypatch.delattr(redis.Channel, "_q_for_pri")
    with pytest.raises(ImportError, match=r"poolrace\.publishing needs kombu .* lacks Channel\._q_for_pri"):
        publishing.install(app)


def test_durable_needs_confirmed(app):
    with pytest.raises(ValueError, match="durable=True needs confirmed=True"):
        publishing.install(app, durable=True)


def test_an_app_without_it_is_told_how_to_get_it(app):
    with pytest.raises(LookupError, match=r"publishing\.install\(app\) first"):
        publishing.flush(app)
    with pytest.raises(LookupError, match=r"publishing\.install\(app\) first"), publishing.promise(app):
        raise AssertionError("not entered")

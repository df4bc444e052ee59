"""A job is the message that the app would send, with its signals, base classes, options, links and chains."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import pytest
from celery import Celery, Task, chain, chord, group, signals

from poolrace.ownapp import redirect
from poolrace.ownapp.messages import MessageMaker
from poolrace.ownapp.redirect import OwnAppError, Redirect, redirect_app

RACE = Redirect(app="shop", broker_url="redis://127.0.0.1:9/0", queue="lane", acks="own", queues=("images",))


class Tenant(Task):
    """A base class that adds to each job what its sender knows."""

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        return super().apply_async(args, {**(kwargs or {}), "tenant": "a"}, **options)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Celery:
    """An app that a run has been pointed at, with nobody at its broker's and its backend's address."""
    monkeypatch.setattr(redirect.stamping, "attach", [].append)
    app = Celery("shop", broker=RACE.broker_url, backend=RACE.broker_url, set_as_current=False)
    app.conf.task_default_priority = 4

    @app.task(name="shop.resize", shared=False)
    def resize(width: int, height: int = 100) -> None:
        """Resize a picture."""

    @app.task(name="shop.mail", base=Tenant, shared=False)
    def mail(address: str, tenant: str = "") -> None:
        """Send a mail."""

    @app.task(name="shop.brief", expires=30, time_limit=9, soft_time_limit=8, shared=False)
    def brief() -> None:
        """Do what is worth doing for half a minute."""

    redirect_app(app, RACE)
    return app


def made(app: Celery, signature: Any, **others: Any) -> dict[str, Any]:
    """Return the message of a signature."""
    return MessageMaker(app).message({"signature": signature, "line": "line 1", **others})


def body_of(message: dict[str, Any]) -> Any:
    return json.loads(base64.b64decode(message["body"]))


def test_a_line_of_a_job_file_is_sent_by_its_task(shop: Celery) -> None:
    message = MessageMaker(shop).message({"task": "shop.resize", "args": [640], "line": "line 1", "weight": 2})
    assert body_of(message)[:2] == [[640], {}]
    assert (message["task"], message["weight"], message["queue"]) == ("shop.resize", 2, "")


def test_what_the_apply_async_of_a_base_class_adds_is_in_it(shop: Celery) -> None:
    assert body_of(made(shop, shop.tasks["shop.mail"].s("Ann")))[:2] == [["Ann"], {"tenant": "a"}]


def test_what_a_publish_signal_adds_is_in_it(shop: Celery) -> None:
    def add(headers: dict[str, Any], **_: Any) -> None:
        headers["trace"] = "7"

    signals.before_task_publish.connect(add)
    try:
        assert made(shop, shop.tasks["shop.resize"].s(640))["headers"]["trace"] == "7"
    finally:
        signals.before_task_publish.disconnect(add)


def test_options_of_a_task_are_in_it_and_its_end_counts_from_when_it_will_be_sent(shop: Celery) -> None:
    message = made(shop, shop.tasks["shop.brief"].s())
    assert message["priority"] == 4
    assert message["headers"]["timelimit"] == [9, 8]
    assert message["headers"]["expires"] is None
    assert message["expires_s"] == pytest.approx(30, abs=2)


def test_options_of_a_signature_are_in_it(shop: Celery) -> None:
    signature = shop.tasks["shop.resize"].s(640).set(queue="images", priority=7, headers={"tenant": "a"}, expires=60)
    message = made(shop, signature)
    assert (message["queue"], message["priority"], message["headers"]["tenant"]) == ("images", 7, "a")
    assert message["expires_s"] == pytest.approx(60, abs=2)


@pytest.mark.parametrize(("said", "by_task"), [({}, True), ({"ignore_result": True}, False)])
def test_a_message_says_whether_its_task_or_its_call_decides_about_the_result(
    shop: Celery, said: dict[str, bool], by_task: bool
) -> None:
    message = made(shop, shop.tasks["shop.resize"].s(640).set(**said))
    assert message["headers"]["ignore_result"] is bool(said)
    assert message["results_by_task"] is by_task


@pytest.mark.parametrize("compression", ["zlib", "gzip", "bzip2"])
def test_a_message_is_compressed_as_the_app_says(shop: Celery, compression: str) -> None:
    shop.conf.task_compression = compression
    message = made(shop, shop.tasks["shop.resize"].s(640))
    assert message["headers"]["compression"].startswith("application/")
    assert not message["text"]
    if compression == "zlib":
        assert json.loads(zlib.decompress(base64.b64decode(message["body"])))[0] == [640]


def test_a_link_is_in_its_body(shop: Celery) -> None:
    signature = shop.tasks["shop.resize"].s(640).set(link=shop.tasks["shop.mail"].si("Ann"))
    assert [each["task"] for each in body_of(made(shop, signature))[2]["callbacks"]] == ["shop.mail"]


def test_a_chain_is_its_first_task_with_the_rest_in_its_body(shop: Celery) -> None:
    steps = chain(shop.tasks["shop.resize"].si(640), shop.tasks["shop.mail"].si("Ann"), app=shop)
    message = made(shop, steps)
    assert message["task"] == "shop.resize"
    assert [each["task"] for each in body_of(message)[2]["chain"]] == ["shop.mail"]


def test_a_recorded_line_has_its_options_and_what_follows_it(shop: Celery) -> None:
    line = {
        "task": "shop.resize", "args": [640], "line": "line 1", "priority": 9, "expires": 60, "time_limit": 5,
        "link": [{"task": "shop.mail", "args": ["Ann"], "immutable": True}],
        "chain": [{"task": "shop.brief", "options": {"queue": "images"}}],
    }  # fmt: skip
    message = MessageMaker(shop).message(line)
    embed = body_of(message)[2]
    assert (message["priority"], message["headers"]["timelimit"][0]) == (9, 5)
    assert message["expires_s"] == pytest.approx(60, abs=2)
    assert [(each["task"], each["args"]) for each in embed["callbacks"]] == [("shop.mail", ["Ann"])]
    assert [(each["task"], each["options"]) for each in embed["chain"]] == [("shop.brief", {"queue": "images"})]


def test_what_follows_must_be_a_task_of_the_app(shop: Celery) -> None:
    with pytest.raises(OwnAppError, match=r"line 1 shop\.other: the app registers no such task"):
        MessageMaker(shop).message({"task": "shop.resize", "line": "line 1", "link": [{"task": "shop.other"}]})


def test_several_jobs_at_once_are_refused(shop: Celery) -> None:
    resize = shop.tasks["shop.resize"]
    for several in (group(resize.si(1), resize.si(2), app=shop), chord([resize.si(1)], resize.si(2), app=shop)):
        with pytest.raises(OwnAppError, match=r"line 1: a (group|chord) is several jobs"):
            made(shop, several)


@pytest.mark.parametrize("option", [{"countdown": 600}, {"eta": "2026-12-01T00:00:00"}])
def test_a_job_that_is_to_run_later_is_refused(shop: Celery, option: dict[str, Any]) -> None:
    with pytest.raises(OwnAppError, match=rf"line 1: shop\.resize is to run later \({next(iter(option))}\)"):
        made(shop, shop.tasks["shop.resize"].s(640).set(**option))


def test_a_task_that_sends_nothing_is_refused(shop: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tenant, "apply_async", lambda *_, **__: None)
    with pytest.raises(OwnAppError, match=r"shop\.mail sends 0 messages for one job"):
        made(shop, shop.tasks["shop.mail"].s("Ann"))


def test_nothing_reaches_a_broker_or_a_backend(shop: Celery) -> None:
    # Nobody listens at their address, so that a connection would fail.
    assert len([made(shop, shop.tasks["shop.resize"].s(number)) for number in range(20)]) == 20

"""A message that a plan makes is the one that Celery makes, whatever the task, its options and its arguments."""

import datetime
import json
from base64 import b64decode

import pytest
from celery import Celery, chain, chord, group
from celery.app.task import Task
from hypothesis import assume, given
from hypothesis import strategies as st
from kombu.utils.json import dumps

from poolrace.publishing.options import are_carried, embedded, further, kind_of
from poolrace.publishing.plan import Printing, UnfitMessageError, plan_of, printed

PRINTING = Printing(args=1024, kwargs=1024, levels=3)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NOW = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
ARGS = st.lists(VALUES, max_size=4).map(tuple) | st.lists(VALUES, max_size=4)
KWARGS = st.dictionaries(st.text(min_size=1), VALUES, max_size=3)


def charge(*args, **kwargs):
    """Never called."""


class Shop:
    """An app whose messages are recorded in place of being sent."""

    def __init__(self, **settings):
        self.app = Celery("shop", broker="memory://", set_as_current=False)
        self.app.conf.update(settings)
        self.app.now = lambda: NOW
        self.charge = self.app.task(name="shop.charge", shared=False, typing=False)(charge)

    def made(self, args=(), kwargs=None, **options):
        """The message that Celery makes of a call, and the queue that it goes to."""
        recorded = []
        with self.app.connection_for_write() as connection:
            channel = connection.channel()
            channel._put = lambda queue, message, **_: recorded.append((queue, message))
            producer = self.app.amqp.Producer(channel, auto_declare=False)
            self.charge.apply_async(args, kwargs or {}, producer=producer, **options)
        ((queue, message),) = recorded
        return queue, message


@pytest.fixture(scope="module")
def shop():
    return Shop()


def planned(shop, made, **options):
    return plan_of(
        "a list", made, printing=PRINTING, ignore_result=options.get("ignore_result", False),
        further=further(shop.app, options),
    )  # fmt: skip


def by_plan(shop, plan, expected, args, kwargs, **options):
    """The message of a call by a plan, with the ids of the one that Celery has made."""
    properties = expected["properties"]
    return plan.message(
        properties["correlation_id"], properties["delivery_tag"], args, kwargs, properties["reply_to"],
        (options.get("root_id"), options.get("parent_id")), further(shop.app, options),
        embedded(plan.embedded, options),
    )  # fmt: skip


@given(args=ARGS, kwargs=KWARGS)
def test_it_is_the_message_that_celery_makes(shop, args, kwargs):
    plan = planned(shop, shop.made(("of another call",))[1])
    _, expected = shop.made(args, kwargs, task_id="one", ignore_result=False)
    assert by_plan(shop, plan, expected, args, kwargs) == dumps(expected)


def signature(shop, number, **options):
    return shop.charge.s(number).set(**options)


def options_of(shop):
    """Options of calls, among them what follows the task."""
    texts = st.text(min_size=1)
    signatures = st.builds(lambda number, queue: signature(shop, number, queue=queue), VALUES, texts)
    some = signatures | st.lists(signatures, max_size=2)
    instants = st.datetimes(
        NOW.replace(tzinfo=None), datetime.datetime(2030, 1, 1), timezones=st.just(datetime.UTC)
    )  # fmt: skip
    return st.fixed_dictionaries(
        {"task_id": texts, "ignore_result": st.booleans()},
        optional={
            "queue": st.sampled_from(["slow", "fast"]), "priority": st.integers(0, 9),
            "countdown": st.integers(-5, 10**6) | st.floats(0, 1e6), "eta": instants,
            "expires": st.integers(0, 10**6) | st.floats(0, 1e6) | instants,
            "headers": st.dictionaries(texts, VALUES, max_size=3),
            "time_limit": st.integers(1, 99), "soft_time_limit": st.floats(1, 99),
            "shadow": texts, "reply_to": texts, "root_id": texts, "parent_id": texts, "group_id": texts,
            "group_index": st.integers(0), "link": some, "link_error": some,
            "chain": st.lists(signatures, max_size=3), "chord": signatures,
        },
    )  # fmt: skip


@given(data=st.data(), args=ARGS, kwargs=KWARGS)
def test_it_is_with_any_options_the_message_that_celery_makes(shop, data, args, kwargs):
    """The plan is made of another call of the same kind."""
    options = data.draw(options_of(shop))
    others = {
        **options,
        **{name: "other" for name in ("task_id", "shadow", "reply_to", "root_id", "parent_id") if name in options},
        **{name: signature(shop, 0) for name in ("link", "link_error", "chord") if name in options},
        **({"headers": dict.fromkeys(options["headers"], "other")} if "headers" in options else {}),
        **({"expires": 7} if "expires" in options else {}),
        **({"group_id": "other"} if "group_id" in options else {}),
    }
    assume(are_carried(shop.app, options))
    assert kind_of(options) == kind_of(others)
    plan = planned(shop, shop.made(("of another call",), **others)[1], **others)
    _, expected = shop.made(args, kwargs, **options)
    assert by_plan(shop, plan, expected, args, kwargs, **options) == dumps(expected)


@pytest.mark.parametrize(
    "canvas",
    [
        lambda task: group(task.s(number) for number in range(3)),
        lambda task: group(task.s(1, a="b").set(queue="slow", expires=60), task.si(2)),
        lambda task: group(chain(task.s(1), task.s(2)), task.s(3)),
        lambda task: chain(task.s(1), task.s(2), group(task.s(3), task.s(4))),
        lambda task: task.s(1).on_error(task.s()).set(link=[task.s(2), chain(task.s(3), task.s(4))]),
        lambda task: chord([task.s(1), chain(task.s(2), task.s(3))], task.s()),
        lambda task: group(group(task.s(1), task.s(2)), task.s(3)),
    ],
    ids=["group", "options", "chain in a group", "group in a chain", "links", "chord", "group in a group"],
)
def test_each_part_of_a_canvas_is_carried_with_the_message_that_celery_makes(shop, monkeypatch, canvas):
    """What Celery's canvas hands to `apply_async` of a task, of which the first makes the plan."""
    calls = []
    monkeypatch.setattr(shop.app.backend, "set_chord_size", lambda *_: None, raising=False)
    monkeypatch.setattr(shop.app.backend, "apply_chord", lambda *_, **__: None)
    monkeypatch.setattr(shop.app.backend, "add_pending_result", lambda *_, **__: None, raising=False)
    monkeypatch.setattr(
        Task, "apply_async",
        lambda _task, args=None, kwargs=None, **options: calls.append((args, kwargs, options)),
    )  # fmt: skip
    canvas(shop.charge).apply_async()
    monkeypatch.undo()
    assert calls
    for args, kwargs, options in calls:
        said = {name: value for name, value in options.items() if value is not None and name != "producer"}
        said["ignore_result"] = False
        assert are_carried(shop.app, said)
        plan = planned(shop, shop.made(("of another call",), **said)[1], **said)
        _, expected = shop.made(args, kwargs, **said)
        assert by_plan(shop, plan, expected, args, kwargs, **said) == dumps(expected)


def test_a_plan_of_which_celery_makes_another_message_is_known(shop):
    options = {"headers": {"trace": "1"}, "link": signature(shop, 1)}
    _, message = shop.made((1,), None, root_id="root", parent_id="parent", **options)
    plan, filled = planned(shop, message, **options), further(shop.app, options)
    embed = embedded(plan.embedded, options)
    assert plan.makes(message, (1,), None, filled, embed)
    assert not plan.makes(message, (2,), None, filled, embed)
    other = embedded(plan.embedded, {"link": signature(shop, 2)})
    assert not plan.makes(message, (1,), None, filled, other)
    assert not plan.makes(message, (1,), None, {**filled, "headers.trace": '"2"'}, embed)


def test_what_an_argument_says_is_never_taken_for_a_hole(shop):
    plan = planned(shop, shop.made()[1])
    text = plan.message("one", "tag", ("".join(plan.pieces),), {}, "thread")
    args, _, _ = json.loads(b64decode(json.loads(text)["body"]))
    assert args == ["".join(plan.pieces)]


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({"task_serializer": "pickle"}, {}),
        ({"task_compression": "gzip"}, {}),
        ({"task_protocol": 1}, {}),
    ],
    ids=str,
)
def test_a_message_that_differs_between_calls_is_left_to_celery(settings, options):
    shop = Shop(**settings)
    with pytest.raises(UnfitMessageError):
        planned(shop, shop.made(**options)[1])


@pytest.mark.parametrize("name", ["expires", "eta"])
def test_an_instant_that_no_call_has_given_is_left_to_celery(shop, name):
    _, message = shop.made(**{name: NOW})
    with pytest.raises(UnfitMessageError, match=f"header {name} is an instant"):
        planned(shop, message)


@given(value=ARGS | KWARGS, most=st.integers(8, 200))
def test_arguments_are_printed_as_celery_prints_them(value, most):
    from celery.utils.saferepr import saferepr

    assert printed(value, most, 3) == saferepr(value, most, maxlevels=3)


def test_what_json_cannot_hold_is_an_error_of_the_caller(shop):
    with pytest.raises(TypeError, match="not JSON serializable"):
        planned(shop, shop.made()[1]).message("one", "tag", (object(),), {}, "thread")

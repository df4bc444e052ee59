"""A message that a plan makes is the one that Celery makes, whatever the task, its options and its arguments."""

import datetime
import json
from base64 import b64decode

import pytest
from celery import Celery
from hypothesis import given
from hypothesis import strategies as st

from poolrace.publishing.plan import Printing, UnfitMessageError, plan_of, printed

PRINTING = Printing(args=1024, kwargs=1024, levels=3)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ARGS = st.lists(VALUES, max_size=4).map(tuple) | st.lists(VALUES, max_size=4)
KWARGS = st.dictionaries(st.text(min_size=1), VALUES, max_size=3)


def charge(*args, **kwargs):
    """Never called."""


class Shop:
    """An app whose messages are recorded in place of being sent."""

    def __init__(self, **settings):
        self.app = Celery("shop", broker="memory://", set_as_current=False)
        self.app.conf.update(settings)
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
        return queue, json.loads(json.dumps(message))


@pytest.fixture(scope="module")
def shop():
    return Shop()


def planned(shop, made, **options):
    return plan_of("a list", made, printing=PRINTING, ignore_result=options.get("ignore_result", False))


@given(args=ARGS, kwargs=KWARGS)
def test_it_is_the_message_that_celery_makes(shop, args, kwargs):
    plan = planned(shop, shop.made(("of another call",))[1])
    _, expected = shop.made(args, kwargs, task_id="one", ignore_result=False)
    properties = expected["properties"]
    text = plan.message("one", properties["delivery_tag"], args, kwargs, properties["reply_to"])
    assert json.loads(text) == expected


@pytest.mark.parametrize(
    "options",
    [
        {"queue": "slow"},
        {"priority": 7},
        {"ignore_result": True},
        {"root_id": "first", "parent_id": "before"},
        {"task_id": 'quoted " and \\ and é'},
        {"countdown": 5},
        {"eta": datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)},
    ],
    ids=str,
)
def test_options_are_in_it(shop, options):
    options = {"task_id": "one", "ignore_result": False, **options}
    _, expected = shop.made((1,), {"a": "b"}, **options)
    ancestors = options.pop("root_id", None), options.pop("parent_id", None)
    plan = planned(shop, shop.made(**options)[1], **options)
    tag, reply_to = (expected["properties"][name] for name in ("delivery_tag", "reply_to"))
    eta = expected["headers"]["eta"] or ""
    text = plan.message(options["task_id"], tag, (1,), {"a": "b"}, reply_to, ancestors, eta)
    assert json.loads(text) == expected


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
        ({}, {"expires": 5}),
        ({"task_protocol": 1}, {}),
    ],
    ids=str,
)
def test_a_message_that_differs_between_calls_is_left_to_celery(settings, options):
    shop = Shop(**settings)
    with pytest.raises(UnfitMessageError):
        planned(shop, shop.made(**options)[1])


@given(value=ARGS | KWARGS, most=st.integers(8, 200))
def test_arguments_are_printed_as_celery_prints_them(value, most):
    from celery.utils.saferepr import saferepr

    assert printed(value, most, 3) == saferepr(value, most, maxlevels=3)


def test_what_json_cannot_hold_is_an_error_of_the_caller(shop):
    with pytest.raises(TypeError, match="not JSON serializable"):
        planned(shop, shop.made()[1]).message("one", "tag", (object(),), {}, "thread")

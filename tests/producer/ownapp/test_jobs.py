"""What an app's process says of its jobs becomes what publishers send, each task as often as its weights say."""

import base64
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import to_builtins

from producer.ownapp.jobs import DRAWN_MESSAGES, draw_many, jobs_by_task, message_of, short_names
from producer.plan.jobs import Message
from producer.plan.own_app import MIX, OwnApp

FACTS = {"backend_scheme": "", "tasks": ["shop.tasks.resize"]}
names = st.from_regex(r"[a-c]{1,2}(\.[a-c]){0,2}", fullmatch=True)


def made(task="shop.tasks.resize", body=b"[[], {}, {}]", **more):
    """A message as `poolrace.ownapp.introspect` gives it."""
    return {
        "task": task, "line": "jobs.jsonl, line 1", "weight": 1.0, "at": None, "queue": "", "text": True,
        "body": base64.b64encode(body).decode(), "content_type": "application/json", "content_encoding": "utf-8",
        "headers": {"task": task, "lang": "py"}, "reply_to": "", "priority": None, "expires_s": None,
        "results_by_task": True, **more,
    }  # fmt: skip


def own_app(*messages, facts=FACTS, **more):
    jobs = jobs_by_task(messages, timeout_s=60.0, seed=1)
    return OwnApp(
        app="shop.celery:app", folder=Path("/srv/shop"), facts=facts, jobs=jobs, environment={"TOKEN": "secret"},
        timeout_s=60.0, **more,
    )  # fmt: skip


def test_a_task_is_called_by_the_last_part_of_its_name():
    assert short_names(["shop.tasks.resize", "shop.mails.send", "plain"]) == {
        "shop.tasks.resize": "resize",
        "shop.mails.send": "send",
        "plain": "plain",
    }


def test_tasks_that_end_alike_keep_their_full_names_and_others_do_not():
    assert short_names(["shop.images.clean", "shop.mails.clean", "shop.mails.send"]) == {
        "shop.images.clean": "shop.images.clean",
        "shop.mails.clean": "shop.mails.clean",
        "shop.mails.send": "send",
    }


def test_a_task_that_is_named_like_all_together_keeps_its_full_name():
    assert short_names(["audio.mix", "audio.cut"]) == {"audio.mix": "audio.mix", "audio.cut": "cut"}


@given(tasks=st.lists(names, unique=True))
def test_no_two_tasks_are_called_alike(tasks):
    called = short_names(tasks)
    assert list(called) == tasks
    assert len(set(called.values())) == len(tasks)
    assert all(task == name or task.endswith(f".{name}") for task, name in called.items())


def test_a_single_task_is_a_workload_of_its_own_and_no_mix():
    jobs = jobs_by_task([made()], timeout_s=30.0, seed=1)
    (call,) = jobs["resize"].calls
    assert list(jobs) == ["resize"]
    assert (call.task, call.workload, call.message_index) == ("shop.tasks.resize", "resize", (0,))
    assert (jobs["resize"].workload, jobs["resize"].weights, jobs["resize"].timeout_s) == ("resize", (), 30.0)


def test_several_tasks_are_raced_each_alone_and_all_together_last():
    jobs = jobs_by_task([made("shop.a"), made("shop.b"), made("shop.a")], timeout_s=30.0, seed=1)
    assert list(jobs) == ["a", "b", MIX]
    assert [[call.workload for call in each.calls] for each in jobs.values()] == [["a"], ["b"], ["a", "b"]]
    assert jobs[MIX].workload == MIX
    assert [len(call.messages) for call in jobs[MIX].calls] == [2, 1]
    assert {each.timeout_s for each in jobs.values()} == {30.0}


def test_a_tasks_weight_in_the_mix_is_that_of_all_its_jobs():
    # a: 1 + 2.5 = 3.5, b: 0.5; of 4 in all a has 87.5 %.
    app = own_app(made("shop.a", weight=1), made("shop.b", weight=0.5), made("shop.a", weight=2.5))
    assert app.jobs[MIX].weights == (3.5, 0.5)
    assert app.shares == {"a": 0.875, "b": 0.125}
    assert app.tasks == ("a", "b")


def test_the_only_task_has_all_jobs():
    app = own_app(made(weight=3), made(weight=4))
    assert app.shares == {"resize": 1.0}
    assert app.tasks == ("resize",)


@given(weighted=st.lists(st.tuples(names, st.floats(1e-3, 1e6)), min_size=1, max_size=8))
def test_the_shares_of_all_tasks_add_up_to_one(weighted):
    app = own_app(*(made(task, weight=weight) for task, weight in weighted))
    assert sum(app.shares.values()) == pytest.approx(1)
    assert tuple(app.shares) == app.tasks
    assert set(app.tasks) == set(short_names(list(dict.fromkeys(task for task, _ in weighted))).values())


def test_jobs_of_a_task_are_picked_as_often_as_their_weights_say():
    # Of 4,999 picks a half, 3 in 8 and 1 in 8: 2,499.5, 1,874.6 and 624.9; 35 is the most that chance spreads them.
    messages = [made(body=b"[[0]]", weight=4), made(body=b"[[1]]", weight=3), made(body=b"[[2]]", weight=1)]
    (call,) = jobs_by_task(messages, timeout_s=60.0, seed=7)["resize"].calls
    counts = Counter(call.message_index)
    assert len(call.message_index) == DRAWN_MESSAGES == 4_999
    assert [counts[0], counts[1], counts[2]] == pytest.approx([2499.5, 1874.6, 624.9], abs=4 * 35)
    assert [message.body for message in call.messages] == ["[[0]]", "[[1]]", "[[2]]"]


def test_picks_are_the_same_with_the_same_seed_and_others_with_another():
    assert draw_many([1, 2], DRAWN_MESSAGES, 1) == draw_many([1, 2], DRAWN_MESSAGES, 1)
    assert draw_many([1, 2], DRAWN_MESSAGES, 1) != draw_many([1, 2], DRAWN_MESSAGES, 2)


def test_more_equal_jobs_than_are_drawn_are_sent_one_after_the_other():
    assert draw_many([2.0, 2.0, 2.0], 3, 1) == (0, 1, 2)
    assert draw_many([2.0] * 5, 3, 1) == (0, 1, 2, 3, 4)
    assert len(draw_many([2.0, 2.0, 1.0], 3, 1)) == 3


def test_more_jobs_than_a_byte_can_number_are_all_picked():
    message_index = draw_many([1.0] * 300, DRAWN_MESSAGES, 1)
    assert max(message_index) > 255
    assert len(set(message_index)) > 295


@given(weights=st.lists(st.floats(0.01, 100), min_size=1, max_size=400), seed=st.integers(0, 2**53 - 1))
def test_a_pick_is_always_one_of_the_jobs(weights, seed):
    message_index = draw_many(weights, 50, seed)
    assert len(message_index) >= 50
    assert all(type(pick) is int and 0 <= pick < len(weights) for pick in message_index)


def test_a_message_is_what_the_app_made_of_the_job():
    found = message_of(made(body='["é"]'.encode(), reply_to="r", priority=3))
    assert found == Message(
        body='["é"]',
        content_type="application/json",
        content_encoding="utf-8",
        headers={"task": "shop.tasks.resize", "lang": "py"},
        reply_to="r",
        priority=3,
        results_by_task=True,
    )


def test_a_body_that_is_no_text_stays_bytes():
    body = bytes(range(256))
    found = message_of(made(body=body, text=False, content_type="application/x-pickle", content_encoding="binary"))
    assert found.body == body
    assert (found.content_type, found.content_encoding) == ("application/x-pickle", "binary")


def test_what_is_written_down_is_json_without_the_messages():
    app = own_app(made("shop.a", body=b'[["secret"]]', headers={"token": "secret"}), made("shop.b"))
    text = json.dumps(to_builtins(app.app_settings()))
    assert "secret" not in text
    assert base64.b64encode(b'[["secret"]]').decode() not in text
    assert json.loads(text)["folder"] == "/srv/shop"
    assert json.loads(text)["shares"] == {"a": 0.5, "b": 0.5}
    assert json.loads(text)["facts"] == FACTS


@pytest.mark.parametrize(
    ("scheme", "keep", "said"),
    [
        ("", False, "none, as in the app's settings"),
        ("", True, "none, as in the app's settings"),
        ("redis", True, "redis, as in the app's settings"),
        ("redis", False, "replaced: redis in the app's settings, the race's own broker in the race"),
    ],
)
def test_where_results_go_is_written_down(scheme, keep, said):
    app = own_app(made(), facts={"backend_scheme": scheme}, keep_backend=keep)
    assert app.app_settings().backend == said


def test_a_task_that_is_called_mix_is_not_the_mix():
    assert short_names(["mix", "shop.other"]) == {"mix": "task mix", "shop.other": "other"}

"""The signal as those who scale see it: JSON, metrics, and an error rather than an old number."""

import json
import urllib.error
import urllib.request

import pytest
from click.testing import CliRunner
from clocks import Clock

from producer.cli.scaler import in_words, scaler
from producer.fleet.queue_work import QueueWork
from producer.stack.scaler import STALE_LOOKS, Signal, application, serve, told

EVERY_S = 5.0
BUSY = QueueWork(ready=12, unacked=6, running=2, later=3, slots=16, nodes=2)
NO_NODE = QueueWork(ready=4, unacked=0, running=0, later=0, slots=0, nodes=0)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def signal(clock):
    return Signal(["mail", "images/large"], EVERY_S, clock)


def ask(signal, path):
    """The status and text of an answer."""
    answered = []
    body = application(signal)(
        {"PATH_INFO": path, "REQUEST_METHOD": "GET"}, lambda status, _headers: answered.append(status)
    )
    return answered[0], b"".join(body).decode()


def test_the_work_is_what_waits_what_nodes_hold_and_what_they_run():
    assert BUSY.work == 12 + 6 + 2
    assert BUSY.work_per_slot == 20 / 16


def test_without_slots_there_is_no_work_per_slot():
    assert NO_NODE.work_per_slot is None
    assert told("mail", NO_NODE)["work_per_slot"] is None
    assert in_words("mail", NO_NODE).endswith("0 slots of 0 nodes: no node answers.")


def test_a_queue_is_told_as_json(signal):
    signal.seen({"mail": BUSY, "images/large": NO_NODE})
    status, text = ask(signal, "/scaler/mail")
    assert status == "200 OK"
    assert json.loads(text) == {
        "queue": "mail", "ready": 12, "unacked": 6, "running": 2, "later": 3, "slots": 16, "nodes": 2, "work": 20,
        "work_per_slot": 1.25,
    }  # fmt: skip
    assert json.loads(ask(signal, "/scaler/images%2Flarge")[1])["work"] == 4


def test_a_queue_that_was_not_named_is_told_which_were(signal):
    status, text = ask(signal, "/scaler/male")
    assert status == "404 Not Found"
    assert "/scaler/mail" in json.loads(text)["here"]


def test_an_old_number_is_not_told(signal, clock):
    assert ask(signal, "/scaler/mail")[0] == "503 Service Unavailable"
    signal.seen({"mail": BUSY, "images/large": NO_NODE})
    clock.now_s += STALE_LOOKS * EVERY_S
    assert ask(signal, "/scaler/mail")[0] == "200 OK"
    assert ask(signal, "/healthz")[0] == "200 OK"
    signal.missed("the broker is away")
    clock.now_s += 1
    assert ask(signal, "/scaler/mail") == ("503 Service Unavailable", '{"error": "the broker is away"}\n')
    assert ask(signal, "/healthz")[0] == "503 Service Unavailable"
    assert "poolrace_queue_work_jobs{" not in ask(signal, "/metrics")[1]


def test_the_metrics_have_every_part_of_the_work(signal):
    signal.seen({"mail": BUSY, "images/large": NO_NODE})
    lines = ask(signal, "/metrics")[1].splitlines()
    for line in (
        'poolrace_queue_jobs{queue="mail",state="ready"} 12.0',
        'poolrace_queue_jobs{queue="mail",state="later"} 3.0',
        'poolrace_queue_work_jobs{queue="mail"} 20.0',
        'poolrace_queue_slots{queue="mail"} 16.0',
        'poolrace_queue_work_per_slot{queue="mail"} 1.25',
    ):
        assert line in lines
    assert not [line for line in lines if line.startswith('poolrace_queue_work_per_slot{queue="images')]


def test_answers_come_over_http(signal):
    signal.seen({"mail": BUSY, "images/large": NO_NODE})
    server = serve(signal, "127.0.0.1", 0)
    try:
        url = f"http://127.0.0.1:{server.server_port}/scaler/"
        with urllib.request.urlopen(url + "mail", timeout=10) as answer:
            assert json.load(answer)["work"] == 20
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(url + "none", timeout=10)
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--queue: name at least one"),
        (("--queue", "mail", "--json", "--broker", "redis://127.0.0.1:1/0"), "--json: goes with --once"),
        (("--queue", "mail", "--app", "shop", "--broker", "redis://127.0.0.1:1/0"), "name the broker once"),
        (("--queue", "mail", "--broker", "redis://127.0.0.1:1/0", "--once"), "redis://127.0.0.1:1/0"),
        (("--queue", "mail", "--broker", "memory://", "--once"), "that broker is not Redis"),
    ],
)
def test_what_cannot_be_looked_at_is_said(words, said):
    done = CliRunner().invoke(scaler, words, standalone_mode=False)
    assert said in str(done.exception) + done.output

"""What goes wrong with the stack is told, the stack recovers, and every job that was accepted is accounted for."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from compose.followed import LANES, POPPED, Followed, repeated, transports
from compose.waiting import until

SLOTS = 4
PATIENCE_S = 60

FILL = """
import sys, time, redis
from producer.cli._broker import broker_from_environment
broker = redis.Redis.from_url(broker_from_environment())
broker.set("test.hold", 1)
size = 1 << 20
while broker.exists("test.hold"):
    try:
        broker.rpush("test.filler", bytes(size))
        size = min(2 * size, 1 << 20)
    except redis.exceptions.OutOfMemoryError:
        if size == 16:
            print("full", file=sys.stderr, flush=True)
            time.sleep(0.001)
        size = max(size // 2, 16)
broker.delete("test.filler")
"""
"""Keep Redis full, whatever others take out of it, until `test.hold` is deleted."""

EMPTY = """
import redis
from producer.cli._broker import broker_from_environment
redis.Redis.from_url(broker_from_environment()).delete("test.hold", "test.filler")
"""
"""The filler as well: it dies with its container, if a full Redis ends that node, and would leave it full for good."""

KILL_REDIS = 'for entry in /proc/[0-9]*; do [ "$(cut -d" " -f4 $entry/stat)" = 1 ] && kill -9 ${entry#/proc/}; done'


def metric(stack: Any, name: str) -> float:
    """The sum of one of the producer's metrics over all its labels."""
    text = stack.metrics()
    return sum(map(float, re.findall(rf"^{name}(?:{{.*}})? ([\d.e+]+)$", text, re.MULTILINE)))


def acked(stack: Any, acks: str) -> None:
    stack.set(POOLRACE_ACKS=acks)
    stack.compose("up", "--detach", "--wait", "worker-prefork", "worker-threads")


def test_a_full_redis_is_told_its_refusals_are_counted_and_the_load_goes_on_when_there_is_room(faulty: Any) -> None:
    acked(faulty, "late")
    faulty.compose("up", "--detach", "--wait", "producer")
    until(lambda: metric(faulty, "poolrace_jobs_sent_total"), PATIENCE_S)
    # Not in a container of the producer: `exec` below would take that one for the load.
    filler = faulty.begin("exec", "-T", "worker-threads", "python", "-c", FILL)
    try:
        first = filler.stderr.readline()
        assert first == "full\n", first + filler.stderr.read()
        until(lambda: metric(faulty, "poolrace_jobs_refused_total"), PATIENCE_S)
        ledger = Followed(faulty, LANES, 20, 0.01)
        ledger.until("sent")
    finally:
        faulty.python(EMPTY)
        filler.communicate(timeout=PATIENCE_S)
    for found in ledger.finish().values():
        assert found["tally"]["refused"] > 0
    assert "it is full" in faulty.compose("logs", "producer").stdout
    before = metric(faulty, "poolrace_jobs_sent_total")
    until(lambda: metric(faulty, "poolrace_jobs_sent_total") > before, PATIENCE_S)
    assert metric(faulty, 'poolrace_live_paused{reason="broker"}') == 0
    faulty.compose("stop", "producer")


@pytest.fixture(scope="module", autouse=True)
def strangers(faulty: Any, tmp_path_factory: Any) -> Any:
    """
    Workers that will not get in; begun first, since they try for half a minute.

    Both of prefork: `compose exec worker-threads`, as above, may take a container that `run` has made.
    """
    password = tmp_path_factory.mktemp("wrong") / "password"
    password.write_text("not-the-password")
    words = ("run", "--rm", "-T", "--no-deps")
    wrong = ("-v", f"{password}:/wrong:ro", "-e", "POOLRACE_BROKER_PASSWORD_FILE=/wrong", "worker-prefork")
    nowhere = ("-e", "POOLRACE_BROKER_URL=redis://poolrace@nowhere.invalid:6379/0", "worker-prefork")
    begun = {"wrong": faulty.begin(*words, *wrong), "nowhere": faulty.begin(*words, *nowhere)}
    yield begun
    for each in begun.values():
        if each.returncode is None:
            each.communicate(timeout=PATIENCE_S)


def test_a_job_that_takes_all_memory_ends_its_child_on_prefork_and_its_node_on_threads(faulty: Any) -> None:
    acked(faulty, "early")
    # One after the other into the same queues, so that it dies among others; these take so long that none of them has
    # just ended then, whose record would die with the node.
    before = Followed(faulty, LANES, 8, 3.0)
    before.until("sent")
    eaten = Followed(faulty, LANES, 1, 5.0, task="faulty.eat", args=[])
    eaten.until("sent")
    after = Followed(faulty, LANES, 8, 3.0)
    ends, fates = [each.finish() for each in (before, after)], eaten.finish()
    faulty.compose("up", "--detach", "--wait", "worker-prefork", "worker-threads")
    assert fates["prefork"]["named"] == {"failed": [0]}
    assert fates["threads"]["named"] == {"lost": [0]}
    assert [end["prefork"]["named"] for end in ends] == [{}, {}]
    ran, never = zip(*(cut_off(each, 8) for each in (before, after)), strict=True)
    assert len(ran[0] + ran[1]) < SLOTS
    assert len(never[0] + never[1]) <= POPPED
    lost = [sorted(some + others) for some, others in zip(ran, never, strict=True)]
    assert [end["threads"]["named"] for end in ends] == [{"lost": each} if each else {} for each in lost]


def cut_off(followed: Followed, jobs: int) -> tuple[list[int], list[int]]:
    """The jobs on threads that began and did not end, and those that never began."""
    marks = followed.marks("threads")
    return sorted(set(marks["began"]) - set(marks["ended"])), sorted(set(range(jobs)) - set(marks["began"]))


@pytest.mark.parametrize(("who", "says"), [("wrong", "invalid username-password pair"), ("nowhere", "Name or service")])
def test_a_worker_that_does_not_get_in_says_so_in_one_line_and_ends(strangers: Any, who: str, says: str) -> None:
    out, err = strangers[who].communicate(timeout=PATIENCE_S)
    assert strangers[who].returncode == 1
    (last,) = [line for line in (out + err).splitlines() if "CRITICAL" in line]
    assert says in last
    assert "POOLRACE_BROKER_PASSWORD_FILE" in last
    assert "Traceback" not in out + err
    assert "not-the-password" not in out + err


def test_jobs_survive_a_redis_that_is_killed_and_replays_what_a_stopping_worker_gave_back(faulty: Any) -> None:
    acked(faulty, "early")
    followed = Followed(faulty, ("threads",), 40, 0.5)
    followed.until(f"ended {SLOTS}")
    faulty.compose("stop", "worker-threads")
    faulty.compose("exec", "-T", "redis", "sh", "-c", KILL_REDIS, check=False)
    acked(faulty, "early")
    found = followed.finish()["threads"]
    assert set(followed.marks("threads")["ended"]) == set(range(40))
    assert found["named"].keys() <= {"duplicated"}


@pytest.fixture(params=["stock", "atomic"])
def transport(faulty: Any, request: Any) -> Iterator[str]:
    faulty.set(POOLRACE_TRANSPORT=request.param)
    yield request.param
    faulty.set(POOLRACE_TRANSPORT="stock")


def test_a_broker_that_restarts_under_load_costs_stock_the_one_job_in_its_hand_and_atomic_none(
    faulty: Any, transport: str
) -> None:
    acked(faulty, "early")
    assert transports(faulty) == dict.fromkeys(LANES, transport)
    followed = Followed(faulty, LANES, 200, 0.1)
    followed.until(f"ended {SLOTS}")
    faulty.compose("restart", "redis")
    followed.finish()
    for lane in LANES:
        missing = set(range(200)) - set(followed.marks(lane)["ended"])
        assert len(missing) <= {"stock": POPPED, "atomic": 0}[transport]


def test_down_under_load_loses_nothing_and_what_waited_runs_after_the_next_up(faulty: Any) -> None:
    acked(faulty, "early")
    sent = Followed(faulty, LANES, 40, 0.5, then="stop").finish()
    faulty.compose("down")
    acked(faulty, "early")
    followed = Followed(faulty, LANES, 40, 0.5, sent=sent)
    for lane, found in followed.finish().items():
        marks = followed.marks(lane)
        assert set(marks["ended"]) == set(range(40))
        assert found["named"].keys() <= {"duplicated"}
        assert len(repeated(marks["began"])) <= SLOTS

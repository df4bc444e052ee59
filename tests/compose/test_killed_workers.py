"""A worker dies under load: which jobs are lost and which run again, by ack mode and pool, to the job."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from compose.followed import LANES, POPPED, Followed, kill, repeated, transports
from compose.waiting import until

SLOTS = 4
JOBS = 16
JOB_S = 1.5


def killed_in_the_middle(stack: Any, acks: str) -> tuple[Followed, dict[str, Any]]:
    stack.set(POOLRACE_ACKS=acks)
    stack.compose("up", "--detach", "--wait", "worker-prefork", "worker-threads")
    followed = Followed(stack, LANES, JOBS, JOB_S)
    # The records of the first jobs are there, so all slots have just begun with the next ones.
    followed.until(f"ended {SLOTS}")
    kill(stack, "worker-prefork", "worker-threads")
    found = followed.finish()
    stack.compose("up", "--detach", "--wait", "worker-prefork", "worker-threads")
    return followed, found


def told(acks: str, lane: str, found: dict[str, Any], began_twice: list[int], ended_twice: list[int]) -> None:
    lost = found["named"].get("lost", [])
    print(  # noqa: T201 - the counts are what this is for
        f"{acks:<6} {lane:<7} lost {len(lost)} {lost}, begun twice {began_twice}, ended twice {ended_twice}"
    )


@pytest.fixture(scope="module")
def early(faulty: Any) -> Any:
    return killed_in_the_middle(faulty, "early")


@pytest.fixture(scope="module")
def late(faulty: Any) -> Any:
    return killed_in_the_middle(faulty, "late")


@pytest.fixture(scope="module")
def atomic(faulty: Any) -> Iterator[Any]:
    faulty.set(POOLRACE_TRANSPORT="atomic")
    yield killed_in_the_middle(faulty, "late")
    faulty.set(POOLRACE_TRANSPORT="stock")


@pytest.mark.parametrize("lane", LANES)
def test_with_early_acks_the_jobs_that_ran_are_lost_and_named_and_no_other(early: Any, lane: str) -> None:
    followed, found = early[0], early[1][lane]
    marks = followed.marks(lane)
    told("early", lane, found, repeated(marks["began"]), repeated(marks["ended"]))
    ran = sorted(set(marks["began"]) - set(marks["ended"]))
    never = sorted(set(range(JOBS)) - set(marks["began"]))
    assert 0 < len(ran) <= SLOTS
    assert len(never) <= POPPED
    assert found["named"] == {"lost": sorted(ran + never)}
    assert repeated(marks["began"]) == []


@pytest.mark.parametrize("lane", LANES)
def test_with_late_acks_the_jobs_that_ran_run_again_and_nothing_is_lost(late: Any, lane: str) -> None:
    followed, found = late[0], late[1][lane]
    marks = followed.marks(lane)
    told("late", lane, found, repeated(marks["began"]), repeated(marks["ended"]))
    never = sorted(set(range(JOBS)) - set(marks["began"]))
    assert len(never) <= POPPED
    assert set(range(JOBS)) - set(marks["ended"]) == set(never)
    assert found["named"] == ({"lost": never} if never else {})
    assert 0 < len(repeated(marks["began"])) <= SLOTS
    assert found["tally"]["done"] + len(never) == JOBS


@pytest.mark.parametrize("lane", LANES)
def test_with_late_acks_on_the_atomic_transport_nothing_at_all_is_lost(faulty: Any, atomic: Any, lane: str) -> None:
    followed, found = atomic[0], atomic[1][lane]
    marks = followed.marks(lane)
    told("atomic", lane, found, repeated(marks["began"]), repeated(marks["ended"]))
    assert transports(faulty) == dict.fromkeys(LANES, "atomic")
    assert set(marks["ended"]) == set(range(JOBS))
    assert (found["named"], found["tally"]["done"]) == ({}, JOBS)
    assert 0 < len(repeated(marks["began"])) <= SLOTS


def test_a_load_names_the_jobs_that_a_killed_worker_lost(faulty: Any) -> None:
    faulty.set(POOLRACE_ACKS="early")
    faulty.compose("up", "--detach", "--wait", "worker-prefork", "worker-threads")
    load = faulty.begin(
        "run", "--rm", "-T", "producer", "load", "--rate", "4/s", "--duration", "6s", "--mix", "sleep",
        "--job-duration", "1500ms", "--arrivals", "constant",
    )  # fmt: skip
    # Every slot of the first lane has been at work for a while.
    said = iter(load.stderr)  # type: ignore[arg-type]
    until(lambda: next(said).startswith("prefork    3/"))
    kill(faulty, "worker-prefork")
    faulty.compose("up", "--detach", "--wait", "worker-prefork")
    report, _ = load.communicate(timeout=120)
    assert load.returncode == 4, report
    folder = report.split("Run directory: ")[1].split()[0].rpartition("/")[2]
    summary = json.loads(
        faulty.compose(
            "run",
            "--rm",
            "-T",
            "--no-deps",
            "producer",
            "report",
            "--json",
            f"/var/lib/poolrace/runs/{folder}",
            check=False,
        ).stdout
    )
    lost = {each["lane"]: each["jobs"] for each in summary["unsettled"] if each["fate"] == "lost"}
    assert list(lost) == ["prefork"]
    assert 0 < len(lost["prefork"]) <= SLOTS + POPPED
    words = " ".join(report.split())
    assert f"{len(lost['prefork'])} lost with sleep on prefork" in words
    assert f"jobs {', '.join(map(str, lost['prefork']))}." in words

"""Each statement, judged by observations made by hand: for it, against it, and by none that can judge it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from producer.lessons.catalogue import find, lessons
from producer.lessons.lesson import Estimate, Found, Python, Seen, Span, Verdict
from producer.lessons.picture import Bars, Lines, Timeline

if TYPE_CHECKING:
    from collections.abc import Mapping

TRUE, FALSE, ONLY_IF, NOT_SHOWN = Verdict

CLUSTER = {
    f"{fleet}_{way}": 0.0
    for fleet in ("threads", "prefork", "three")
    for way in ("nothing", "process_lock", "redis_lock", "incr", "script")
} | {f"rate_{way}": 500.0 for way in ("nothing", "process_lock", "redis_lock", "incr", "script")}

IN_C = {"sha": 1.9, "zlib": 1.9, "small_sha": 1.0, "json": 1.0, "sort": 1.0, "regex": 1.0, "sleep": 1.9}

JUDGED: list[tuple[str, Mapping[str, float], Verdict]] = [
    ("process", {"prefork": 3, "threads": 1, "inside": 5}, TRUE),
    ("process", {"prefork": 1, "threads": 1, "inside": 5}, FALSE),
    ("process", {"prefork": 3, "threads": 1, "inside": 1}, FALSE),
    ("start-cost", {"thread": 1e-4, "process": 2e-3, "ratio": 20}, TRUE),
    ("start-cost", {"thread": 1e-4, "process": 5e-5, "ratio": 0.5}, FALSE),
    ("start-cost", {"thread": 1e-4, "process": 1.2e-4, "ratio": 1.2}, NOT_SHOWN),
    ("two-processes", {"two_cores": 1.95, "one_core": 1.0}, ONLY_IF),
    ("two-processes", {"two_cores": 1.0, "one_core": 1.0}, FALSE),
    ("two-processes", {"two_cores": 1.35, "one_core": 1.0}, NOT_SHOWN),
    ("private-data", {"prefork": 0, "threads": 1}, TRUE),
    ("private-data", {"prefork": 1, "threads": 1}, FALSE),
    ("private-data", {"prefork": 0, "threads": 0.5}, NOT_SHOWN),
    ("sharing-cost", {"ratio": 5, "memory_ratio": 1.1}, ONLY_IF),
    ("sharing-cost", {"ratio": 5, "memory_ratio": 5}, TRUE),
    ("sharing-cost", {"ratio": 1.0, "memory_ratio": 1.0}, NOT_SHOWN),
    ("thread-data", {"seen": 1, "processes": 1, "ratio": 100}, TRUE),
    ("thread-data", {"seen": 0.5, "processes": 1, "ratio": 100}, FALSE),
    ("thread-data", {"seen": 1, "processes": 1, "ratio": 0.5}, FALSE),
    ("thread-data", {"seen": 1, "processes": 1, "ratio": 1.5}, NOT_SHOWN),
    ("two-threads", {"count": 0.99, "hash": 1.9, "wait": 1.95}, ONLY_IF),
    ("two-threads", {"count": 1.85, "hash": 1.9, "wait": 1.95}, FALSE),
    ("two-threads", {"count": 0.99, "hash": 1.2, "wait": 1.95}, NOT_SHOWN),
    ("two-threads", {"count": 1.3, "hash": 1.9, "wait": 1.95}, NOT_SHOWN),
    ("base-class", {"common": 0, "names": 7}, FALSE),
    ("base-class", {"common": 1, "names": 7}, TRUE),
    ("threads-for-io", {"speed": 1.0, "memory": 5, "many": 700, "many_memory": 1.1}, ONLY_IF),
    ("threads-for-io", {"speed": 2.0, "memory": 5, "many": 700, "many_memory": 1.1}, TRUE),
    ("threads-for-io", {"speed": 1.0, "memory": 1.0, "many": 700, "many_memory": 1.1}, NOT_SHOWN),
    ("by-function", {"same": 1, "threads": 1.0, "tasks": 1.0}, FALSE),
    ("by-function", {"same": 1, "threads": 2.5, "tasks": 1.0}, TRUE),
    ("by-function", {"same": 0.5, "threads": 1.0, "tasks": 1.0}, TRUE),
    ("by-function", {"same": 1, "threads": 1.7, "tasks": 1.0}, NOT_SHOWN),
    ("subclass", {"run_alone": 1, "neither": 1, "no_base": 1}, FALSE),
    ("subclass", {"run_alone": 0, "neither": 1, "no_base": 1}, TRUE),
    ("subclass", {"run_alone": 0.5, "neither": 1, "no_base": 1}, NOT_SHOWN),
    ("as-printed", {"took_ms": 52, "in_order": 1, "changes": 11}, TRUE),
    ("as-printed", {"took_ms": 105, "in_order": 1, "changes": 1}, FALSE),
    ("as-printed", {"took_ms": 52, "in_order": 0.5, "changes": 11}, FALSE),
    ("as-printed", {"took_ms": 95, "in_order": 1, "changes": 11}, NOT_SHOWN),
    ("join", {"alive": 1, "finished": 1, "waited_ms": 120, "job_finished": 1}, FALSE),
    ("join", {"alive": 0, "finished": 0, "waited_ms": 30, "job_finished": 1}, TRUE),
    ("join", {"alive": 0.5, "finished": 1, "waited_ms": 120, "job_finished": 1}, NOT_SHOWN),
    ("unordered", {"solo": 0, "threads": 0.05, "prefork": 0.06, "three": 0.1}, ONLY_IF),
    ("unordered", {"solo": 0, "threads": 0, "prefork": 0.06, "three": 0.1}, FALSE),
    ("unordered", {"solo": 0.1, "threads": 0.05, "prefork": 0.06, "three": 0.1}, NOT_SHOWN),
    ("lock", {"hand_overs": 0.99, "part": 1.8, "whole": 1.0}, ONLY_IF),
    ("lock", {"hand_overs": 0.05, "part": 1.0, "whole": 1.0}, FALSE),
    ("lock", {"hand_overs": 0.3, "part": 1.8, "whole": 1.0}, NOT_SHOWN),
    ("releases-gil", IN_C, ONLY_IF),
    ("releases-gil", dict.fromkeys(IN_C, 1.9), TRUE),
    ("releases-gil", {**dict.fromkeys(IN_C, 1.0), "sleep": 1.9}, FALSE),
    ("releases-gil", {**IN_C, "sha": 1.3, "zlib": 1.3}, NOT_SHOWN),
    ("lost-update", {"plain": 0, "call": 0.2, "wait": 0.49, "locked": 0}, ONLY_IF),
    ("lost-update", {"plain": 0.4, "call": 0.3, "wait": 0.49, "locked": 0}, TRUE),
    ("lost-update", {"plain": 0, "call": 0, "wait": 0, "locked": 0}, NOT_SHOWN),
    ("cluster-lock", {**CLUSTER, "prefork_process_lock": 0.6, "three_process_lock": 0.4}, ONLY_IF),
    ("cluster-lock", {**CLUSTER, "threads_process_lock": 0.6}, FALSE),
    ("cluster-lock", CLUSTER, NOT_SHOWN),
    ("convoy", {"threads": 4, "prefork": 1.0, "ping_alone": 2, "ping_beside": 20}, TRUE),
    ("convoy", {"threads": 1.0, "prefork": 1.0, "ping_alone": 2, "ping_beside": 2}, FALSE),
    ("convoy", {"threads": 4, "prefork": 4, "ping_alone": 2, "ping_beside": 20}, NOT_SHOWN),
    ("coroutines", {"loop_ms": 55, "threads_ms": 70, "cores": 1.0}, TRUE),
    ("coroutines", {"loop_ms": 9_000, "threads_ms": 70, "cores": 1.0}, FALSE),
    ("coroutines", {"loop_ms": 55, "threads_ms": 70, "cores": 1.9}, FALSE),
    ("coroutines", {"loop_ms": 55, "threads_ms": 70, "cores": 1.3}, NOT_SHOWN),
]


def found(
    figures: Mapping[str, float], *, free_threaded: bool = False, notes: Mapping[str, str] | None = None
) -> Found:
    """Return what was found, each figure within half a per cent."""
    return Found(
        python=Python(version="3.13.1", free_threaded=free_threaded, gil=not free_threaded, cores=2),
        measures={
            name: Estimate(value, value - 0.005 * abs(value), value + 0.005 * abs(value), 8)
            for name, value in figures.items()
        },
        last=Seen(
            figures=figures,
            spans=[Span(row="thread 1", begin_s=0, end_s=1, kind="inside")],
            notes=notes or {"culprits": "", "extensions": "", "output": "ai thread : 5"},
        ),
        cores=Estimate(1.95, 1.9, 2.0, 8),
    )


@pytest.mark.parametrize(("name", "figures", "verdict"), JUDGED)
def test_a_statement_is_judged_by_what_was_seen(name: str, figures: Mapping[str, float], verdict: Verdict) -> None:
    entry = find(name)
    assert entry is not None
    assert entry.judge(found(figures)).verdict is verdict


def test_every_statement_has_observations_for_and_against_it() -> None:
    seen = {name: {verdict for each, _, verdict in JUDGED if each == name} for name in {name for name, _, _ in JUDGED}}
    assert set(seen) == {entry.name for entry in lessons()} - {"gil"}
    assert all(len(verdicts - {NOT_SHOWN}) > 1 for verdicts in seen.values() if verdicts != {ONLY_IF})


def test_an_update_that_is_not_lost_shows_nothing_on_a_free_threaded_build() -> None:
    entry = find("lost-update")
    assert entry is not None
    seen = found({"plain": 0, "call": 0, "wait": 0.49, "locked": 0}, free_threaded=True)
    assert entry.judge(seen).verdict is NOT_SHOWN


@pytest.mark.parametrize(
    ("free_threaded", "culprits", "verdict"),
    [(True, "", TRUE), (True, "hiredis.hiredis", ONLY_IF), (False, "", NOT_SHOWN)],
)
def test_the_gil_stays_off_unless_an_import_turns_it_on(free_threaded: bool, culprits: str, verdict: Verdict) -> None:
    entry = find("gil")
    assert entry is not None
    notes = {"culprits": culprits, "extensions": "hiredis.hiredis\npsutil._psutil_linux"}
    seen = found({"extensions": 2, "culprits": int(bool(culprits))}, free_threaded=free_threaded, notes=notes)
    judgement = entry.judge(seen)
    assert judgement.verdict is verdict
    assert culprits in judgement.because
    picture = entry.picture(seen)
    assert isinstance(picture, Lines)
    assert ("GIL on" in picture.lines[0]) is bool(culprits)


@pytest.mark.parametrize("entry", lessons(), ids=lambda entry: entry.name)
def test_a_picture_is_made_of_what_was_seen(entry: object) -> None:
    figures = next((figures for name, figures, _ in JUDGED if name == entry.name), {"extensions": 1, "culprits": 0})
    known = dict.fromkeys(entry.lesson.measures, 1.0) | dict(figures)
    notes = {"threads": "2 1 3"} if entry.name == "unordered" else None
    picture = entry.picture(found(known, notes=notes))
    assert isinstance(picture, Bars | Timeline | Lines)
    assert getattr(picture, {Bars: "rows", Timeline: "spans", Lines: "lines"}[type(picture)])

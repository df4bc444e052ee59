"""Cells, what is left out of a profile, and which bounds a cell has."""

from __future__ import annotations

import pytest

from poolrace.transport_setting import ATOMIC, STOCK
from producer.measure.drill import catalogue
from producer.plan.drill import OUTBOX, SLOTS, Bounds, Cell, Drill, cells, own_fault, profile_of, warm_shutdown

NAMED = {cell.name: cell for cell in cells()}


def drill(**expected: Bounds) -> Drill:
    named = {name.replace("_", "-"): bounds for name, bounds in expected.items()}
    return Drill(title="It breaks.", documented="It is promised.", source="here", expected=named)


def test_there_is_a_cell_for_each_way_to_run_each_pool() -> None:
    ways = ("early-stock", "late-stock", "late-atomic", "safe", "outbox")
    assert list(NAMED) == [f"{pool}-{way}" for pool in ("prefork", "threads") for way in ways]


def test_the_safe_profile_is_late_and_atomic_and_its_broker_keeps_what_it_has() -> None:
    safe = NAMED["threads-safe"]
    assert (safe.acks, safe.transport, safe.has_aof, safe.has_outbox) == ("late", ATOMIC, True, False)
    assert NAMED["threads-outbox"].has_outbox
    assert not NAMED["threads-late-atomic"].has_aof


@pytest.mark.parametrize(
    ("setting", "acks", "transport", "aof"),
    [
        ("task_acks_late", "early", ATOMIC, True),
        ("broker_transport", "late", STOCK, True),
        ("appendonly", "late", ATOMIC, False),
        ("task_reject_on_worker_lost", "late", ATOMIC, True),
    ],
)
def test_a_setting_that_is_left_out_is_in_the_name_and_in_what_the_cell_does(
    setting: str, acks: str, transport: str, aof: bool
) -> None:
    cell = NAMED["prefork-safe"].leaving_out(setting)
    assert cell.name == f"prefork-safe-without-{setting}"
    assert (cell.acks, cell.transport, cell.has_aof) == (acks, transport, aof)


def test_a_cell_has_the_bounds_of_the_nearest_of_its_traits() -> None:
    some = drill(any=Bounds(lost=1), late=Bounds(lost=2), late_atomic=Bounds(lost=3), safe=Bounds(lost=4))
    found = {name: some.bounds(NAMED[name]).lost for name in NAMED}
    for pool in ("prefork", "threads"):
        assert [found[f"{pool}-{way}"] for way in ("early-stock", "late-stock", "late-atomic")] == [1, 2, 3]
        assert found[f"{pool}-safe"] == found[f"{pool}-outbox"] == 4


def test_bounds_may_be_those_of_pools_with_children_or_of_one_process() -> None:
    some = drill(children_any=Bounds(failed=1), one_process_any=Bounds(lost=1), any=Bounds())
    assert some.bounds(NAMED["prefork-early-stock"]) == Bounds(failed=1)
    assert some.bounds(NAMED["threads-early-stock"]) == Bounds(lost=1)


def test_what_is_left_out_of_a_profile_may_not_cost_more_than_the_whole_profile() -> None:
    some = drill(early=Bounds(lost=2), late_stock=Bounds(lost=1))
    assert some.bounds(NAMED["prefork-safe"].leaving_out("task_acks_late")) == Bounds()
    assert some.bounds(NAMED["prefork-safe"].leaving_out("broker_transport")) == Bounds()


def test_without_bounds_nothing_may_be_lost() -> None:
    assert drill().bounds(NAMED["threads-early-stock"]) == Bounds(lost=0, failed=0, repeated=None)


def test_a_fault_of_a_slots_process_is_tried_where_slots_are_processes() -> None:
    some = Drill(title="", documented="", source="", needs_children=True)
    assert not some.why_not(NAMED["prefork-safe"])
    assert some.why_not(NAMED["threads-safe"]) == "no slot of this pool is a process"
    assert not some.why_not(Cell(pool="prefork", acks="late", transport=ATOMIC, profile=OUTBOX))


def test_nodes_of_two_transports_are_drilled_where_they_differ() -> None:
    some = Drill(title="", documented="", source="", beside=STOCK)
    assert some.why_not(NAMED["threads-late-stock"]) == "all its nodes are on the stock transport"
    assert some.why_not(NAMED["threads-safe"]) == "a profile has one transport for all nodes"
    assert not some.why_not(NAMED["threads-late-atomic"])


@pytest.mark.parametrize("entry", catalogue(), ids=lambda entry: entry.name)
def test_a_drill_is_whole_and_names_traits_that_a_cell_can_have(entry: object) -> None:
    made = entry.drill  # type: ignore[attr-defined]
    assert made.title.endswith(".")
    assert made.documented.endswith(".")
    assert "docs" in made.source
    traits = {"early", "late", "early-stock", "late-stock", "late-atomic", "safe", "outbox", "any"}
    for name in made.expected:
        assert name.removeprefix("children-").removeprefix("one-process-") in traits, name


def test_what_a_warm_shutdown_may_repeat_grows_with_the_slots_of_a_node() -> None:
    some = Drill(title="", documented="", source="", expected=warm_shutdown(2))
    assert some.bounds(NAMED["prefork-safe"]).repeated == 2 * SLOTS
    assert some.bounds(NAMED["prefork-safe"], 8) == Bounds(repeated=16)
    assert some.bounds(NAMED["threads-safe"], 8) == Bounds(repeated=0)


@pytest.mark.parametrize(
    ("cell", "lost", "failed"),
    [
        ("threads-safe", 0, 0),
        ("prefork-late-atomic", 0, 0),
        ("threads-late-stock", 2, 0),
        ("threads-early-stock", 18, 16),
    ],
)
def test_a_fault_of_a_user_may_cost_what_acknowledgement_and_transport_allow_for_each_node_that_went(
    cell: str, lost: int, failed: int
) -> None:
    assert own_fault(NAMED[cell], slots=8, gone=2) == Bounds(lost=lost, failed=failed)
    assert own_fault(NAMED[cell], slots=8, gone=0) == Bounds()


def test_nodes_that_run_already_have_a_profile_if_they_have_all_of_its_settings() -> None:
    assert profile_of("late", ATOMIC, rejects=True, has_aof=True) == "safe"
    for acks, transport, rejects, has_aof in (
        ("early", ATOMIC, True, True), ("late", STOCK, True, True), ("late", ATOMIC, False, True),
        ("late", ATOMIC, True, False),
    ):  # fmt: skip
        assert profile_of(acks, transport, rejects=rejects, has_aof=has_aof) == ""


def test_a_cell_of_nodes_that_run_already_is_named_after_its_queue_where_a_pool_has_several() -> None:
    cell = Cell(pool="threads", acks="late", transport=ATOMIC, queue="mail")
    assert cell.name == "threads-late-atomic-of-mail"

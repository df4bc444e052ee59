"""Clocks of nodes are told where they say something: on several hosts, or if one is off."""

from __future__ import annotations

from producer.analysis.clocks import node_clocks
from producer.rundir.manifest import Clock

RIGHT = Clock(offset_s=0.0001, bound_s=0.0002)
AHEAD = Clock(offset_s=-2.0, bound_s=0.005, drift_s=0.25, drift_bound_s=0.007)
UNKNOWN = Clock(offset_s=None, bound_s=None)


def test_on_several_hosts_each_node_has_its_clock_and_its_round_trip() -> None:
    first, second = node_clocks({"threads@b": AHEAD, "threads@a": RIGHT})
    assert (first.node, first.host, first.round_trip_s, first.is_off) == ("threads@a", "a", 0.0004, False)
    assert (second.node, second.host, second.round_trip_s, second.is_off) == ("threads@b", "b", 0.01, True)
    assert (second.offset_s, second.drift_s, second.drift_bound_s) == (-2.0, 0.25, 0.007)


def test_on_one_host_they_are_told_if_one_is_off() -> None:
    assert node_clocks({"threads@a": RIGHT, "prefork@a": RIGHT}) == ()
    assert len(node_clocks({"threads@a": RIGHT, "prefork@a": AHEAD})) == 2


def test_clocks_that_nobody_could_compare_are_left_out() -> None:
    assert node_clocks({"threads@a": UNKNOWN, "prefork@b": UNKNOWN}) == ()

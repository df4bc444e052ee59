"""Modules that do not go with a pool are named for that pool, if they were imported."""

import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolrace.ownapp.hazards import HAZARDS, hazards
from poolrace.pools import POOLS

MODULES = sorted({hazard.module for hazard in HAZARDS})


def test_an_imported_module_is_named_for_the_pool_that_it_does_not_go_with():
    assert [hazard.module for hazard in hazards("threads", ["json", "selenium", "torch"])] == ["selenium"]
    assert [hazard.module for hazard in hazards("prefork", ["json", "selenium", "torch"])] == ["torch"]


def test_an_app_that_imports_none_has_no_hazards():
    assert [hazards(pool, ["json", "matplotlib", "lxml", "torchvision"]) for pool in POOLS] == [[]] * len(POOLS)


def test_a_pool_that_is_not_known_has_no_hazards():
    assert hazards("gevent", MODULES) == []


def test_the_modules_of_this_process_can_be_asked_about_as_they_are():
    assert {hazard.module for hazard in hazards("threads", sys.modules)} <= set(sys.modules)


@given(imported=st.lists(st.sampled_from([*MODULES, "json", "shop.tasks"])), pool=st.sampled_from(sorted(POOLS)))
def test_hazards_are_those_of_the_pool_that_were_imported_each_once_in_the_order_of_the_list(imported, pool):
    assert hazards(pool, imported) == [
        hazard for hazard in HAZARDS if hazard.slot == POOLS[pool].slot and hazard.module in imported
    ]


@pytest.mark.parametrize("hazard", HAZARDS, ids=lambda hazard: f"{hazard.module}-{hazard.slot.name}")
def test_a_hazard_is_of_a_pool_that_there_is_and_says_what_to_do(hazard):
    assert hazard.slot in {pool.slot for pool in POOLS.values()}
    assert hazard.warning
    assert not hazard.warning.endswith(".")


def test_a_module_is_named_once_for_a_kind_of_slot():
    assert set(Counter((hazard.module, hazard.slot) for hazard in HAZARDS).values()) == {1}

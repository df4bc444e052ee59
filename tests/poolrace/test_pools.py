"""The pools are as the data says they are: every claim that is cheap to try is tried on the installed Celery."""

import inspect
import re
import subprocess
import sys
from dataclasses import fields
from functools import reduce
from importlib import import_module
from threading import Event
from time import monotonic

import pytest
from celery import Celery
from celery.app.defaults import DEFAULTS
from celery.concurrency import base, get_available_pool_names, get_implementation, prefork, solo, thread
from celery.worker.autoscale import Autoscaler
from celery.worker.worker import WorkController

from poolrace.pools import _RULES as RULES
from poolrace.pools import (
    DEFAULT_POOLS,
    FORKING,
    POOLS,
    REFUSED,
    Effect,
    Feature,
    InertSetting,
    UnknownPoolError,
    find_pool,
    gives_up,
    has_children,
    has_thread_of_its_own,
    inert_settings,
    pool_of_module,
)

ONE_PROCESS = {"threads": thread.TaskPool, "solo": solo.TaskPool}
TRAITS = [(pool, feature) for pool in POOLS.values() for feature in pool.traits]


def effect(pool, feature):
    return POOLS[pool].traits[feature].effect


@pytest.fixture(params=ONE_PROCESS)
def one_process(request):
    """A pool without children: its name, and Celery's object."""
    pool = ONE_PROCESS[request.param](limit=1, maxtasksperchild=1, max_memory_per_child=1, soft_timeout=0.001)
    yield request.param, pool
    pool.stop()


@pytest.mark.parametrize("name", [*POOLS, *REFUSED])
def test_celery_has_every_pool_that_is_named(name):
    assert name in get_available_pool_names()


@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)
def test_every_pool_has_every_feature(pool):
    assert set(pool.traits) == set(Feature)
    assert pool.gives_up


@pytest.mark.parametrize(("pool", "feature"), TRAITS, ids=lambda value: getattr(value, "name", None))
def test_a_meaning_is_one_sentence(pool, feature):
    meaning = pool.traits[feature].meaning
    assert meaning.endswith(".")
    assert ". " not in meaning


@pytest.mark.parametrize(("pool", "feature"), TRAITS, ids=lambda value: getattr(value, "name", None))
def test_a_source_names_code_that_is_there(pool, feature):
    source = pool.traits[feature].source
    if source:
        file, _, name = source.partition(" ")
        module = import_module(file.removesuffix(".py").replace("/", "."))
        assert reduce(getattr, name.split("."), module)


def test_only_prefork_and_gevent_grow_and_shrink():
    grows = {name: "grow" in inspect.getsource(get_implementation(name)) for name in POOLS}
    assert grows == {name: effect(name, Feature.RESIZE) is Effect.WORKS for name in POOLS}
    for pool_cls in ONE_PROCESS.values():
        assert not hasattr(pool_cls, "grow")
        assert not hasattr(pool_cls, "shrink")


def test_a_job_on_a_pool_without_children_runs_past_its_time_limits(one_process):
    name, pool = one_process
    ended = Event()

    def outlast_the_limits():
        until_s = monotonic() + 0.02
        while monotonic() < until_s:
            pass
        return "ran to its end"

    result = pool.apply_async(
        outlast_the_limits,
        callback=lambda value: value == "ran to its end" and ended.set(),
        timeout=1e-3,
        soft_timeout=1e-3,
    )
    if name == "threads":
        result.wait()
    assert ended.is_set()
    assert effect(name, Feature.HARD_TIME_LIMIT) is effect(name, Feature.SOFT_TIME_LIMIT) is Effect.IGNORED


def test_a_pool_without_children_stores_the_recycling_options_and_reads_them_nowhere(one_process):
    name, pool = one_process
    assert pool.options["maxtasksperchild"] == pool.options["max_memory_per_child"] == 1
    for module in (base, inspect.getmodule(type(pool))):
        assert not re.search("maxtasks|max_memory", inspect.getsource(module))
    assert effect(name, Feature.MAX_TASKS) is effect(name, Feature.MAX_MEMORY) is Effect.IGNORED


def test_terminate_is_not_implemented_without_children(one_process):
    _, pool = one_process
    with pytest.raises(NotImplementedError):
        pool.terminate_job(1)
    assert effect("threads", Feature.TERMINATE) is effect("threads", Feature.COLD_SHUTDOWN) is Effect.ERROR


def test_a_restart_is_not_implemented_without_children_and_the_node_swallows_that(one_process):
    name, pool = one_process
    with pytest.raises(NotImplementedError):
        pool.restart()
    assert "except NotImplementedError" in inspect.getsource(WorkController.reload)
    assert effect(name, Feature.RESTART) is Effect.IGNORED


def test_autoscale_on_threads_fails_when_it_grows():
    pool = thread.TaskPool(limit=1)
    with pytest.raises(AttributeError, match="grow"):
        Autoscaler(pool, max_concurrency=2).scale_up(1)
    pool.stop()
    assert effect("threads", Feature.AUTOSCALE) is Effect.ERROR


def test_prefork_hands_growing_shrinking_and_terminating_to_its_children():
    source = inspect.getsource(prefork.TaskPool.on_start)
    for name in ("grow", "shrink", "terminate_job"):
        assert f"self.{name} = P.{name}" in source
    assert {effect("prefork", feature) for feature in Feature} == {Effect.WORKS}


def test_a_killed_job_on_gevent_counts_as_succeeded_which_is_the_first_thing_that_is_given_up():
    source = inspect.getsource(import_module("celery.concurrency.gevent").TaskPool._make_killable_target)
    assert "return (False, None, None)" in source
    assert gives_up("gevent")[0].startswith("running jobs: a cold shutdown counts them as done")
    assert effect("gevent", Feature.COLD_SHUTDOWN) is Effect.ERROR


def test_gevent_drops_the_soft_limit_and_keeps_the_hard_one():
    taken = inspect.signature(import_module("celery.concurrency.gevent").TaskPool.on_apply).parameters
    assert "timeout" in taken
    assert "soft_timeout" not in taken
    assert effect("gevent", Feature.HARD_TIME_LIMIT) is Effect.WORKS
    assert effect("gevent", Feature.SOFT_TIME_LIMIT) is Effect.IGNORED


def test_only_prefork_has_a_start_method():
    read = {name: "forking_enable" in inspect.getsource(get_implementation(name)) for name in POOLS}
    assert read == {name: POOLS[name].offers(Feature.START_METHOD) for name in POOLS}


def test_the_verdict_can_say_what_each_pool_gives_up():
    assert gives_up("threads")[0] == "no time limits: hard and soft limits are ignored silently"
    assert any(line.startswith("memory: every slot is a process") for line in gives_up("prefork"))
    assert gives_up("solo")[0] == "no concurrency: one job at a time"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("thread", "pool 'thread': must be one of prefork, threads, solo, gevent. Did you mean threads?"),
        ("processes", "pool 'processes': must be one of prefork, threads, solo, gevent. Did you mean prefork?"),
        ("Prefork", "pool 'Prefork': must be one of prefork, threads, solo, gevent. Did you mean prefork?"),
        ("xyz", "pool 'xyz': must be one of prefork, threads, solo, gevent."),
    ],
)
def test_an_unknown_pool_is_refused_with_the_allowed_ones_and_the_nearest(name, message):
    with pytest.raises(UnknownPoolError) as caught:
        find_pool(name)
    assert str(caught.value) == message


def test_eventlet_is_refused_with_the_reason():
    with pytest.raises(
        UnknownPoolError, match=r"'eventlet' is not raced: .* Use one of prefork, threads, solo, gevent\."
    ):
        gives_up("eventlet")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.setting}-{'+'.join(rule.pools)}")
def test_every_setting_exists_and_its_default_is_harmless(rule):
    if rule.setting != "autoscale":
        assert DEFAULTS[rule.setting] in (None, *rule.harmless)
    assert set(rule.pools) <= set(POOLS)
    assert not rule.unless or rule.unless in DEFAULTS


@pytest.mark.parametrize("pool", POOLS)
def test_a_fresh_app_has_no_inert_settings(pool):
    assert inert_settings(pool, Celery(broker="memory://").conf) == []


@pytest.mark.parametrize(
    ("setting", "value", "inert_on"),
    [
        ("task_time_limit", 30, {"threads", "solo"}),
        ("task_soft_time_limit", 20, {"threads", "solo", "gevent"}),
        ("worker_max_tasks_per_child", 100, {"threads", "solo", "gevent"}),
        ("worker_max_memory_per_child", 200_000, {"threads", "solo", "gevent"}),
        ("autoscale", "8,2", {"threads", "solo"}),
        ("worker_autoscaler", "shop:Scaler", {"threads", "solo"}),
        ("worker_pool_restarts", True, {"threads", "solo", "gevent"}),
        ("worker_pool_start_method", "spawn", {"threads", "solo", "gevent"}),
        ("worker_proc_alive_timeout", 60.0, {"threads", "solo", "gevent"}),
        ("worker_lost_wait", 1.0, {"threads", "solo", "gevent"}),
        ("task_reject_on_worker_lost", True, {"prefork", "threads", "solo", "gevent"}),
        ("task_retry_on_worker_lost", True, {"threads", "solo", "gevent"}),
        ("task_acks_on_timeout", False, {"threads", "solo"}),
        ("worker_cancel_long_running_tasks_on_connection_loss", True, {"threads", "solo"}),
        ("worker_soft_shutdown_timeout", 10.0, {"threads", "solo"}),
        ("worker_concurrency", 8, {"solo"}),
        ("worker_prefetch_multiplier", 1, set()),
    ],
)
def test_a_changed_setting_is_named_where_it_is_inert(setting, value, inert_on):
    said = {pool: inert_settings(pool, {setting: value}) for pool in POOLS}
    assert {pool for pool, warnings in said.items() if warnings} == inert_on
    assert all(warning.setting == setting and warning.value == value for pool in inert_on for warning in said[pool])


def test_a_warning_is_a_sentence_with_the_setting_and_its_value():
    app = Celery(broker="memory://")
    app.conf.task_time_limit = 30
    assert inert_settings("threads", app.conf) == [
        InertSetting(
            setting="task_time_limit",
            value=30,
            consequence="task_time_limit = 30 is ignored silently: a job that hangs keeps its slot for ever.",
        )
    ]


def test_rejecting_lost_jobs_is_not_inert_on_prefork_once_jobs_are_acknowledged_late():
    assert inert_settings("prefork", {"task_reject_on_worker_lost": True, "task_acks_late": True}) == []
    assert inert_settings("threads", {"task_reject_on_worker_lost": True, "task_acks_late": True}) != []


def test_a_limit_of_zero_asks_for_nothing():
    assert inert_settings("threads", {"task_time_limit": 0, "worker_pool_restarts": False}) == []


def test_a_pool_that_is_not_known_gets_no_warnings():
    assert inert_settings("eventlet", {"task_time_limit": 30}) == []


def test_the_data_cannot_be_changed():
    for noun in (*POOLS.values(), POOLS["solo"].traits[Feature.MEMORY]):
        with pytest.raises(AttributeError):
            setattr(noun, fields(noun)[0].name, "other")
    with pytest.raises(TypeError):
        POOLS["other"] = POOLS["solo"]


def test_it_can_be_imported_without_celery():
    code = "import sys, poolrace.pools; sys.exit('celery' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_race_that_names_no_lanes_has_the_two_that_everybody_asks_about():
    assert DEFAULT_POOLS == ("prefork", "threads")
    assert not set(POOLS) & set(REFUSED)


@pytest.mark.parametrize("name", POOLS)
def test_a_pool_is_found_by_the_module_of_its_class(name):
    assert pool_of_module(get_implementation(name).__module__) == name


def test_a_pool_of_somebody_elses_goes_by_its_modules_name():
    assert pool_of_module("celery.concurrency.eventlet") == "eventlet"
    assert pool_of_module("shop.pools") == "pools"


def test_only_prefork_has_children_and_they_share_no_memory():
    assert FORKING == "prefork"
    assert {name: has_children(name) for name in [*POOLS, *REFUSED, ""]} == {
        **dict.fromkeys([*POOLS, *REFUSED, ""], False),
        "prefork": True,
    }
    assert {name for name, pool in POOLS.items() if pool.shares_memory} == {"threads", "solo", "gevent"}


def test_a_job_shares_its_thread_only_with_other_greenlets():
    shared = {name for name in [*POOLS, *REFUSED, "shop"] if not has_thread_of_its_own(name)}
    assert shared == {"gevent", "eventlet"}


def test_only_children_run_python_in_parallel():
    assert {name for name, pool in POOLS.items() if pool.has_parallel_python} == {"prefork"}

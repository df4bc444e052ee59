"""What a race is asked to do is checked once, and holds what the worker can really do."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.errors import UsageError
from producer.plan.lanes import parse_lanes
from producer.plan.own_app import OwnApp
from producer.plan.settings import (
    AT_MOST_S,
    QUICK_AT_MOST_S,
    QUICK_TRIAL_S,
    QUICK_WORKLOADS,
    RaceSettings,
    default_of,
)
from producer.plan.units import parse_duration_s
from producer.plan.workloads import CALLS_UPSTREAM, WORKLOADS
from worker.workloads import WORKLOADS as REGISTRY

LANES = parse_lanes(["prefork", "threads"], concurrency=8, prefetch=4, acks="early")


def test_the_workloads_are_those_of_the_worker():
    """A producer never imports a worker, so it knows them by name; this is where the two lists meet."""
    assert tuple(REGISTRY) == WORKLOADS


def test_the_upstream_is_started_for_those_workloads_that_need_it():
    assert {name for name, workload in REGISTRY.items() if "upstream_url" in workload.needs} == CALLS_UPSTREAM


@pytest.mark.parametrize(
    ("workloads", "needed"), [(("cpu",), False), (("io",), True), (("cpu", "mixed"), True), (("sleep", "noop"), False)]
)
def test_one_workload_that_calls_it_is_enough_to_need_the_upstream(workloads, needed):
    assert RaceSettings(lanes=LANES, workloads=workloads).needs_upstream is needed


def test_an_unknown_workload_is_told_with_the_nearest():
    with pytest.raises(UsageError, match=r"--workload 'nativ': unknown. Allowed: cpu, .*\(did you mean native\?\)"):
        RaceSettings(lanes=LANES, workloads=("cpu", "nativ"))


ATOMIC = parse_lanes(["threads", "threads:transport=atomic"], concurrency=8, prefetch=4, acks="early")


@pytest.mark.parametrize("url", ["amqp://me:secret@host//", "redis+socket:///run/broker.sock", "redis://a;amqp://b"])
def test_an_atomic_lane_is_refused_on_a_broker_that_it_does_not_speak_to(url):
    RaceSettings(lanes=LANES, broker_url=url)
    with pytest.raises(UsageError, match="transport of lane threads-atomic works only with redis:// and") as told:
        RaceSettings(lanes=ATOMIC, broker_url=url)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("url", [None, "redis://host/0", "rediss://user:word@host:6380/1", "redis://a;redis://b"])
def test_an_atomic_lane_runs_on_redis_and_on_the_embedded_broker(url):
    assert RaceSettings(lanes=ATOMIC, broker_url=url).lanes == ATOMIC


OWN_APP = OwnApp(app="shop:app", folder=Path(), facts={}, jobs={}, environment={}, timeout_s=1.0)
STORING = parse_lanes(["threads", "threads:results=on"], concurrency=8, prefetch=4, acks="early")


@pytest.mark.parametrize("url", ["amqp://me:secret@host//", "redis+socket:///run/broker.sock", "sentinel://host:26379"])
def test_results_of_the_demonstrations_jobs_are_refused_on_a_broker_that_cannot_store_them(url):
    with pytest.raises(UsageError, match=r"lane threads-2 stores results, .*has to be redis:// or rediss://") as told:
        RaceSettings(lanes=STORING, broker_url=url)
    assert "secret" not in str(told.value)
    RaceSettings(lanes=STORING, broker_url=url, own_app=OWN_APP, workloads=("shop.resize",))
    RaceSettings(lanes=STORING, broker_url="redis://host/0")


@pytest.mark.parametrize("workloads", [(), ("cpu", "io", "cpu")])
def test_workloads_are_named_once_each(workloads):
    with pytest.raises(UsageError, match="name one or more, each once"):
        RaceSettings(lanes=LANES, workloads=workloads)


def test_quick_means_fewer_workloads_less_time_and_shorter_trials():
    full = RaceSettings(lanes=LANES)
    assert set(QUICK_WORKLOADS) < set(full.workloads)
    assert QUICK_AT_MOST_S < AT_MOST_S
    assert full.trial_s > QUICK_TRIAL_S


def test_a_race_has_no_number_of_pairs_unless_it_is_given():
    """Rounds go where they decide most."""
    assert (RaceSettings(lanes=LANES).pairs, RaceSettings(lanes=LANES).at_most_s) == (None, None)


def test_the_usual_times_are_enough_for_a_round_of_everything():
    RaceSettings(lanes=LANES, at_most_s=AT_MOST_S)
    RaceSettings(lanes=LANES, workloads=QUICK_WORKLOADS, trial_s=QUICK_TRIAL_S, at_most_s=QUICK_AT_MOST_S)


def test_a_round_of_everything_takes_two_trials_and_what_is_beside_them_on_each_lane():
    """A round of 3 workloads on 2 lanes: 2 trials of 1 s and 1.5 s beside them, six times."""
    assert RaceSettings(lanes=LANES, workloads=("cpu", "io", "sleep"), trial_s=1.0).least_s == 21.0


@pytest.mark.parametrize(("trial_s", "lead_in_s"), [(3.0, 0.75), (1.0, 0.25), (0.6, 0.25)])
def test_the_lead_in_is_a_quarter_of_what_is_counted_and_a_quarter_of_a_second_at_least(trial_s, lead_in_s):
    assert RaceSettings(lanes=LANES, trial_s=trial_s).lead_in_s == lead_in_s


def test_a_default_is_that_of_the_field():
    assert (default_of(RaceSettings, "margin"), default_of(RaceSettings, "seed")) == (0.05, 1)
    assert default_of(RaceSettings, "workloads") == RaceSettings(lanes=LANES).workloads


@pytest.mark.parametrize("name", ["lanes", "no_such_field"])
def test_a_field_without_a_default_has_none_to_show(name):
    with pytest.raises(LookupError, match=name):
        default_of(RaceSettings, name)


def test_what_is_written_down_is_json_without_the_password():
    settings = RaceSettings(
        lanes=LANES, broker_url="redis://:secret@host/0", out=Path("elsewhere"), sizes={"cpu": {"amount": [1]}}
    )
    text = json.dumps(settings.to_dict())
    assert "secret" not in text
    assert "secret" not in repr(settings)
    assert json.loads(text)["out"] == "elsewhere"
    assert json.loads(text)["lanes"][1]["key"] == "threads"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20ms", 0.02),
        ("1.5s", 1.5),
        ("2m", 120.0),
        ("3", 3.0),
        ("0.25", 0.25),
        (" 500us ", 0.0005),
        ("60s", 60.0),
        ("1h", 3600.0),
    ],
)
def test_a_duration_has_a_unit_or_is_in_seconds(text, seconds):
    assert parse_duration_s(text, "--duration", 0.0001, 3600) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "s", "soon", "2h", "1d", "-1s", "1 s", "1,5s", "1e3", "nan", "inf", "0s", "4000s", "61m"]
)
def test_a_bad_duration_is_told_with_what_is_allowed(text):
    with pytest.raises(UsageError, match=r"must be a time from 0\.1s to 3600s, e\.g\. 1\.5s or 2m") as raised:
        parse_duration_s(text, "--duration", 0.1, 3600)
    assert f"--duration {text!r}" in str(raised.value)


@given(st.text())
def test_whatever_is_written_is_a_duration_within_bounds_or_a_usage_error(text):
    try:
        seconds = parse_duration_s(text, "--duration", 0.1, 60)
    except UsageError:
        return
    assert 0.1 <= seconds <= 60


@pytest.mark.parametrize(("low_s", "high_s"), [(0, 0.25), (0.0001, 60), (0.1, 3600), (1, 86_400)])
def test_the_times_that_an_error_gives_as_examples_are_allowed(low_s, high_s):
    with pytest.raises(UsageError) as refused:
        parse_duration_s("soon", "--duration", low_s, high_s)
    examples = str(refused.value).partition("e.g. ")[2].rstrip(".").split(" or ")
    assert len(examples) == 2
    for example in examples:
        parse_duration_s(example, "--duration", low_s, high_s)

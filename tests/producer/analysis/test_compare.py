"""Two runs are compared if they differ in one thing, and refused with all they differ in otherwise."""

import math
from dataclasses import fields, replace

import pytest

from producer.analysis.compare import HARDWARE, SOFTWARE, Difference, changes, compare_runs, differing
from producer.analysis.stats import welch
from producer.errors import UsageError
from producer.fleet.machine import describe
from producer.plan.lanes import parse_lanes
from producer.rundir.manifest import Size
from producer.rundir.reader import read_run


def manifest_of(path):
    return read_run(path).manifest


@pytest.fixture
def alike(run_maker):
    """The manifests of two races that were asked for the same."""
    return manifest_of(run_maker("first")), manifest_of(run_maker("second"))


def with_setting(manifest, **changes):
    race = {name: changes.pop(name) for name in ("pairs", "trial_s", "utilisation") if name in changes}
    settings = replace(manifest.settings, **changes, race=replace(manifest.settings.race, **race))
    return replace(manifest, settings=settings)


def with_machine(manifest, **changes):
    return replace(manifest, machine=replace(manifest.machine, **changes))


def differences(first, second):
    return {name: (each.first, each.second) for name, each in differing(first, second).items()}


def test_what_makes_a_machine_and_its_software_is_in_the_manifest():
    """A name that is nowhere would be equal in all runs, and no difference ever be seen."""
    assert {*HARDWARE, *SOFTWARE} <= {field.name for field in fields(describe())}


def test_races_of_the_same_differ_in_nothing(alike):
    assert differing(*alike) == {}


def test_what_cannot_change_a_figure_is_no_difference(alike):
    first, second = alike
    other = with_setting(replace(second, run_id="ffeeddccbbaa0099", ended_at=5.0), seed=99, out="elsewhere")
    other = with_machine(other, load_average=[9.0, 9.0, 9.0], memory_available_bytes=1)
    assert differing(first, other) == {}


@pytest.mark.parametrize(
    ("setting", "value"),
    [("pairs", 9), ("trial_s", 9.0), ("utilisation", 0.5), ("arrivals", "constant"), ("publishers", 2),
     ("workloads", ("sleep", "io"))],
)  # fmt: skip
def test_what_was_asked_is_a_difference(alike, setting, value):
    first, second = alike
    before = getattr(first.settings.race, setting, None) or getattr(first.settings, setting)
    assert differences(first, with_setting(second, **{setting: value})) == {setting: (before, value)}


@pytest.mark.parametrize(("fact", "name"), [("cpu_model", "machine"), ("limits", "machine"), ("gil", "software")])
def test_another_machine_is_one_difference_and_other_software_is_another(alike, fact, name):
    first, second = alike
    assert list(differing(first, with_machine(second, **{fact: "other"}))) == [name]


def test_another_version_is_a_difference(alike):
    first, second = alike
    versions = {**second.machine.versions, "kombu": "5.6.2"}
    assert list(differing(first, with_machine(second, versions=versions))) == ["software"]


def test_a_setting_of_one_lane_is_one_difference(alike):
    first, second = alike
    lanes = parse_lanes(["prefork:2", "threads:2:prefetch=1"], concurrency=2, prefetch=4, acks="early")
    assert differences(first, with_setting(second, lanes=lanes)) == {"lane threads: prefetch": (4, 1)}


@pytest.mark.parametrize(
    ("specs", "name"),
    [
        (["prefork:2", "threads:2:transport=atomic"], "lane threads: transport"),
        (["prefork:2:transport=atomic", "threads:2:transport=atomic"], "lanes prefork, threads: transport"),
    ],
)
def test_the_transport_of_one_lane_or_of_all_is_one_difference(alike, specs, name):
    first, second = alike
    lanes = parse_lanes(specs, concurrency=2, prefetch=4, acks="early")
    assert differences(first, with_setting(second, lanes=lanes)) == {name: ("stock", "atomic")}


def test_lanes_that_swap_their_transports_differ_in_two_things(alike):
    first, second = alike
    specs = ["prefork:2", "threads:2:transport=atomic"]
    lanes = parse_lanes(specs, concurrency=2, prefetch=4, acks="early")
    swapped = [replace(lane, transport=other) for lane, other in zip(lanes, ("atomic", "stock"), strict=True)]
    found = differing(with_setting(first, lanes=lanes), with_setting(second, lanes=swapped))
    assert set(found) == {"lane prefork: transport", "lane threads: transport"}


def test_two_embedded_brokers_are_alike_whatever_their_port(alike):
    first, second = alike
    assert differing(first, replace(second, broker="redis://127.0.0.1:50000/0 (embedded)")) == {}
    assert differences(first, replace(second, broker="redis://host:6379/0")) == {
        "broker": ("embedded", "redis://host:6379/0")
    }  # fmt: skip


def test_jobs_of_another_size_are_a_difference(alike):
    first, second = alike
    sizes = {"sleep": Size(amount=(90_000,), target_s=0.09)}
    assert differences(first, replace(second, sizes=sizes)) == {"job sizes: sleep": ([100_000], [90_000])}


def test_runs_that_differ_in_one_thing_are_compared(run_maker):
    first, second = run_maker("first"), run_maker("second", settings={"publishers": 2})
    found = compare_runs(read_run(first), read_run(second))
    assert (found.first, found.second) == (first.name, second.name)
    assert found.differs_in == {"publishers": Difference(first=1, second=2)}


def test_runs_that_differ_in_more_are_refused_with_all_of_it(run_maker):
    first, second = run_maker("first"), run_maker("second", settings={"publishers": 2, "utilisation": 0.5})
    with pytest.raises(UsageError) as raised:
        compare_runs(read_run(first), read_run(second))
    assert str(raised.value) == (
        f"{first.name} and {second.name} differ in more than one thing, so nobody could say which made a difference:\n"
        "  utilisation: 0.7 against 0.5\n"
        "  publishers: 1 against 2\n"
        f"Change one thing, and give jobs the same size: poolrace race --like {first}"
    )


def test_runs_whose_jobs_had_other_sizes_did_other_work_and_are_refused(run_maker):
    first = run_maker("first")
    second = run_maker("second", sizes={"sleep": {"amount": [90_000], "target_s": 0.09}})
    with pytest.raises(UsageError, match="differ in the size of their jobs, so they did not do the same work"):
        compare_runs(read_run(first), read_run(second))


@pytest.mark.parametrize("status", ["running", "incomplete", "invalid"])
def test_a_run_that_is_not_complete_proves_nothing(run_maker, status):
    first, second = run_maker("first"), run_maker("second", status=status)
    with pytest.raises(UsageError, match=rf"second: the run is {status} and proves nothing\. Run it again to the end"):
        compare_runs(read_run(first), read_run(second))


def test_changes_are_told_for_every_lane_and_measure(run_maker):
    first = read_run(run_maker("first"))
    second = read_run(run_maker("second", speeds={"prefork": 2.0, "threads": 0.5}))
    found = {(change.lane, change.measure): (round(change.ratio, 3), change.word) for change in changes(first, second)}
    assert found == {
        ("prefork", "capacity"): (2.0, "faster"),
        ("threads", "capacity"): (0.5, "slower"),
        ("prefork", "latency p50"): (0.5, "faster"),
        ("threads", "latency p50"): (2.0, "slower"),
    }


def test_equal_runs_show_no_difference(run_maker):
    found = changes(read_run(run_maker("first")), read_run(run_maker("second")))
    assert {change.word for change in found} == {"no difference"}


def test_two_trials_a_run_give_a_ratio_and_leave_it_open(run_maker):
    found = changes(
        read_run(run_maker("first", pairs=2)), read_run(run_maker("second", pairs=2, speeds={"prefork": 2}))
    )
    assert {change.word for change in found} == {"open"}
    assert {change.low for change in found} == {None}


def test_welch_by_hand():
    # Logarithms 0, 0.1, 0.2 against 0.5, 0.6, 0.7: means 0.1 and 0.6, variances 0.01 each, so the standard error is
    # sqrt(0.01 / 3 + 0.01 / 3) = 0.0816497. With equal variances and numbers there are 4 degrees of freedom, for which
    # t at 97.5 % is 2.776445: half width 0.226697.
    ratio, low, high, p = welch([math.exp(x) for x in (0, 0.1, 0.2)], [math.exp(x) for x in (0.5, 0.6, 0.7)])
    assert ratio == pytest.approx(math.exp(0.5))
    assert low == pytest.approx(math.exp(0.5 - 0.226697), rel=1e-5)
    assert high == pytest.approx(math.exp(0.5 + 0.226697), rel=1e-5)
    # t = 0.5 / 0.0816497 = 6.12372. With 4 degrees of freedom, p = 1 - 3/2 s + 1/2 s^3 with s = t / sqrt(t^2 + 4).
    s = 6.1237244 / math.sqrt(37.5 + 4)
    assert p == pytest.approx(1 - 1.5 * s + 0.5 * s**3, rel=1e-4)


def test_welch_counts_fewer_degrees_of_freedom_where_one_run_varies_more():
    # Variances 0.01 and 0 over three each: all of the error is the first's, which has 2 degrees of freedom,
    # for which t at 97.5 % is 4.302653; the standard error is sqrt(0.01 / 3) = 0.0577350.
    _, low, high, _ = welch([math.exp(x) for x in (-0.1, 0, 0.1)], [1.0, 1.0, 1.0])
    assert math.log(high) == pytest.approx(4.302653 * 0.0577350, rel=1e-5)
    assert math.log(low) == pytest.approx(-math.log(high))


def test_welch_of_values_that_never_vary_is_a_point():
    assert welch([2.0] * 3, [4.0] * 3) == (2.0, 2.0, 2.0, 0.0)
    assert welch([2.0] * 3, [2.0] * 3) == (1.0, 1.0, 1.0, 1.0)


def test_a_load_has_no_repeated_trials_and_is_refused_by_its_kind(run_maker):
    first, second = (run_maker(name, settings={"kind": "load"}) for name in ("first", "second"))
    with pytest.raises(UsageError, match=r"a load cannot be compared\. Give two races or two sweeps"):
        compare_runs(read_run(first), read_run(second))

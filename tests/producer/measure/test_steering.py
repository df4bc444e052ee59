"""Orders to a load that runs: each is read once, whole, and holds on the lanes that come after."""

import msgspec
import pytest
from recorded import manifest_of, recorded

from producer.errors import UsageError
from producer.measure.schedule import REVISION_LEAD_S
from producer.measure.steering import FILE, OrderFile, running_load, write_order
from producer.plan.script import Change
from producer.rundir.schema import COMPLETE, RUNNING


class Site:
    """A run directory below a parent, and the orders of the load that runs there."""

    def __init__(self, parent):
        self.parent = parent
        self.run = self.add("2026-01-31T12-00-00Z-load-1a2b3c")
        self.orders = OrderFile(self.run)

    def add(self, name, status=RUNNING, workloads=("cpu", "io")):
        run = self.parent / name
        run.mkdir()
        manifest = manifest_of(recorded(kind=name.split("-")[-2], workloads=workloads), status=status)
        (run / "manifest.json").write_bytes(msgspec.json.encode(manifest))
        return run

    def write(self, text):
        with (self.run / FILE).open("a") as file:
            file.write(text)

    def changes(self):
        """As (since when, rate, mix, paused)."""
        return [
            (pytest.approx(change.at_s), change.rate_per_s, change.mix, change.paused) for change in self.orders.changes
        ]


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_without_orders_nothing_is_changed(site):
    assert not site.orders.has_new(3.0)
    assert site.orders.changes == ()
    assert not site.orders.paused(3.0)


def test_an_order_holds_from_a_little_later_on_so_that_every_publisher_knows_of_it(site):
    write_order(site.run, {"rate_per_s": 80.0})
    assert site.orders.has_new(3.0)
    assert site.orders.changes == (Change(at_s=3.0 + REVISION_LEAD_S, rate_per_s=80.0),)


def test_an_order_is_read_once(site):
    write_order(site.run, {"rate_per_s": 80.0})
    assert site.orders.has_new(3.0)
    assert not site.orders.has_new(4.0)
    write_order(site.run, {"rate_per_s": 20.0})
    assert site.orders.has_new(5.0)
    assert not site.orders.has_new(6.0)
    assert [change.rate_per_s for change in site.orders.changes] == [80.0, 20.0]


def test_a_line_that_is_being_written_waits_for_its_end(site):
    site.write('{"rate_per_s": 80.0}\n{"paus')
    assert site.orders.has_new(1.0)
    assert not site.orders.has_new(2.0)
    site.write('ed": true}\n')
    assert site.orders.has_new(3.0)
    assert site.changes() == [(1.3, 80.0, None, False), (3.3, 80.0, None, True)]


def test_an_order_changes_only_what_it_names(site):
    for at_s, order in enumerate(
        [{"rate_per_s": 80.0}, {"mix": {"cpu": 1.0}}, {"paused": True}, {"rate_per_s": 5.0}, {"paused": False}]
    ):
        write_order(site.run, order)
        assert site.orders.has_new(float(at_s))
    assert site.changes() == [
        (0.3, 80.0, None, False),
        (1.3, 80.0, {"cpu": 1.0}, False),
        (2.3, 80.0, {"cpu": 1.0}, True),
        (3.3, 5.0, {"cpu": 1.0}, True),
        (4.3, 5.0, {"cpu": 1.0}, False),
    ]


def test_back_to_the_script_takes_rate_and_mix_back_and_not_the_pause(site):
    write_order(site.run, {"rate_per_s": 80.0, "mix": {"cpu": 1.0}, "paused": True})
    site.orders.has_new(1.0)
    write_order(site.run, {"rate_per_s": None, "mix": None})
    site.orders.has_new(2.0)
    assert site.changes()[-1] == (2.3, None, None, True)


def test_orders_that_come_together_hold_together(site):
    write_order(site.run, {"rate_per_s": 80.0})
    write_order(site.run, {"paused": True})
    assert site.orders.has_new(1.0)
    assert site.changes()[-1] == (1.3, 80.0, None, True)


def test_it_is_paused_from_when_the_change_holds_until_the_next_one(site):
    write_order(site.run, {"paused": True})
    site.orders.has_new(1.0)
    write_order(site.run, {"paused": False})
    site.orders.has_new(2.0)
    assert [site.orders.paused(at_s) for at_s in (0.0, 1.25, 1.35, 2.25, 2.35)] == [False, False, True, True, False]


def test_a_later_lane_has_the_changes_of_the_first_and_an_order_takes_the_place_of_those_to_come(site):
    """The first lane was changed at 2 and at 6; the second is told to pause at 4, so what was to come at 6 is void."""
    for at_s, rate_per_s in ((2.0, 80.0), (6.0, 20.0)):
        write_order(site.run, {"rate_per_s": rate_per_s})
        site.orders.has_new(at_s)
    first_lane = site.orders.changes
    assert not site.orders.has_new(1.0)
    assert site.orders.changes == first_lane
    write_order(site.run, {"paused": True})
    assert site.orders.has_new(4.0)
    assert site.changes() == [(2.3, 80.0, None, False), (4.3, 80.0, None, True)]
    assert site.orders.changes[0] == first_lane[0]


def test_an_order_on_a_later_lane_before_any_change_begins_with_the_script(site):
    write_order(site.run, {"rate_per_s": 80.0})
    site.orders.has_new(6.0)
    write_order(site.run, {"mix": {"io": 1.0}})
    site.orders.has_new(1.0)
    assert site.changes() == [(1.3, None, {"io": 1.0}, False)]


def test_a_load_that_is_over_takes_no_orders(site):
    run = site.add("2026-01-31T11-00-00Z-load-aaaaaa", status=COMPLETE)
    with pytest.raises(UsageError, match=r"this load is over \(complete\)\. Steer a running one"):
        write_order(run, {"paused": True})
    assert not (run / FILE).exists()


def test_workloads_that_were_not_sized_cannot_be_mixed_in(site):
    with pytest.raises(UsageError, match="--mix: disk, noop was not sized when this load began") as refused:
        write_order(site.run, {"mix": {"cpu": 1.0, "disk": 1.0, "noop": 2.0}})
    assert "Allowed: cpu, io. To mix in another one later" in str(refused.value)
    assert not (site.run / FILE).exists()


def test_the_load_that_runs_is_found_beside_those_that_are_over_and_other_runs(site):
    site.add("2026-01-31T11-00-00Z-load-aaaaaa", status=COMPLETE)
    site.add("2026-01-31T13-00-00Z-race-bbbbbb")
    assert running_load(site.parent) == site.run


def test_with_two_loads_that_run_one_must_be_named(site):
    other = site.add("2026-01-31T13-00-00Z-load-bbbbbb")
    with pytest.raises(UsageError, match="name the load to steer; 2 run below") as refused:
        running_load(site.parent)
    assert str(refused.value).endswith(f"{site.run}, {other}.")


def test_without_a_load_that_runs_that_is_said(tmp_path):
    with pytest.raises(UsageError, match=r"name the load to steer; 0 run below .*: none\."):
        running_load(tmp_path)
    with pytest.raises(UsageError, match="0 run below"):
        running_load(tmp_path / "nowhere")

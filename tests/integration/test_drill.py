"""Drills on real nodes and a real broker: what a fault costs is what is expected, and nothing is left behind."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from integration.commands import load, poolrace, until
from integration.tiers import heavy

from poolrace.profiles import PROFILES, SAFE, ProfileSetting
from producer.cli._exit_codes import BROKEN_THRESHOLD
from producer.fleet.control_group import GroupLimits, why_not
from producer.measure.drill import catalogue

PATIENCE_S = 240.0
LATE = re.compile(r"work went on after ([\d.]+) s, within ([\d.]+) s it should")
MAY_LOSE = {"broker-failover": 1}
"""What the safe profile cannot hold: a job that the broker took, and had not copied to its replica, as it died."""

APPS = Path(__file__).parents[1] / "apps"


def own(app: str) -> tuple[str, ...]:
    """Return the options that name an app of `tests/apps`."""
    folder = APPS / app
    name = load(folder / "app.json")["app"]
    return ("--app", name, "--jobs", str(folder / "jobs.jsonl"), "--workdir", str(folder))


def short_of(found: dict[str, Any]) -> list[str]:
    """Return what a drill fell short of; up to twice the time is the machine's, which other tests have, too."""
    late = {line: LATE.fullmatch(line) for line in found["short"]}
    return [line for line, each in late.items() if not each or float(each[1]) > 2 * float(each[2])]


def drilled(tmp_path: Path, *words: str) -> tuple[int, list[dict[str, Any]], str]:
    """Run drills, and return the exit code, what each found and fell short of, and what was said meanwhile."""
    with poolrace(tmp_path, "drill", *words, "--json", "--out", str(tmp_path / "runs")) as command:
        code, out, err = command.finish(PATIENCE_S)
        command.assert_nothing_left()
    results = json.loads(out)["results"]
    for found in results:
        found["short"] = short_of(found)
    if code == BROKEN_THRESHOLD and not any(found["short"] for found in results):
        code = 0
    return code, results, err


@pytest.mark.parametrize("cell", ["threads-late-atomic", heavy("prefork-early-stock"), heavy("prefork-late-stock")])
def test_a_killed_node_costs_no_more_than_its_acknowledgement_says(tmp_path: Path, cell: str) -> None:
    code, (found,), err = drilled(tmp_path, "node-kill", "--cell", cell)
    assert (code, found["short"]) == (0, []), err
    toll = found["toll"]
    assert toll["sent"] > 50
    assert toll["sent"] == toll["done"] + toll["lost"]
    assert toll["lost"] <= (3 if "early" in cell else 1 if "stock" in cell else 0)
    assert toll["lost" if "early" in cell else "repeated"] > 0
    assert [what for what, _ in found["struck"]] == ["node killed"]
    assert "<svg" in next(tmp_path.glob("runs/*-drills/drills.html")).read_text()


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("name", "cell"),
    [
        (entry.name, "prefork-safe" if number % 2 or entry.drill.needs_children else "threads-safe")
        for number, entry in enumerate(catalogue())
        if not entry.drill.beside
    ],
)
def test_each_drill_costs_what_is_expected_with_the_safe_profile(tmp_path: Path, name: str, cell: str) -> None:
    code, (found,), err = drilled(tmp_path, name, "--cell", cell)
    if found["skipped"] and why_not(GroupLimits(memory_bytes=2**30)):
        pytest.skip(found["skipped"])
    assert (code, found["short"]) == (0, []), err
    assert found["toll"]["lost"] <= MAY_LOSE.get(name, 0)


@pytest.mark.heavy
def test_nodes_of_the_atomic_transport_lose_nothing_beside_nodes_of_kombus(tmp_path: Path) -> None:
    code, (found,), err = drilled(tmp_path, "mixed-kills", "--cell", "prefork-late-atomic", "--times", "40")
    assert (code, found["short"]) == (0, []), err
    assert found["toll"]["lost_by"].get("atomic", 0) == 0
    assert {what for what, _ in found["struck"]} >= {
        "node killed", "process of a slot killed", "connections cut", "broker killed",
    }  # fmt: skip


@pytest.mark.heavy
def test_a_countdown_beyond_the_visibility_timeout_runs_again_on_kombus_transport_alone(tmp_path: Path) -> None:
    _, found, err = drilled(
        tmp_path, "eta-beyond-timeout", "--cell", "threads-early-stock", "--cell", "threads-late-atomic"
    )
    again = {each["cell"]: each["toll"]["repeated"] for each in found}
    assert again["threads-early-stock"] > 0, err
    assert again["threads-late-atomic"] == 0, err


@pytest.mark.heavy
def test_with_an_outbox_nothing_is_lost_where_the_safe_profile_alone_cannot_help(tmp_path: Path) -> None:
    _, (found,), err = drilled(tmp_path, "broker-restart", "--cell", "threads-outbox", "--without", "appendonly")
    assert (found["toll"]["lost"], found["toll"]["queued"]) == (0, 0), err
    assert found["toll"]["sent"] == found["toll"]["done"]


@pytest.mark.heavy
@pytest.mark.parametrize("setting", PROFILES[SAFE], ids=lambda setting: setting.name)
def test_without_a_setting_of_the_safe_profile_its_drill_costs_more(tmp_path: Path, setting: ProfileSetting) -> None:
    code, (found,), err = drilled(
        tmp_path, setting.drill, "--cell", "prefork-safe", "--without", setting.name
    )  # fmt: skip
    assert (code, bool(found["short"])) == (99, True), err


@pytest.mark.heavy
def test_a_drill_that_is_repeated_counts_all_of_its_jobs(tmp_path: Path) -> None:
    code, (found,), err = drilled(tmp_path, "node-term", "--cell", "threads-safe", "--repeat", "2")
    assert (code, found["repeats"], found["kept"], len(found["struck"])) == (0, 2, 2, 2), err
    assert found["toll"]["sent"] == found["toll"]["done"] > 100
    assert len(list(tmp_path.glob("runs/*/logs/node-term/threads-safe/*/answer.json"))) == 2


@pytest.mark.heavy
def test_a_drill_that_is_interrupted_leaves_nothing_running(tmp_path: Path) -> None:
    with poolrace(tmp_path, "drill", "node-freeze", "--out", str(tmp_path / "runs")) as command:
        until(lambda: list(tmp_path.glob("runs/*/logs/*/*/node-2.log")))
        command.process.send_signal(signal.SIGINT)
        code, _, err = command.finish(PATIENCE_S)
        command.assert_nothing_left()
    assert code == 130, err


def test_an_unknown_drill_and_an_unknown_cell_are_told_with_those_that_there_are(tmp_path: Path) -> None:
    for words, said in (
        (("nodekill",), "DRILL 'nodekill': there is none. Do you mean node-kill?"),
        (("node-kill", "--times", "5"), "--times: node-kill strikes as often as it declares. Those that take it: "),
        (("node-kill", "--cell", "solo"), "--cell 'solo': there is none. They are prefork-early-stock, "),
    ):
        with poolrace(tmp_path, "drill", *words) as command:
            code, out, err = command.finish()
        assert (code, out) == (2, "")
        assert said in err


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("app", "cell"), [("bound", "threads-own"), ("routes", "prefork-safe"), ("canvas", "threads-outbox")]
)
def test_a_users_own_app_is_drilled_as_it_is_and_ends_with_lines_for_a_runbook(
    tmp_path: Path, app: str, cell: str
) -> None:
    """One whose tasks try again by themselves, one with several queues, and one whose jobs have others follow."""
    words = ("node-kill", "--cell", cell, "--visibility", "3", "--longest", "1s", "--yes-effects")
    with poolrace(tmp_path, "drill", *own(app), *words, "--out", str(tmp_path / "runs")) as command:
        code, out, err = command.finish(PATIENCE_S)
        command.assert_nothing_left()
    assert "For the runbook" in out
    assert "The longest job took" in out
    (answer,) = tmp_path.glob("runs/*/logs/node-kill/*/answer.json")
    found = json.loads(answer.read_text())
    assert (code == BROKEN_THRESHOLD, short_of(found)) == (bool(found["short"]), []), out + err
    toll = found["toll"]
    assert toll["done"] > 20
    assert toll["sent"] == toll["done"] + toll["lost"]
    assert toll["lost"] <= (3 if "own" in cell else 0)


@pytest.mark.heavy
def test_with_an_outbox_a_broker_that_forgets_all_costs_a_users_own_app_no_job(tmp_path: Path) -> None:
    words = ("broker-restart", "--cell", "threads-outbox", "--without", "appendonly", "--visibility", "3")
    code, (found,), err = drilled(tmp_path, *own("bound"), *words, "--longest", "1s", "--yes-effects")
    toll = found["toll"]
    assert (code, toll["lost"], toll["queued"]) == (0, 0, 0), err
    assert toll["sent"] == toll["done"] > 20
    assert "sent again by the outbox" in {what for what, _ in found["struck"]}


def test_an_own_app_is_not_drilled_without_a_word_on_what_its_jobs_do_outside(tmp_path: Path) -> None:
    for words, said in (
        (("node-kill",), "--yes-effects"),
        (("job-crash", "--yes-effects"), "sends jobs of its own"),
        (("node-kill", "--yes-effects", "--visibility", "3"), "--visibility 3: must be more than --longest 5s"),
    ):
        with poolrace(tmp_path, "drill", *own("bound"), *words) as command:
            code, out, err = command.finish()
        assert (code, out) == (2, "")
        assert said in err


def test_without_a_name_all_drills_are_listed(tmp_path: Path) -> None:
    with poolrace(tmp_path, "drill") as command:
        code, out, _ = command.finish()
    assert code == 0
    assert all(entry.name in out for entry in catalogue())

"""Which cells the words of `poolrace drill` name."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from poolrace.pools import DEFAULT_POOLS, POOLS
from producer.cli import drill as module
from producer.cli.drill import drill


def refusal(*words: str) -> str:
    """Return why words are refused."""
    return str(CliRunner().invoke(drill, [*words], obj={}).exception)


def test_without_a_pool_there_are_the_cells_of_those_that_are_raced() -> None:
    said = refusal("node-kill", "--cell", "nothing")
    assert said.startswith("--cell 'nothing': there is none.")
    assert all(f"{name}-late-atomic" in said for name in DEFAULT_POOLS)
    assert "solo-" not in said


@pytest.mark.parametrize("words", [["--pool", "solo", "--cell", "nothing"], ["--cell", "solo-nothing"]])
def test_a_pool_is_named_by_itself_or_by_a_cell(words: list[str]) -> None:
    said = refusal("node-kill", *words)
    assert "solo-early-stock, solo-late-stock, solo-late-atomic, solo-safe, solo-outbox" in said
    assert "prefork" not in said


def test_a_pool_that_needs_a_package_is_told_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    name, package = next((pool.name, pool.package) for pool in POOLS.values() if pool.package)
    assert refusal("node-kill", "--pool", name) == (
        f"--pool {name}: needs the package {package}. Install it: pip install {package}."
    )


def test_a_pool_that_there_is_not_is_told_with_those_that_there_are() -> None:
    assert "'solo'" in refusal("node-kill", "--pool", "processes")


ON = ("--broker", "redis://127.0.0.1:1/0")


def test_a_pool_that_there_is_not_on_nodes_that_run_already_is_refused_as_well() -> None:
    assert "'solo'" in refusal(*ON, "node-term", "--pool", "processes")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--fault-command", "true"), "--fault-command: is for nodes that run already. Name their broker: --broker."),
        (("node-kill", "--rate", "5/s"), "--rate: is for nodes that run already."),
        ((*ON, "--fault-command", "true", "--fault-by-hand"), "contradict each other"),
        ((*ON, "--fault-command", "true", "node-term"), "stand in the place of DRILL"),
        ((*ON, "node-term", "--cell", "threads-safe"), "--cell: with --broker nodes are drilled as they are."),
        ((*ON, "node-term", "--app", "shop"), "--app: with --broker nodes are drilled as they are."),
        ((*ON, "own-fault"), "DRILL 'own-fault': is what you do yourself. Name it by --broker and --fault-command."),
        ((*ON, "features"), "features: tries what pools do, on nodes of its own. Leave --broker out."),
        ((*ON, "node-term"), "--broker redis://127.0.0.1:1/0: "),
    ],
)
def test_options_that_contradict_each_other_are_refused_with_what_is_meant(words: tuple[str, ...], said: str) -> None:
    assert said in refusal(*words)


def test_the_broker_of_the_environment_is_drilled_unless_the_drill_shall_have_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POOLRACE_BROKER_URL", "redis://127.0.0.1:1/0")
    assert "--cell: with --broker" in refusal("node-kill", "--cell", "nothing")
    assert "--cell 'nothing': there is none." in refusal("node-kill", "--cell", "nothing", "--own-fleet")


def test_the_list_for_a_broker_says_what_is_left_out_there_without_asking_it() -> None:
    shown = CliRunner().invoke(drill, [*ON], obj={}).output
    assert "Left out there" in shown
    assert "node-kill" in shown

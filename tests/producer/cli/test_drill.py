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

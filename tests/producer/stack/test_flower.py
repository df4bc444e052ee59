"""Flower is started with a login and read-only, and nothing secret stands on its command line."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import pytest

from producer.errors import UsageError
from producer.stack import flower, passwords

if TYPE_CHECKING:
    from pathlib import Path


def test_flower_knows_every_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(flower.APART))
    from flower.options import default_options

    assert [name for name in flower.DEFAULTS if name.removeprefix("FLOWER_").lower() not in default_options] == []


def test_a_flower_that_is_kept_apart_is_on_its_own_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apart = tmp_path / "flower"
    monkeypatch.setattr(flower, "APART", apart)
    assert flower.with_path({"PYTHONPATH": "mine"}) == {"PYTHONPATH": "mine"}
    (apart / "flower").mkdir(parents=True)
    assert flower.is_installed()
    assert flower.with_path({"PYTHONPATH": "mine"}) == {"PYTHONPATH": os.pathsep.join((str(apart), "mine"))}
    assert flower.with_path({}) == {"PYTHONPATH": str(apart)}


def test_no_other_process_of_celery_finds_it() -> None:
    assert "flower" not in {each.name for each in entry_points(group="celery.commands")}


def test_it_asks_for_the_login_and_changes_nothing_by_itself() -> None:
    environ = flower.environment({"PATH": "/bin"}, ("poolrace", "secret"))
    assert environ["FLOWER_BASIC_AUTH"] == "poolrace:secret"
    assert environ["FLOWER_READ_ONLY"] == "true"
    assert environ["PATH"] == "/bin"


def test_the_caller_may_set_any_option_but_not_the_login() -> None:
    environ = flower.environment(
        {"FLOWER_READ_ONLY": "false", "FLOWER_PORT": "5556", "FLOWER_BASIC_AUTH": "a:b", "FLOWER_MAX_TASKS": ""},
        ("poolrace", "secret"),
    )
    assert (environ["FLOWER_READ_ONLY"], environ["FLOWER_PORT"]) == ("false", "5556")
    assert environ["FLOWER_BASIC_AUTH"] == "poolrace:secret"
    assert environ["FLOWER_MAX_TASKS"] == flower.DEFAULTS["FLOWER_MAX_TASKS"]


def test_no_password_is_on_its_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passwords.make(tmp_path)
    became = []
    monkeypatch.setattr(os, "execve", lambda *words: became.append(words))
    flower.start(tmp_path)
    ((_, command, environ),) = became
    user, password = passwords.flower_login(tmp_path)
    assert command[1:] == ["-m", "celery", "-A", "worker.app", "flower"]
    assert environ["FLOWER_BASIC_AUTH"] == f"{user}:{password}"


def test_without_a_login_there_is_no_flower(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not there yet"):
        flower.start(tmp_path)

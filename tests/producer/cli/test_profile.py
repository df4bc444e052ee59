"""A profile, alone and beside the settings of real apps."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from poolrace.profiles import PROFILES, SAFE
from producer.cli.profile import profile
from producer.measure.drill import find

if TYPE_CHECKING:
    from pathlib import Path

APP = """
from celery import Celery
app = Celery("shop", broker="redis://127.0.0.1:1/0")
app.conf.update({settings})

@app.task{options}
def charge():
    pass
"""
ALL = "task_acks_late=True, task_reject_on_worker_lost=True, broker_transport='poolrace.transport:Transport'"


def asked(tmp_path: Path, settings: str, options: str = "", app: str = APP) -> tuple[int, dict[str, Any]]:
    (tmp_path / "shop.py").write_text(app.format(settings=settings, options=options))
    done = CliRunner().invoke(
        profile, ["safe", "--app", "shop:app", "--workdir", str(tmp_path), "--json"], obj={}, standalone_mode=False
    )
    assert done.exception is None, done.exception
    return done.return_value, {each["name"]: each for each in json.loads(done.stdout)["settings"]}


def test_an_app_of_defaults_would_have_to_change_each_setting(tmp_path: Path) -> None:
    code, found = asked(tmp_path, "")
    assert code == 99
    assert [name for name, each in found.items() if each["fits"] is False] == [
        "task_acks_late", "task_reject_on_worker_lost", "broker_transport",
    ]  # fmt: skip
    assert found["appendonly"]["fits"] is None


def test_an_app_that_has_them_all_has_nothing_to_change(tmp_path: Path) -> None:
    code, found = asked(tmp_path, ALL)
    assert code == 0
    assert all(each["fits"] is not False for each in found.values())


@pytest.mark.parametrize(("transport", "code"), [("SentinelTransport", 0), ("Transport", 99)])
def test_behind_sentinel_an_app_needs_the_transport_for_it(tmp_path: Path, transport: str, code: int) -> None:
    behind = APP.replace("redis://127.0.0.1:1/0", "sentinel://127.0.0.1:1;sentinel://127.0.0.1:2")
    settings = ALL.replace("poolrace.transport:Transport", f"poolrace.transport:{transport}")
    ended, found = asked(tmp_path, settings, app=behind)
    assert found["broker_transport"]["value"] == "poolrace.transport:SentinelTransport"
    assert ended == code


def test_a_task_that_switches_a_setting_off_for_itself_is_named(tmp_path: Path) -> None:
    code, found = asked(tmp_path, ALL, "(acks_late=False)")
    assert code == 99
    assert found["task_acks_late"]["overruled"] == ["shop.charge"]
    assert found["task_reject_on_worker_lost"]["overruled"] == []


def test_an_app_that_does_not_import_is_told(tmp_path: Path) -> None:
    done = CliRunner().invoke(profile, ["safe", "--app", "none:app", "--workdir", str(tmp_path)], obj={})
    assert "none:app cannot be imported" in str(done.exception)


def test_the_lines_to_write_come_first() -> None:
    done = CliRunner().invoke(profile, ["safe"], obj={}, standalone_mode=False)
    (
        first,
        *_,
    ) = done.stdout.splitlines()
    assert first == "The profile safe"
    assert "app.conf.task_acks_late = True" in done.stdout
    assert "appendonly yes" in done.stdout


@pytest.mark.parametrize("each", PROFILES[SAFE], ids=lambda each: each.name)
def test_each_setting_names_a_drill_that_there_is(each: Any) -> None:
    assert find(each.drill) is not None

"""The state folder notes what runs, in one step, and is its owner's alone."""

import os
import stat

import pytest

from producer.errors import FleetError, UsageError
from producer.stack.daemons import Daemon, birth
from producer.stack.settings import StackSettings
from producer.stack.state import Ledger, StateFolder


@pytest.fixture
def state(tmp_path):
    state = StateFolder(tmp_path / "stack")
    state.make()
    return state


def test_it_is_readable_by_its_owner_alone(state):
    folders = [state.path, state.secrets, state.logs, state.broker, state.disk, state.temporary]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}


def test_a_place_that_cannot_be_a_folder_is_reported(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"--state .*file: .* Name a folder that can be written"):
        StateFolder(tmp_path / "file").make()


def test_what_is_written_is_read(state):
    assert state.read() == Ledger()
    ledger = Ledger(
        settings=StackSettings(concurrency=3), ports={"broker": 6001}, daemons={"broker": Daemon(pid=1, born="x:1")}
    )
    state.write(ledger)
    assert state.read() == ledger
    assert [path.name for path in state.path.iterdir() if path.is_file()] == ["stack.json"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"settings": {"speed": 1}, "ports": {}, "daemons": {}}'])
def test_a_file_that_is_no_ledger_is_reported(state, text):
    (state.path / "stack.json").write_text(text)
    with pytest.raises(UsageError, match=r"stack\.json: cannot be read as a stack's ledger"):
        state.read()


def test_a_new_process_has_a_new_log_and_no_old_health(state):
    state.begin("broker").write_text("first")
    state.health("broker").mkdir(parents=True)
    log = state.begin("broker")
    assert (log.read_text(), log.with_suffix(".log.1").read_text()) == ("", "first")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert not state.health("broker").exists()


def test_what_is_cleared_is_what_has_no_use_any_more(state):
    state.begin("broker")
    state.clear()
    assert (state.secrets.is_dir(), state.broker.is_dir(), state.log("broker").is_file()) == (True, True, True)
    assert not state.disk.exists()
    assert not state.temporary.exists()


def test_one_command_at_a_time_changes_it(state):
    with (
        state.locked(),
        pytest.raises(FleetError, match="Another poolrace stack up or down is at work on"),
        state.locked(),
    ):
        pass
    with state.locked():
        pass


def test_a_process_is_known_by_its_birth(state):
    ledger = Ledger(
        daemons={
            "broker": Daemon(pid=os.getpid(), born=birth(os.getpid())),
            "upstream": Daemon(pid=os.getpid(), born="another boot:1"),
        }
    )
    assert [ledger.runs(part) for part in ("broker", "upstream", "flower")] == [True, False, False]


def test_a_process_that_is_not_there_has_no_birth():
    assert birth(2**22 + 1) is None

"""What every command shares."""

import pytest

from producer.commands import broker_from_environment
from producer.errors import UsageError


def test_a_container_of_the_stack_knows_its_broker(monkeypatch, tmp_path):
    (tmp_path / "password").write_text("secret\n")
    monkeypatch.setenv("POOLRACE_BROKER_URL", "redis://poolrace@redis:6379/0")
    monkeypatch.setenv("POOLRACE_BROKER_PASSWORD_FILE", str(tmp_path / "password"))
    assert broker_from_environment() == "redis://poolrace:secret@redis:6379/0"


def test_a_password_file_that_is_not_there_is_a_message_and_no_crash(monkeypatch, tmp_path):
    monkeypatch.setenv("POOLRACE_BROKER_URL", "redis://poolrace@redis:6379/0")
    monkeypatch.setenv("POOLRACE_BROKER_PASSWORD_FILE", str(tmp_path / "missing"))
    with pytest.raises(UsageError, match="No such file"):
        broker_from_environment()

"""What every command shares."""

import pytest

from producer.cli import _output as output
from producer.cli._broker import broker_from_environment
from producer.cli._output import RunReport, finish, write_pictures, write_summary
from producer.errors import InvalidRunError, UsageError
from producer.report.summary_json import from_json


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


def test_a_run_whose_page_cannot_be_made_is_told_and_good_all_the_same(run_maker, monkeypatch, capsys):
    def broken(*words, **options):
        raise ZeroDivisionError("of a picture")

    path = run_maker()
    monkeypatch.setattr(output, "write_pictures", broken)
    assert finish(path, None, as_json=False) == 0
    printed = capsys.readouterr()
    assert "What to run" in printed.out
    assert printed.err == "The page with pictures was not made: ZeroDivisionError: of a picture\n"
    assert (path / "summary.json").exists()


def test_a_run_that_has_ended_has_its_page(run_maker):
    path = run_maker()
    assert finish(path, None, as_json=True) == 0
    assert (path / "report.html").read_text().startswith("<!doctype html>")


def test_a_page_that_cannot_be_written_is_told_and_leaves_no_draft(run_maker):
    path = run_maker()
    (path / "report.html").mkdir()
    with pytest.raises(InvalidRunError, match=r"report\.html cannot be written"):
        write_pictures(RunReport.of(path), html=True)
    assert list(path.glob("*.part")) == []


def test_a_summary_is_written_with_its_report_and_is_read_as_it_was(run_maker):
    report = RunReport.of(run_maker())
    write_summary(report)
    assert from_json((report.run.path / "summary.json").read_text()) == report.summary
    assert (report.run.path / "report.md").read_text().startswith("### Race of 2023-11-14")

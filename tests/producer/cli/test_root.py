"""A wrong word on the command line gets one message that says what is right, exit code 2, and nothing is started."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from producer import interrupts
from producer.cli import _output, race
from producer.cli._exit_codes import exit_code_of
from producer.cli._options import user_environment
from producer.cli._root import LazyGroup, main
from producer.errors import FleetError, InterruptedRunError, InvalidRunError, PoolraceError, UsageError
from producer.plan.settings import RaceSettings
from producer.rundir.writer import RunWriter


@pytest.fixture
def poolrace(monkeypatch, tmp_path):
    """The command, in this process: gives its exit code, standard output and standard error."""
    before = {number: signal.getsignal(number) for number in interrupts.SIGNALS}
    monkeypatch.chdir(tmp_path)

    def run(*words):
        result = CliRunner().invoke(main, words, prog_name="poolrace")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout, result.stderr

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def refused(poolrace, tmp_path):
    """Run words that must be refused; gives the message."""

    def run(*words):
        code, out, err = poolrace(*words)
        assert (code, out) == (2, "")
        assert "Traceback" not in err
        assert list(tmp_path.iterdir()) == []
        return err

    return run


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--workload", "gpu"], "--workload 'gpu': unknown. Allowed: cpu, disk, io, mixed, native, noop, sleep"),
        (["--workload", "slep"], "(did you mean sleep?)"),
        (["--workload", "cpu", "--workload", "cpu"], "--workload: name one or more, each once"),
        (["--lane", "threads:8"], "--lane: a race needs at least two lanes and got 1"),
        (["--lane", "threads", "--lane", "prefrok"], "unknown pool 'prefrok'. Allowed: prefork, threads, solo, gevent"),
        (["--lane", "threads", "--lane", "threads:0"], "--lane 'threads:0': concurrency '0': must be a whole number"),
        (["--apart", "cpu=threads"], "--apart 'cpu=threads': there is no mix. Name an app with several tasks"),
        (["--concurrency", "0"], "--concurrency '0': must be a whole number from 1 to 1024, e.g. 8"),
        (["--concurrency", "many"], "--concurrency 'many': must be a whole number from 1 to 1024"),
        (["--concurrency", ""], "--concurrency '': must be"),
        (["--concurrency", "100000"], "--concurrency '100000': must be"),
        (["--pairs", "0"], "--pairs '0': must be a whole number from 1 to 1000"),
        (["--pairs", "2.5"], "--pairs '2.5': must be"),
        (["--pairs", ""], "--pairs '': must be"),
        (["--duration", "0"], "--duration '0': must be a time from 0.1s to 3600s, e.g. 1.5s or 2m"),
        (["--duration", "soon"], "--duration 'soon': must be a time"),
        (["--duration", "-1s"], "--duration '-1s': must be a time"),
        (["--duration", ""], "--duration '': must be a time"),
        (["--job-duration", "2m"], "--job-duration '2m': must be a time from 0.0001s to 60s"),
        (["--job-duration", ""], "--job-duration '': must be a time"),
        (["--cpu-share", "1.5"], "--cpu-share '1.5': must be a number from 0 to 1"),
        (["--cpu-share", "nan"], "--cpu-share 'nan': must be a number"),
        (["--cpu-share", ""], "--cpu-share '': must be a number"),
        (["--utilisation", "1"], "--utilisation '1': must be a number from 0.05 to 0.95"),
        (["--utilisation", "most"], "--utilisation 'most': must be a number"),
        (["--margin", "0"], "--margin '0': must be a number from 0.001 to 0.5"),
        (["--prefetch", "0"], "--prefetch '0': must be a whole number from 1 to 1000"),
        (["--seed", "-1"], "--seed '-1': must be a whole number from 0"),
        (["--publishers", "0"], "--publishers '0': must be a whole number from 1 to 64"),
        (["--ready-within", "0s"], "--ready-within '0s': must be a time from 1s to 3600s"),
        (["--arrivals", "bursts"], "--arrivals 'bursts': must be poisson or constant"),
        (["--acks", "never"], "--acks 'never': must be early or late"),
        (["--broker", "localhost"], "--broker: not a URL. Give one such as redis://"),
        (["--broker", ""], "--broker: not a URL"),
        (["--lane", "threads", "--lane", "threads:transport=atomic", "--broker", "amqp://host//", "--start-nodes"],
         "--broker amqp://host//: the atomic transport of lane threads-atomic works only with redis:// and rediss://."),
        (["--like", "nowhere"], "nowhere is no run directory: it has no manifest.json"),
        (["--concurency", "8"], "No such option '--concurency'"),
        (["cpu"], "unexpected extra argument"),
    ],
)  # fmt: skip
def test_a_wrong_word_of_a_race_is_told_with_what_is_right(refused, words, message):
    assert message in refused("race", *words)


def test_a_password_in_a_wrong_url_is_not_shown(refused):
    assert "geheim" not in refused("race", "--broker", ":geheim@localhost")


def test_an_unknown_command_is_told(refused):
    assert "No such command 'rase'" in refused("rase")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["limit"], "Missing option '--slo'. See: poolrace limit --help"),
        (["export", "x"], "Choose from: csv, jsonl, hgrm, trace, openmetrics. See: poolrace export --help"),
        (["compare", "x"], "Missing argument 'SECOND'. See: poolrace compare --help"),
        (["load", "--lane"], "Option '--lane' requires an argument. See: poolrace load --help"),
        (["race", "cpu"], "Got unexpected extra argument (cpu). See: poolrace race --help"),
        (["secrets", "mak"], "No such command 'mak'. Did you mean 'make'? See: poolrace secrets --help"),
        (["--nothing"], "No such option '--nothing'. See: poolrace --help"),
    ],
)
def test_what_is_wrong_with_a_command_line_is_one_line_that_names_the_help(poolrace, words, line):
    code, out, err = poolrace(*words)
    assert (code, out) == (2, "")
    assert [*err.splitlines()] == [err.rstrip("\n")]
    assert err.startswith("poolrace: ")
    assert err.endswith(f"{line}\n")


def test_the_command_alone_shows_the_subcommands(poolrace):
    code, out, err = poolrace()
    assert (code, out) == (2, "")
    assert "  race " in err


@pytest.mark.parametrize("command", ["report", "compare"])
def test_a_folder_that_is_no_run_directory_is_told(refused, command):
    folders = ["nowhere"] * (2 if command == "compare" else 1)
    assert "nowhere is no run directory" in refused(command, *folders)


def test_a_report_needs_a_run(refused):
    assert "Missing argument 'RUN'" in refused("report")


def test_a_run_directory_that_cannot_be_made_is_told_before_anything_starts(poolrace, tmp_path):
    (tmp_path / "file").touch()
    code, out, err = poolrace("race", "--out", "file")
    assert (code, out) == (2, "")
    assert "--out file: a run directory cannot be written there" in err.splitlines()[-1]


@pytest.mark.parametrize("command", [[], *([name] for name in main.list_commands(None))])
def test_help_of_every_command_ends_with_examples(poolrace, command):
    code, out, _ = poolrace(*command, "--help")
    assert code == 0
    _, found, examples = out.partition("Examples:")
    assert found
    assert f"poolrace {' '.join(command)}" in examples
    # Nothing but examples, and the exit codes of a race, comes behind.
    assert "Options:" not in examples
    assert "--help" not in examples


def test_help_says_what_each_exit_code_means(poolrace):
    _, out, _ = poolrace("race", "--help")
    for error in (UsageError, FleetError, InvalidRunError, InterruptedRunError):
        assert f"    {error.exit_code}  " in out


def test_short_help_works_too(poolrace):
    assert poolrace("-h") == poolrace("--help")


@pytest.fixture
def asked():
    """The settings that words on the command line become."""

    def run(*words):
        context = race.race.make_context("race", list(words))
        del context.params["as_json"], context.params["junit"], context.params["live"]
        return race.race_settings(**context.params)

    return run


def test_no_words_mean_the_defaults(asked):
    found = asked()
    assert found == RaceSettings(lanes=found.lanes, at_most_s=90.0)
    assert [(lane.key, lane.slots, lane.prefetch, lane.acks) for lane in found.lanes] == [
        ("prefork", 8, 4, "early"),
        ("threads", 8, 4, "early"),
    ]
    assert found.workloads == ("cpu", "native", "io", "mixed")


def test_every_word_arrives_where_it_belongs(asked):
    found = asked(
        "--lane", "threads:3", "--lane", "prefork", "--workload", "sleep", "--concurrency", "5", "--pairs", "7",
        "--duration", "2s", "--job-duration", "30ms", "--cpu-share", "0", "--utilisation", "0.6", "--arrivals",
        "constant", "--prefetch", "1", "--acks", "late", "--margin", "0.1", "--seed", "0", "--publishers", "2",
        "--broker", "redis://:secret@host:6379/1", "--start-nodes", "--out", "elsewhere",
    )  # fmt: skip
    assert [(lane.key, lane.slots, lane.prefetch, lane.acks) for lane in found.lanes] == [
        ("threads", 3, 1, "late"),
        ("prefork", 5, 1, "late"),
    ]
    assert (found.workloads, found.pairs, found.trial_s, found.job_s) == (("sleep",), 7, 2.0, 0.03)
    assert (found.cpu_share, found.utilisation, found.arrivals, found.margin) == (0.0, 0.6, "constant", 0.1)
    assert (found.seed, found.publishers, found.out) == (0, 2, Path("elsewhere"))
    assert found.broker_url == "redis://:secret@host:6379/1"


def test_quick_gives_way_to_what_is_named(asked):
    assert asked("--quick").workloads == ("cpu", "io")
    found = asked("--quick", "--workload", "mixed", "--pairs", "9")
    assert (found.workloads, found.pairs, found.trial_s, found.quick) == (("mixed",), 9, 0.5, True)


def test_a_race_ends_after_a_time_unless_something_else_ends_it(asked):
    assert asked("--at-most", "5m").at_most_s == 300.0
    assert asked("--quick").at_most_s == 30.0
    # Ten lanes: 40 x (3 x (2 x 0.6 s + 0.25 s + 0.5 s) + 2 x 0.5 s + 1 s) for three rounds of four workloads.
    assert asked(*["--lane", "threads:2"] * 10).at_most_s == 314.0
    assert asked("--until-settled").at_most_s is asked("--pairs", "5").at_most_s is None
    assert asked("--until-settled", "--at-most", "60m").at_most_s == 3600.0


def test_like_takes_the_sizes_of_an_earlier_run(asked, run_maker):
    assert asked("--like", str(run_maker())).sizes["sleep"]["amount"] == (100_000,)


def test_variables_that_lead_celery_elsewhere_are_taken_away(poolrace, monkeypatch):
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://elsewhere")
    poolrace("report", "nowhere")
    assert "CELERY_BROKER_URL" not in os.environ


def test_a_users_own_app_still_gets_them(poolrace, monkeypatch):
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://theirs")
    found = []

    @click.command()
    def probe():
        found.append(user_environment()["CELERY_BROKER_URL"])

    monkeypatch.setattr(LazyGroup, "get_command", lambda *_: probe)
    assert poolrace("probe")[0] == 0
    assert found == ["redis://theirs"]


def test_a_report_is_printed_and_written_into_the_run_directory(poolrace, run_maker):
    path = run_maker(speeds={"prefork": 2.0})
    code, out, err = poolrace("report", str(path))
    assert (code, err) == (0, "")
    assert "2.00 to 2.00 times as many as threads" in out
    assert json.loads((path / "summary.json").read_text())["status"] == "complete"
    assert (path / "report.md").read_text().startswith("### Race of")


def test_json_is_the_summary_alone(poolrace, run_maker):
    path = run_maker()
    code, out, err = poolrace("report", "--json", str(path))
    assert (code, err) == (0, "")
    assert json.loads(out) == json.loads((path / "summary.json").read_text())


def test_markdown_is_what_is_written(poolrace, run_maker):
    path = run_maker()
    code, out, _ = poolrace("report", "--markdown", str(path))
    assert (code, out) == (0, (path / "report.md").read_text())


def test_the_page_is_written_where_the_run_is(poolrace, run_maker):
    path = run_maker()
    code, out, err = poolrace("report", "--html", "--json", str(path))
    assert (code, err) == (0, f"Page: {path / 'report.html'}\n")
    assert json.loads(out)["valid"]
    assert (path / "report.html").read_text().startswith("<!doctype html>")


def test_pictures_as_files_are_refused_without_a_browser(poolrace, run_maker, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    code, out, err = poolrace("report", "--png", str(tmp_path / "pictures"), str(run_maker()))
    assert (code, out) == (2, "")
    assert "apt-get install chromium" in err
    assert not (tmp_path / "pictures").exists()


def test_a_report_of_an_invalid_run_says_so_in_its_exit_code(poolrace, run_maker):
    code, out, _ = poolrace("report", str(run_maker(status="incomplete", reason="The broker is gone.")))
    assert code == 4
    assert "This run is not valid" in out


def test_a_report_is_printed_even_where_it_cannot_be_written(poolrace, run_maker):
    path = run_maker()
    (path / "summary.json.part").mkdir()
    code, out, err = poolrace("report", str(path))
    assert code == 4
    assert "What to run" in out
    assert "summary.json cannot be written" in err


def test_a_report_tells_money_at_the_price_of_a_core(poolrace, run_maker):
    path = run_maker()
    code, out, _ = poolrace("report", "--core-hour", "0.04 EUR", str(path))
    assert code == 0
    assert "EUR a million" in out
    assert "Money is CPU time at 0.04 EUR a core-hour" in out
    assert "million" not in poolrace("report", str(path))[1]
    code, out, err = poolrace("report", "--core-hour", "cheap", str(path))
    assert (code, out) == (2, "")
    assert "--core-hour 'cheap': no price" in err


def test_two_runs_are_compared(poolrace, run_maker):
    first, second = run_maker("first"), run_maker("second", speeds={"prefork": 2.0})
    code, out, err = poolrace("compare", str(first), str(second))
    assert (code, err) == (0, "")
    assert "faster" in out
    code, out, _ = poolrace("compare", "--json", str(first), str(second))
    assert code == 0
    assert {change["word"] for change in json.loads(out)["changes"]} == {"faster", "no difference"}


def test_two_runs_side_by_side_are_a_page_beside_the_second(poolrace, run_maker):
    first, second = run_maker("first"), run_maker("<b>second</b>".replace("/", "-"), speeds={"prefork": 2.0})
    page = second / f"compared-with-{first.name}.html"
    code, out, err = poolrace("compare", "--html", "--json", str(first), str(second))
    assert (code, err) == (0, f"Page: {page}\n")
    assert json.loads(out)["second"] == second.name
    written = page.read_text()
    assert "What changed" in written
    assert "<b>second" not in written
    assert "&lt;b&gt;second" in written


def test_a_page_for_which_there_is_no_place_is_told(poolrace, run_maker):
    first, second = run_maker("first"), run_maker("second")
    (second / f"compared-with-{first.name}.html").mkdir()
    code, out, err = poolrace("compare", "--html", str(first), str(second))
    assert (code, out) == (4, "")
    assert "cannot be written" in err
    assert "name another place" not in err


def test_runs_that_differ_in_more_than_one_thing_are_refused(poolrace, run_maker):
    first, second = run_maker("first"), run_maker("second", settings={"pairs": 9, "utilisation": 0.5})
    code, out, err = poolrace("compare", str(first), str(second))
    assert (code, out) == (2, "")
    assert "pairs: 3 against 9" in err
    assert "utilisation: 0.7 against 0.5" in err


@pytest.mark.parametrize(
    ("error", "code"),
    [(UsageError("a"), 2), (FleetError("a"), 3), (InvalidRunError("a"), 4), (InterruptedRunError("a"), 130)],
)
def test_an_error_is_one_line_and_its_own_exit_code(capsys, error, code):
    def command():
        raise error

    assert exit_code_of(command) == code
    assert capsys.readouterr() == ("", "poolrace: a\n")


def test_ctrl_c_is_one_line(capsys):
    def command():
        raise KeyboardInterrupt

    assert exit_code_of(command) == 130
    assert capsys.readouterr().err == "poolrace: Interrupted.\n"


def test_a_bug_keeps_its_traceback():
    def command():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        exit_code_of(command)


def finished(path, error=None, *, as_json=False):
    return _output.finish(path, error, as_json=as_json)


def test_a_race_that_ended_well_is_shown_and_where_its_page_is(run_maker, capsys):
    path = run_maker()
    assert finished(path) == 0
    out, err = capsys.readouterr()
    assert "What to run" in out
    assert err == f"Page: {path / 'report.html'}\n"
    assert (path / "report.html").is_file()
    finished(path, as_json=True)
    assert capsys.readouterr().err == ""


def test_a_race_that_was_cut_short_shows_what_it_has_and_why_it_ended(run_maker, capsys):
    path = run_maker(status="incomplete", reason="The broker is gone.")
    assert finished(path, FleetError("The broker is gone.")) == 3
    out, err = capsys.readouterr()
    assert "This run is not valid" in out
    assert err.splitlines() == [
        f"Page: {path / 'report.html'}",
        f"What was measured until then is kept, marked incomplete: {path}",
        "poolrace: The broker is gone.",
    ]


def test_a_race_that_measured_nothing_says_where_the_logs_are(tmp_path, capsys, run_maker):
    path = run_maker(pairs=0, status="incomplete")
    assert finished(path, FleetError("The node ended.")) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [f"Nothing was measured. Logs are in {path / 'logs'}.", "poolrace: The node ended."]


def test_json_of_a_race_that_was_cut_short_is_still_json_alone(run_maker, capsys):
    path = run_maker(status="incomplete", reason="x")
    assert finished(path, InterruptedRunError("Interrupted."), as_json=True) == 130
    assert json.loads(capsys.readouterr().out)["status"] == "incomplete"


def test_every_error_has_an_exit_code_of_its_own():
    kinds = PoolraceError.__subclasses__()
    assert len({kind.exit_code for kind in kinds}) == len(kinds)


def test_a_run_that_has_only_begun_can_be_reported(poolrace, asked, tmp_path):
    writer = RunWriter.create(tmp_path, "race", {"run_id": "00", "settings": asked().to_dict()})
    code, out, _ = poolrace("report", str(writer.path))
    assert code == 4
    assert "The run is incomplete: it was cut short" in out


def test_a_password_file_that_is_not_there_is_told(refused, monkeypatch):
    monkeypatch.setenv("POOLRACE_BROKER_URL", "redis://broker:6379/0")
    monkeypatch.setenv("POOLRACE_BROKER_PASSWORD_FILE", "/nowhere/password")
    assert "POOLRACE_BROKER_PASSWORD_FILE /nowhere/password: No such file" in refused("race")


def test_names_that_an_encoding_lacks_are_escaped(tmp_path):
    answer = subprocess.run(
        [sys.executable, "-m", "producer", "lessons", "タスク"], cwd=tmp_path, capture_output=True, timeout=60,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"}, check=False,
    )  # fmt: skip
    assert answer.returncode == 2
    assert b"\\u30bf\\u30b9\\u30af" in answer.stderr
    assert b"Traceback" not in answer.stderr

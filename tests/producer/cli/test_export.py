"""`poolrace export`: to the standard output or a file, whole or not at all; what cannot be is said."""

import json
import os
import subprocess
import sys
import threading

import pytest
from click.testing import CliRunner
from prometheus_client.openmetrics.exposition import generate_latest
from sample_run import make_run

from producer.cli.export import write_to
from producer.cli.root import main
from producer.errors import UsageError


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "runs", pairs=1)


def exported(run, *words):
    return CliRunner().invoke(main, ["export", str(run), *words])


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        (["--format", "csv"], "trial,seq,kind,phase,counts,workload,lane"),
        (["--format", "jsonl"], '{"trial":0,"seq":0,"kind":"capacity"'),
        (["--format", "hgrm", "--lane", "threads", "--kind", "latency"], "       Value     Percentile"),
        (["--format", "trace"], '{"displayTimeUnit": "ms"'),
        (["--format", "openmetrics"], "# HELP poolrace_run_jobs Deliveries"),
    ],
)
def test_every_format_goes_to_the_standard_output(run, words, begins):
    done = exported(run, *words)
    assert done.exit_code == 0
    assert done.stdout.startswith(begins)
    assert exported(run, *words, "--output", "-").stdout == done.stdout


def test_a_file_takes_the_place_of_the_one_before(run, tmp_path):
    target = tmp_path / "trace.json"
    target.write_text("old")
    done = exported(run, "--format", "trace", "--output", str(target))
    assert (done.exit_code, done.stdout) == (0, "")
    assert json.loads(target.read_text())["displayTimeUnit"] == "ms"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["trace.json"]


def test_a_file_stays_as_it_was_if_the_new_one_is_never_whole(tmp_path):
    def broken():
        yield "half"
        raise RuntimeError("gone")

    target = tmp_path / "jobs.csv"
    target.write_text("old")
    with pytest.raises(RuntimeError):
        write_to(str(target), broken())
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["jobs.csv"]


def test_a_link_leads_to_the_file_that_is_replaced(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    link.symlink_to(real)
    write_to(str(link), ["new"])
    assert (link.is_symlink(), real.read_text()) == (True, "new")


def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    write_to(str(pipe), ["a", "b"])
    reader.join()
    assert (got, pipe.is_fifo()) == (["ab"], True)


@pytest.mark.parametrize("place", [".", "no/such/folder/jobs.csv"])
def test_a_place_that_cannot_be_written_is_told(tmp_path, place):
    with pytest.raises(UsageError, match=r"cannot be written \(.+\)\. Name another file"):
        write_to(str(tmp_path / place), ["a"])


def test_a_reader_that_goes_is_no_error(run):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as gone:
        done = subprocess.run(
            [sys.executable, "-c", "from producer.__main__ import main; main()", "export", str(run), "--format", "csv"],
            stdout=gone, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "csv", "--what", "service"], "--what service: only a distribution is of one stretch."),
        (["--format", "csv", "--push", "http://h/x"], "--push: a Pushgateway does not take csv."),
        (["--format", "hgrm"], "Choose: --lane prefork|threads, --kind capacity|latency."),
        (["--format", "openmetrics", "--workload", "cpu"], "--workload cpu: the run has none of it."),
        (["--format", "trace", "--workload", "cpu"], "--workload cpu: the run has none of it."),
        (["--format", "csv", "--lane", "gevent"], "--lane gevent: the run has none of it."),
        (["--format", "openmetrics", "--push", "nowhere"], "--push: must be an address that begins with http"),
    ],
)
def test_words_that_do_not_fit_are_a_usage_error(run, words, said):
    done = exported(run, *words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stdout == ""


def test_what_is_no_run_is_a_usage_error(tmp_path):
    done = exported(tmp_path, "--format", "csv")
    assert done.exit_code == 2
    assert "is no run directory" in done.stderr


def test_a_push_prints_nothing_but_that_it_is_done(run, monkeypatch):
    put = []
    monkeypatch.setattr("producer.report.export.openmetrics.push", lambda url, metrics: put.append((url, metrics)))
    words = ["--format", "openmetrics", "--push", "http://h/metrics/job/x"]
    done = exported(run, *words)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "Pushed.\n")
    ((url, metrics),) = put
    assert url == "http://h/metrics/job/x"
    assert exported(run, *words, "--output", "-").stdout == generate_latest(metrics).decode()

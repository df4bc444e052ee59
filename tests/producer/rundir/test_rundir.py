"""A run directory comes back as it was written; one that is foreign, damaged or cannot be written is told."""

import errno
import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from msgspec import to_builtins
from recorded import recorded

from producer.errors import InvalidRunError, UsageError
from producer.rundir.events import Event, EventKind
from producer.rundir.manifest import Manifest
from producer.rundir.reader import read_run
from producer.rundir.schema import FORMAT, RECORD_SCHEMA, RUNNING, SAMPLE_SCHEMA, SENT_SCHEMA
from producer.rundir.trials import Kind, Trial
from producer.rundir.writer import RunWriter, as_json

RUN_ID = "00112233445566ff"
SETTINGS = recorded(margin=0.05)
MANIFEST = {"run_id": RUN_ID, "settings": to_builtins(SETTINGS)}
TRIAL = Trial(
    trial=0,
    kind=Kind.LATENCY,
    workload="io",
    lane="threads",
    round=2,
    jobs=3,
    rate_per_s=12.5,
    slots=8,
    began_at=1000.0,
    ended_at=1001.5,
    cpu_s=0.25,
    queued=(1, 2),
)
RECORDS = pl.DataFrame(
    [
        {
            "trial": 0, "seq": seq, "lane": "threads", "node": "threads@host", "pool": "threads", "pid": 10,
            "thread_id": 11, "due_at": 1000.0, "sent_at": 1000.125, "received_at": 1000.25, "started_at": None,
            "finished_at": None, "cpu_s": None, "attempt": 1, "redelivered": False, "gil": True,
            "outcome": "revoked", "exception": None,
        }
        for seq in range(3)
    ],
    schema=RECORD_SCHEMA,
)  # fmt: skip
SENT = pl.DataFrame(
    {
        "trial": [0, 0],
        "seq": [0, 1],
        "part": [0, 0],
        "due_at": [1000.0] * 2,
        "sent_at": [1000.0] * 2,
        "accepted_at": [1000.5, None],
    },
    schema=SENT_SCHEMA,
)
SAMPLES = pl.DataFrame(
    [
        {
            "lane": "threads", "node": "threads@host", "at": 1000.5, "cpu_s": 1.5, "pss_bytes": None,
            "private_bytes": None, "voluntary_switches": 5, "involuntary_switches": 6, "processes": 1,
            "threads": 9, "drift_s": 0.5,
        }
    ],
    schema=SAMPLE_SCHEMA,
)  # fmt: skip
PING = {"trial": 0, "lane": "threads", "node": "threads@host", "at": 1000.75, "rtt_s": None, "timeout_s": 2.0}


@pytest.fixture
def written(tmp_path):
    """A run directory with one trial."""
    writer = RunWriter.create(tmp_path / "runs", "race-001122", MANIFEST)
    writer.add_table("records", 0, RECORDS)
    writer.add_table("sent", 0, SENT)
    writer.add_table("samples", 0, SAMPLES)
    writer.add_pings([PING])
    writer.add_trial(TRIAL)
    return writer


def files_of(path):
    return sorted(str(file.relative_to(path)) for file in path.rglob("*") if not file.is_dir())


def test_what_is_written_is_read(written):
    run = read_run(written.path)
    assert run.path == written.path
    assert run.manifest == Manifest(format=FORMAT, status=RUNNING, run_id=RUN_ID, settings=SETTINGS)
    assert run.trials == [TRIAL]
    assert run.records.equals(RECORDS)
    assert run.sent.equals(SENT)
    assert run.samples.equals(SAMPLES)
    assert run.pings == [PING]


def test_a_directory_is_named_by_the_time_and_what_it_holds(written, tmp_path):
    assert written.path.parent == tmp_path / "runs"
    assert written.path.name.endswith("Z-race-001122")
    assert written.logs.is_dir()


def test_there_are_no_drafts_beside_the_files(written):
    assert files_of(written.path) == [
        "events.jsonl",
        "manifest.json",
        "pings.jsonl",
        "records/00000-000.parquet",
        "samples/00000-000.parquet",
        "sent/00000-000.parquet",
        "trials.jsonl",
    ]


def test_parts_are_read_in_the_order_of_the_trials(written):
    for trial in (10, 2):
        written.add_table("sent", trial, SENT.with_columns(pl.lit(trial, pl.UInt32).alias("trial")))
    assert read_run(written.path).sent["trial"].to_list() == [0, 0, 2, 2, 10, 10]


def test_a_trial_of_before_there_was_a_lead_in_or_a_look_at_the_broker_has_none(written):
    line = {**to_builtins(TRIAL), "trial": 7}
    del line["lead_in_s"], line["broker_cpu_s"]
    with (written.path / "trials.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    assert read_run(written.path).trials[-1] == replace(TRIAL, trial=7, lead_in_s=0.0, broker_cpu_s=None)


def test_an_empty_part_leaves_no_file(written):
    written.add_table("records", 1, RECORDS.clear())
    assert not (written.path / "records" / "00001-000.parquet").exists()


def test_a_run_that_has_just_begun_can_be_read(tmp_path):
    run = read_run(RunWriter.create(tmp_path, "race", MANIFEST).path)
    assert (run.trials, run.pings) == ([], [])
    assert [table.height for table in (run.records, run.sent, run.samples)] == [0, 0, 0]
    assert run.records.schema == pl.Schema(RECORD_SCHEMA)


def test_a_change_of_the_manifest_keeps_the_rest(written):
    written.update_manifest(status="complete", sizes={"io": {"amount": [50000]}})
    manifest = read_run(written.path).manifest
    assert manifest.status == "complete"
    assert manifest.run_id == RUN_ID


def test_a_directory_without_trial_and_log_is_not_kept(tmp_path):
    writer = RunWriter.create(tmp_path, "race", MANIFEST)
    assert writer.discard_if_bare()
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_somebody_removed_meanwhile_is_not_there_to_keep(tmp_path):
    writer = RunWriter.create(tmp_path, "race", MANIFEST)
    shutil.rmtree(writer.path)
    with pytest.raises(InvalidRunError, match=r"manifest\.json cannot be written"):
        writer.update_manifest(status="complete")
    assert writer.discard_if_bare()


def test_a_directory_with_a_trial_or_a_log_is_kept(written, tmp_path):
    assert not written.discard_if_bare()
    logged = RunWriter.create(tmp_path / "other", "race", MANIFEST)
    (logged.logs / "threads.log").write_text("ready")
    assert not logged.discard_if_bare()
    assert logged.path.exists()


def test_a_folder_that_is_no_run_directory_is_told(tmp_path):
    with pytest.raises(UsageError, match=r"is no run directory: it has no manifest\.json\. Give a folder such as"):
        read_run(tmp_path)


def test_a_folder_that_is_not_there_or_is_a_file_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(UsageError, match="is no run directory"):
            read_run(path)


@pytest.mark.parametrize("text", ['{"name": "my web app", "display": "standalone"}', "[]", '"format"', "null", "1"])
def test_another_programs_manifest_is_told(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UsageError, match=r"manifest\.json: format None is not 3, the one this poolrace reads"):
        read_run(tmp_path)


@pytest.mark.parametrize("version", [0, 2, "3"])
def test_another_version_of_the_format_is_told(written, version):
    written.update_manifest(format=version)
    with pytest.raises(UsageError, match=rf"format {version!r} is not 3, .* Use the one it is from\."):
        read_run(written.path)


def test_a_manifest_without_what_every_run_has_is_told(tmp_path):
    (tmp_path / "manifest.json").write_text('{"format": 3, "status": "complete"}')
    with pytest.raises(
        UsageError, match=r"manifest\.json is damaged or not ours: Object missing required field `run_id`"
    ):
        read_run(tmp_path)


def cut(file, part=0.5):
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * part)])


@pytest.mark.parametrize(
    "name",
    ["manifest.json", "trials.jsonl", "pings.jsonl", "records/00000-000.parquet", "sent/00000-000.parquet",
     "samples/00000-000.parquet"],
)  # fmt: skip
@pytest.mark.parametrize("part", [0.5, 0.9])
def test_a_file_that_was_cut_short_is_named(written, name, part):
    cut(written.path / name, part)
    with pytest.raises(UsageError, match=rf"{name}( line 1)? is damaged or not ours: .* Copy the run directory again"):
        read_run(written.path)


@pytest.mark.parametrize("name", ["manifest.json", "records/00000-000.parquet"])
def test_an_empty_file_is_named(written, name):
    (written.path / name).write_bytes(b"")
    with pytest.raises(UsageError, match=f"{name} is damaged"):
        read_run(written.path)


def test_a_file_of_bytes_is_named(written):
    (written.path / "trials.jsonl").write_bytes(b"\xff\xfe\x00\n")
    with pytest.raises(UsageError, match=r"trials\.jsonl line \d is damaged"):
        read_run(written.path)


@pytest.mark.parametrize("line", ["{}", "[]", "7", '{"trial": 1}', "null"])
def test_a_line_that_is_no_trial_or_ping_is_told(written, line):
    with (written.path / "trials.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UsageError, match=r"trials\.jsonl line \d is damaged"):
        read_run(written.path)
    (written.path / "trials.jsonl").unlink()
    (written.path / "pings.jsonl").write_text(line + "\n")
    with pytest.raises(UsageError, match=r"pings\.jsonl line 1 is damaged or not ours: it lacks"):
        read_run(written.path)


def test_a_value_of_another_type_is_named_with_its_line_and_its_key(written):
    trial = {**to_builtins(TRIAL), "trial": "one"}
    with (written.path / "trials.jsonl").open("a") as file:
        file.write(json.dumps(trial) + "\n")
    expected = r"trials\.jsonl line 2 is damaged or not ours: Expected `int`, got `str` - at `\$\.trial`"
    with pytest.raises(UsageError, match=expected):
        read_run(written.path)


def test_a_folder_in_the_place_of_a_file_is_told(written):
    (written.path / "pings.jsonl").unlink()
    (written.path / "pings.jsonl").mkdir()
    with pytest.raises(UsageError, match=r"pings\.jsonl is damaged"):
        read_run(written.path)


def test_a_table_of_other_columns_is_told(written):
    RECORDS.rename({"seq": "number"}).write_parquet(written.path / "records" / "00001.parquet")
    with pytest.raises(UsageError, match=r"00001\.parquet is damaged .* columns are not those of this table"):
        read_run(written.path)


def test_events_are_there_at_once_in_the_order_in_which_they_were_noted(written):
    written.events.note(EventKind.LOST, lane="threads", node="threads@host", detail="signal SIGKILL", at=2.0)
    written.events.note(EventKind.CUT_SHORT, lane="threads", at=1.0)
    assert read_run(written.path).events == [
        Event(at=2.0, lane="threads", node="threads@host", kind="node lost", detail="signal SIGKILL"),
        Event(at=1.0, lane="threads", node="", kind="cut short", detail=""),
    ]


def test_an_event_of_a_kind_that_is_not_known_yet_is_read(written):
    line = {"at": 1.0, "lane": "", "node": "", "kind": "comet", "detail": "", "tail": "long"}
    (written.path / "events.jsonl").write_text(json.dumps(line) + "\n")
    assert [event.text for event in read_run(written.path).events] == ["comet"]


def test_an_event_without_its_time_is_told(written):
    (written.path / "events.jsonl").write_text('{"lane": "", "node": "", "kind": "comet", "detail": ""}\n')
    with pytest.raises(UsageError, match=r"events\.jsonl line 1 is damaged or not ours: .* required field `at`"):
        read_run(written.path)


def test_a_place_that_cannot_be_written_is_told_with_what_to_do(tmp_path):
    (tmp_path / "runs").write_text("a file, not a folder")
    with pytest.raises(UsageError, match=r"--out .*: a run directory cannot be written there \(.*\)\. Name a folder"):
        RunWriter.create(tmp_path / "runs", "race", MANIFEST)


def fill(file):
    """From now on, writing this file meets a full disk."""
    file.parent.mkdir(exist_ok=True)
    file.unlink(missing_ok=True)
    file.symlink_to("/dev/full")


needs_dev_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
SAYS_FULL = "No space left on device"


@needs_dev_full
def test_a_disk_that_is_full_from_the_start_is_told_and_leaves_no_folder(tmp_path, monkeypatch):
    mkdir = Path.mkdir

    def mkdir_then_fill(path, *args, **options):
        mkdir(path, *args, **options)
        if path.name == "logs":
            fill(path.parent / "manifest.json.part")

    monkeypatch.setattr(Path, "mkdir", mkdir_then_fill)
    with pytest.raises(UsageError, match=rf"cannot be written there \({SAYS_FULL}\)"):
        RunWriter.create(tmp_path, "race", MANIFEST)
    assert list(tmp_path.iterdir()) == []


@needs_dev_full
@pytest.mark.parametrize(
    ("draft", "write"),
    [
        ("manifest.json.part", lambda writer: writer.update_manifest(status="complete")),
        ("summary.json.part", lambda writer: writer.write_text("summary.json", "{}")),
        ("records/00001-000.parquet.part", lambda writer: writer.add_table("records", 1, RECORDS)),
        ("samples/00001-000.parquet.part", lambda writer: writer.add_table("samples", 1, SAMPLES)),
    ],
)
def test_a_full_disk_is_told_and_costs_nothing_that_was_there(written, draft, write):
    before = files_of(written.path)
    fill(written.path / draft)
    with pytest.raises(InvalidRunError, match=rf"cannot be written \(.*{SAYS_FULL}.*\)\. Make room or allow it; "):
        write(written)
    assert files_of(written.path) == before
    assert read_run(written.path).trials == [TRIAL]


class ShortOfSpace:
    """A file on a disk with so many bytes left."""

    def __init__(self, file, room):
        self._file, self._room = file, room

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def write(self, data):
        if not self._room:
            raise OSError(errno.ENOSPC, SAYS_FULL)
        wrote = self._file.write(data[: self._room])
        self._room -= wrote
        return wrote

    def __getattr__(self, name):
        return getattr(self._file, name)


@pytest.mark.parametrize("room", [0, 1, 40])
@pytest.mark.parametrize("name", ["trials.jsonl", "pings.jsonl"])
def test_a_line_that_does_not_fit_is_taken_back_so_that_the_others_stay_readable(written, monkeypatch, name, room):
    opened = Path.open

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", lambda path, *args, **options: ShortOfSpace(opened(path, *args, **options), room))
        with pytest.raises(InvalidRunError, match=f"{name} cannot be written"):
            written.add_trial(TRIAL) if name == "trials.jsonl" else written.add_pings([PING, PING])
    run = read_run(written.path)
    assert (run.trials, run.pings) == ([TRIAL], [PING])


def test_an_interrupt_while_the_directory_is_made_leaves_none(tmp_path, interrupts_installed):
    class Pressing(dict):
        """Settings in whose making someone presses Ctrl-C."""

        def items(self):
            signal.raise_signal(signal.SIGINT)
            return super().items()

    with pytest.raises(KeyboardInterrupt):
        RunWriter.create(tmp_path, "race", {**MANIFEST, "settings": Pressing(to_builtins(SETTINGS))})
    assert list(tmp_path.iterdir()) == []


def test_json_has_no_numbers_that_json_does_not_know():
    assert json.loads(as_json({"a": 1.5, "b": None})) == {"a": 1.5, "b": None}
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_json({"a": float("nan")})

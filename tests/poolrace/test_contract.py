"""Everything that crosses the wire comes back unchanged, and foreign messages are refused."""

import json
import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolrace import contract
from poolrace.contract import (
    NO_OFFSET,
    ROW,
    ROW_FIELDS,
    ClockOffset,
    JobRecord,
    NodeSample,
    Outcome,
    Shipment,
    Stamp,
    WireError,
    join_rows,
    pack_row,
    unpack_rows,
)

U16, U32 = 2**16 - 1, 2**32 - 1

run_ids = st.binary(min_size=8, max_size=8).map(bytes.hex)
instants = st.floats(allow_nan=True)
class_names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=10)
stamps = st.builds(
    Stamp,
    run_id=run_ids,
    trial=st.integers(0, U32),
    seq=st.integers(0, U32),
    due_at=st.floats(allow_nan=False, allow_infinity=False),
    sent_at=st.floats(allow_nan=False, allow_infinity=False),
)
records = st.builds(
    JobRecord,
    run_id=run_ids,
    trial=st.integers(0, U32),
    seq=st.integers(0, U32),
    due_at=instants,
    sent_at=instants,
    received_at=instants,
    started_at=instants,
    finished_at=instants,
    cpu_s=instants,
    pid=st.integers(0, U32),
    thread_id=st.integers(0, U32),
    attempt=st.integers(1, U16),
    redelivered=st.booleans(),
    gil=st.booleans(),
    child=st.booleans(),
    outcome=st.sampled_from(Outcome),
    started=st.integers(0, U16),
    exception=class_names,
)
samples = st.builds(
    NodeSample,
    at=st.floats(allow_nan=False, allow_infinity=False),
    cpu_s=st.floats(allow_nan=False, allow_infinity=False),
    pss_bytes=st.none() | st.integers(0, 2**50),
    private_bytes=st.none() | st.integers(0, 2**50),
    voluntary_switches=st.integers(0, 2**50),
    involuntary_switches=st.integers(0, 2**50),
    processes=st.integers(0, U32),
    threads=st.integers(0, U32),
    children=st.lists(st.integers(0, U32)).map(tuple),
    drift_s=st.floats(allow_nan=False, allow_infinity=False),
)
clocks = st.builds(
    ClockOffset,
    offset_s=st.floats(allow_nan=False, allow_infinity=False),
    bound_s=st.floats(min_value=0, allow_nan=False),
)
shipments = st.builds(
    Shipment,
    node=st.text(),
    pool=st.sampled_from(["prefork", "threads", ""]),
    clock=clocks,
    rows=st.lists(records, max_size=4).map(join_rows),
    samples=st.lists(samples, max_size=3).map(tuple),
)

RECORD = JobRecord(
    run_id="00112233445566ff",
    trial=3,
    seq=70_000,
    due_at=1000.25,
    sent_at=1000.5,
    received_at=1000.75,
    started_at=1001.0,
    finished_at=1001.5,
    cpu_s=0.125,
    pid=4_000_000,
    thread_id=4_000_001,
    attempt=2,
    redelivered=True,
    gil=False,
    outcome=Outcome.FAILED,
    exception="ValueError",
)
SHIPMENT = Shipment(node="threads@host", pool="threads", clock=NO_OFFSET, rows=join_rows([RECORD, RECORD]))


@given(st.lists(records, max_size=5))
def test_records_come_back_as_they_were(sent):
    # repr, since NaN is not equal to itself.
    assert list(map(repr, unpack_rows(join_rows(sent)))) == list(map(repr, sent))


@given(st.lists(records, min_size=1, max_size=5))
def test_a_table_of_rows_has_the_values_of_the_rows(sent):
    rows = join_rows(sent)
    table = np.frombuffer(rows, dtype=np.dtype(list(ROW_FIELDS)))
    for row, record in zip(table, unpack_rows(rows), strict=True):
        # numpy drops zero bytes at the end of a string, so a run's id is filled up again.
        assert bytes(row["run_id"]).ljust(8, b"\0").hex() == record.run_id
        assert row["exception"].decode() == record.exception
        assert Outcome(row["outcome"]) is record.outcome
        assert bool(row["flags"] & contract.FLAG_REDELIVERED) is record.redelivered
        assert bool(row["flags"] & contract.FLAG_GIL) is record.gil
        for name in ("trial", "seq", "pid", "thread_id", "attempt"):
            assert row[name] == getattr(record, name)
        for name in ("due_at", "sent_at", "received_at", "started_at", "finished_at", "cpu_s"):
            np.testing.assert_equal(row[name], getattr(record, name))


def test_a_row_is_as_wide_as_its_table_says():
    # 8 run + 2 x 4 trial, seq + 6 x 8 instants + 2 x 4 pid, thread + 2 attempt + 1 flags + 1 outcome + 2 started
    # + 40 exception.
    assert ROW.size == np.dtype(list(ROW_FIELDS)).itemsize == 8 + 8 + 48 + 8 + 2 + 1 + 1 + 2 + 40


def test_a_row_fits_into_a_pipe_whole():
    """POSIX promises 512 bytes at once."""
    assert ROW.size <= 512


@pytest.mark.parametrize("cut", [1, 8, ROW.size - 1, ROW.size + 1])
def test_rows_cut_short_are_refused(cut):
    with pytest.raises(WireError, match=f"{cut} bytes of records: not a multiple of {ROW.size}"):
        list(unpack_rows(join_rows([RECORD, RECORD])[:cut]))


def test_an_unknown_outcome_is_refused():
    row = bytearray(pack_row(RECORD))
    row[-contract.EXCEPTION_BYTES - 3] = 99
    with pytest.raises(WireError, match="outcome 99: not one of"):
        list(unpack_rows(bytes(row)))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_a_long_class_name_is_cut_but_never_inside_a_character(name):
    clipped = contract.clip_exception(name)
    assert len(clipped) <= 40
    assert name.startswith(clipped.decode())
    assert len(clipped) > 40 - 4 or clipped.decode() == name


@given(stamps)
def test_a_stamp_survives_the_json_of_a_message(stamp):
    assert Stamp.from_header(json.loads(json.dumps(stamp.to_header()))) == stamp


@given(stamps)
def test_every_stamp_fits_into_a_record(stamp):
    record = JobRecord(
        run_id=stamp.run_id,
        trial=stamp.trial,
        seq=stamp.seq,
        due_at=stamp.due_at,
        sent_at=stamp.sent_at,
        received_at=math.nan,
    )
    assert next(unpack_rows(pack_row(record))).seq == stamp.seq


GOOD = ["00112233445566ff", 0, 0, 1.0, 2.0]


@pytest.mark.parametrize(
    "header",
    [
        None,
        7,
        "hello",
        "five5",
        {"run_id": "00112233445566ff"},
        [],
        GOOD[:4],
        [*GOOD, 1],
        ["zz112233445566ff", *GOOD[1:]],
        ["00", *GOOD[1:]],
        ["00 11 22 33 44 55 66 ff", *GOOD[1:]],
        ["00112233445566ff00", *GOOD[1:]],
        [7, *GOOD[1:]],
        [GOOD[0], "0", 0, 1.0, 2.0],
        [GOOD[0], 0, -1, 1.0, 2.0],
        [GOOD[0], 0, 2**32, 1.0, 2.0],
        [GOOD[0], 0, 0, "now", 2.0],
        [GOOD[0], 0, 0, 1.0, None],
        [GOOD[0], 0, 0, 10**400, 2.0],
    ],
)
def test_somebody_elses_header_is_no_stamp(header):
    with pytest.raises(WireError, match="header 'poolrace':"):
        Stamp.from_header(header)


@given(shipments)
def test_a_shipment_comes_back_as_it_was(shipment):
    assert Shipment.decode(shipment.encode()) == shipment


@given(shipments, st.data())
def test_a_shipment_cut_anywhere_is_refused(shipment, data):
    message = shipment.encode()
    cut = data.draw(st.integers(0, len(message) - 1))
    # Without rows, the line break at the end is all that may go without a loss.
    if cut == len(message) - 1 and not shipment.rows:
        assert Shipment.decode(message[:cut]) == shipment
    else:
        with pytest.raises(WireError):
            Shipment.decode(message[:cut])


def test_a_shipment_that_lost_whole_rows_is_refused():
    with pytest.raises(WireError, match=f"cut short: {ROW.size} bytes are not 2 records"):
        Shipment.decode(SHIPMENT.encode()[: -ROW.size])


@pytest.mark.parametrize(
    "message",
    [b"", b"\n", b"hello", b"7\n", b"[]\n", b"null\n", b"{}\n", b"\xff\xfe\n", b'{"task": "tasks.add"}\n', b"\n\n\n"],
)
def test_a_foreign_message_is_refused(message):
    with pytest.raises(WireError, match="not a shipment of records"):
        Shipment.decode(message)


@given(st.binary())
def test_any_bytes_are_a_shipment_or_a_wire_error(message):
    with pytest.raises(WireError):
        Shipment.decode(message)


@pytest.mark.parametrize("version", [0, 2, "3", None])
def test_another_version_is_refused_with_what_to_do(version):
    head, _, rows = SHIPMENT.encode().partition(b"\n")
    message = json.dumps({**json.loads(head), "poolrace": version}).encode() + b"\n" + rows
    with pytest.raises(WireError, match=r"this is version 5\. Use one poolrace on all\."):
        Shipment.decode(message)


@pytest.mark.parametrize("key", ["node", "pool", "offset_s", "bound_s", "samples", "rows"])
def test_a_shipment_without_one_of_its_keys_is_refused(key):
    head = json.loads(SHIPMENT.encode().partition(b"\n")[0])
    del head[key]
    with pytest.raises(WireError, match="not a shipment"):
        Shipment.decode(json.dumps(head).encode() + b"\n" + SHIPMENT.rows)


def test_a_node_sample_with_other_fields_is_refused():
    head = json.loads(SHIPMENT.encode().partition(b"\n")[0])
    head["samples"] = [{"at": 1.0}]
    with pytest.raises(WireError, match="not a shipment"):
        Shipment.decode(json.dumps(head).encode() + b"\n" + SHIPMENT.rows)


@pytest.mark.parametrize(
    ("offset_s", "bound_s", "correction_s"),
    [(0.5, 0.1, 0.5), (-0.5, 0.1, -0.5), (0.1, 0.5, 0.0), (-0.1, 0.5, 0.0), (0.5, 0.5, 0.0), (9.0, math.inf, 0.0)],
)
def test_an_offset_within_its_own_bound_is_noise_and_not_applied(offset_s, bound_s, correction_s):
    assert ClockOffset(offset_s=offset_s, bound_s=bound_s).correction_s == correction_s


def test_outcomes_have_the_words_of_the_records():
    assert [outcome.label for outcome in Outcome] == [
        "succeeded",
        "failed",
        "retried",
        "revoked",
        "ignored",
        "rejected",
    ]


def test_each_run_has_its_own_queue_of_records():
    assert contract.records_queue("00112233445566ff") == "poolrace.records.00112233445566ff"


def test_a_row_is_little_endian_on_every_machine():
    assert ROW.format.startswith("<")
    assert pack_row(RECORD)[8:12] == struct.pack("<I", 3)

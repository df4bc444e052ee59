"""A fleet plan in words: the fleets, the first bottleneck with the ways past it, and how wrong it was."""

from dataclasses import replace

from producer.analysis.fleet_answer import FleetAnswer, FleetFacts, LaneAnswer
from producer.analysis.fleet_errors import Compared, HeldOut
from producer.analysis.fleet_plan import Allowance, FleetOption
from producer.report.fleet_plan import fleet_report
from producer.report.parts import Table

USE = {"slots": 0.8, "node": 0.05, "cores": 0.1, "broker": 0.02}
OPTION = FleetOption(
    slots=4, measured=True, nodes=8, least_nodes=7, brokers=1, p50_s=0.0521, p99_s=0.0686, use=USE, first="slots",
    node_bytes=150 * 2**20,
)  # fmt: skip
FACTS = FleetFacts(
    jobs=1000, job_s=0.05, job_cpu_s=0.001, alone=True, gap_s=0.0005, node_s=0.0007, node_measured=True,
    broker_s=0.0001, broker_holds_per_s=7000.0, ping_s=0.0, measured=((1, 4),),
)  # fmt: skip
SEEN = HeldOut(
    run="2026-11-30T09-00-00Z-race-abcdef", lane="threads", nodes=2, slots=4, rate_per_s=100.0, split=False,
    crowded=False,
    throughput_per_s=Compared(predicted=150.0, measured=156.0), p50_s=Compared(predicted=0.052, measured=0.052),
    p99_s=None,
)  # fmt: skip
THREADS = LaneAnswer(
    lane="threads", pool="threads", transport="stock", best=OPTION, options=(OPTION,), facts=FACTS, held_out=(SEEN,),
    allowance=Allowance(),
)  # fmt: skip


def answer(*lanes, **changes):
    fields = {
        "rate_per_s": 500.0, "slo": ("p99(sojourn) < 200ms",), "workload": "sleep", "arrivals": "poisson",
        "node_cores": 2.0, "rtt_s": None, "seed": 1, "runs": ("a run",), "warnings": (),
    }  # fmt: skip
    return FleetAnswer(**{**fields, **changes}, lanes=lanes or (THREADS,))


def parts(found, **how):
    return list(fleet_report(found, **how))


def lines(found, title):
    return next((part.lines for part in parts(found) if part.title.startswith(title)), None)


def with_option(lane=THREADS, **changes):
    return replace(lane, best=replace(OPTION, **changes))


def test_the_answer_comes_first():
    table = parts(answer())[0]
    assert table.title.startswith("Fleet for 500 jobs/s of sleep with p99(sojourn) < 200ms (poisson arrivals")
    assert dict(zip(table.columns, table.rows[0], strict=True)) == {
        "lane": "threads", "nodes x slots": "8 x 4", "brokers": "1", "p50 ms": "52.1", "p99 ms": "68.6",
        "busiest": "slots 80 %", "node": "150 MiB", "all": "1.17 GiB", "least": "7",
    }  # fmt: skip


def test_a_distance_that_was_asked_for_is_in_the_title():
    assert "2.00 ms from the broker" in parts(answer(rtt_s=0.002))[0].title


def test_what_cannot_be_had_is_told_with_the_reason():
    found = answer(with_option(nodes=None, why_not="No number of nodes keeps it."))
    assert parts(found)[0].rows[0][1] == "none"
    assert lines(found, "Not to be had") == ["threads: No number of nodes keeps it."]
    assert lines(answer(), "Not to be had") is None


def test_the_first_bottleneck_has_what_helps():
    (line,) = lines(answer(), "First bottleneck")
    assert line.startswith("threads: slots, 80 % used. Another node, or more slots a node (--slots)")
    assert line.endswith("The broker is at 2 %.")
    (line,) = lines(answer(with_option(first="cores")), "First bottleneck")
    assert "more slots do not help" in line


def test_past_a_broker_each_way_has_its_price():
    atomic = replace(
        with_option(first="broker"), lane="threads-atomic", transport="atomic", facts=replace(FACTS, broker_s=0.000025)
    )
    said = lines(answer(with_option(first="broker", brokers=4), atomic), "First bottleneck")
    assert said[0] == (
        "threads: the broker. Its one core takes 100 us a job (measured), so that one holds 7,000 jobs/s at 70 %."
    )
    assert "threads: split the queues over 4 brokers: 4 cores, each broker with queues and 2 nodes of its own." in said
    assert any(line.startswith("More queues on one broker do not help") for line in said)
    assert any(
        "with the atomic transport the broker takes 25.0 us a job (measured), so that it holds 4.00" in line
        for line in said
    )
    assert said[-1].startswith("RabbitMQ uses many cores")
    assert said[-1].endswith("for this rate 1 at 70 %.")


def test_errors_stand_beside_what_was_measured():
    table = next(part for part in parts(answer()) if part.title.startswith("How wrong"))
    assert table.rows == [["threads", "abcdef", "2 x 4", "150 / 156", "-3.8 %", "52.0 / 52.0", "+0.0 %", "-", "-"]]


def test_nothing_held_out_is_told():
    table = next(part for part in parts(answer(replace(THREADS, held_out=()))) if part.title.startswith("How wrong"))
    assert table.rows[0][0] == "nothing could be held out"


def test_what_the_model_does_not_know_is_always_told():
    assert any("Nodes that fail" in line for line in lines(answer(), "What the model does not know"))
    assert lines(answer(warnings=("Mind this.",)), "Warnings") == ("Mind this.",)


def test_every_option_and_input_is_in_the_whole_report_alone():
    few, whole = parts(answer()), parts(answer(), full=True)
    tables = [part.title for part in whole[len(few) :] if isinstance(part, Table)]
    assert tables == ["Every number of slots that was tried", "What was measured, in ms a job"]

"""What a search for the limit is asked to do: words of the command line become settings, and wrong ones are told."""

import json
from pathlib import Path

import pytest

from producer.cli.limit import limit, limit_settings
from producer.errors import UsageError
from producer.measure.limit import LimitSettings

SLO = ("--slo", "p99(sojourn) < 500ms")


def asked(*words):
    """The settings that words on the command line become."""
    context = limit.make_context("limit", list(words))
    del context.params["as_json"], context.params["junit"]
    return limit_settings(**context.params)


def refusal(*words):
    with pytest.raises(UsageError) as refused:
        asked(*words)
    return str(refused.value)


def slo_of(*texts):
    return [threshold.text for threshold in asked(*(word for text in texts for word in ("--slo", text))).slo]


def test_no_words_but_the_slo_mean_the_defaults():
    found = asked(*SLO)
    assert found == LimitSettings(lanes=found.lanes, workloads=("io",), slo=found.slo, mix={"io": 1.0})
    assert [(lane.key, lane.slots) for lane in found.lanes] == [("prefork", 8), ("threads", 8)]
    assert (found.probe_s, found.precision, found.first_per_s, found.arrivals) == (10.0, 0.1, None, "poisson")


def test_every_word_arrives_where_it_belongs():
    found = asked(
        "--slo", "p50(queue_wait) < 20ms", "--slo", "max(sojourn) <= 2s", "--mix", "cpu=1,io=9", "--probe", "30s",
        "--precision", "0.02", "--probes", "30", "--from", "300/m", "--lane", "threads:3:acks=late",
        "--arrivals", "constant", "--job-duration", "30ms", "--seed", "7", "--out", "elsewhere",
    )  # fmt: skip
    assert [(each.name, each.of, each.operator, each.limit) for each in found.slo[:2]] == [
        ("p50", "queue_wait", "<", 0.02), ("max", "sojourn", "<=", 2.0),
    ]  # fmt: skip
    assert (found.mix, found.workloads) == ({"cpu": 1.0, "io": 9.0}, ("cpu", "io"))
    assert (found.probe_s, found.precision, found.most_probes, found.first_per_s) == (30.0, 0.02, 30, 5.0)
    assert [(lane.key, lane.slots, lane.acks) for lane in found.lanes] == [("threads", 3, "late")]
    assert (found.arrivals, found.job_s, found.seed, found.out) == ("constant", 0.03, 7, Path("elsewhere"))


def test_a_workload_without_a_share_is_not_run():
    found = asked(*SLO, "--mix", "sleep=2,cpu=0")
    assert (found.mix, found.workloads) == ({"sleep": 2.0}, ("sleep",))


def test_one_lane_is_enough():
    assert [lane.key for lane in asked(*SLO, "--lane", "prefork:2").lanes] == ["prefork"]


def test_that_no_job_fails_or_is_lost_is_asked_for_besides():
    assert slo_of("p99(sojourn) < 500ms") == ["p99(sojourn) < 500ms", "failed == 0", "lost == 0"]


@pytest.mark.parametrize(
    ("named", "slo"),
    [
        ("failed < 5", ["p50(sojourn) < 1s", "failed < 5", "lost == 0"]),
        ("lost < 5", ["p50(sojourn) < 1s", "lost < 5", "failed == 0"]),
        ("failed == 0", ["p50(sojourn) < 1s", "failed == 0", "lost == 0"]),
    ],
)
def test_an_slo_that_speaks_of_them_itself_is_left_as_it_is(named, slo):
    assert slo_of("p50(sojourn) < 1s", named) == slo


@pytest.mark.parametrize("text", ["mean(service) < 1s", "max(sojourn) <= 1s", "p99.9(slot_wait) < 5ms"])
def test_any_time_that_must_not_be_exceeded_will_do(text):
    assert slo_of(text)[0] == text


@pytest.mark.parametrize(
    "words",
    [
        ["failed == 0"],
        ["rate(finished) > 0.98 * offered"],
        ["mem_per_slot < 20MiB"],
        ["p99(sojourn) > 500ms"],
        ["lost == 0", "p99(sojourn) >= 1s"],
    ],
)
def test_without_a_time_that_must_not_be_exceeded_there_is_no_limit_to_find(words):
    said = refusal(*(word for text in words for word in ("--slo", text)))
    assert said.startswith("--slo: name at least one time that must not be exceeded, e.g. 'p99(sojourn) < 500ms'")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--slo", "p99(sojourn) = 5"], "--slo 'p99(sojourn) = 5': not a comparison. E.g. 'p99(sojourn) < 500ms'"),
        (["--slo", "p98(sojourn) < 5s"], "--slo 'p98(sojourn) < 5s': unknown figure 'p98'"),
        (["--slo", "p99 < 5s"], "--slo 'p99 < 5s': p99 of what?"),
        ([*SLO, "--slo", "lost == 0s"], "--slo 'lost == 0s': unit 's'"),
        ([*SLO, "--mix", "oi=1"], "--mix 'oi=1': unknown workload 'oi'"),
        ([*SLO, "--mix", "io=0"], "--mix 'io=0'"),
        ([*SLO, "--probe", "0.5s"], "--probe '0.5s': must be a time from 1s to 3600s"),
        ([*SLO, "--precision", "0"], "--precision '0': must be a number from 0.005 to 0.5"),
        ([*SLO, "--precision", "5%"], "--precision '5%': must be a number"),
        ([*SLO, "--probes", "1"], "--probes '1': must be a whole number from 2 to 200"),
        ([*SLO, "--from", "0/s"], "--from '0/s': must be a rate above 0 and up to 20,000/s"),
        ([*SLO, "--from", "20001/s"], "--from '20001/s': must be a rate"),
        ([*SLO, "--from", "fast"], "--from 'fast': must be a rate"),
        ([*SLO, "--lane", "threads:0"], "--lane 'threads:0': concurrency '0': must be a whole number from 1"),
    ],
)
def test_a_wrong_word_is_told_with_its_option_and_what_is_right(words, said):
    assert said in refusal(*words)


def test_what_is_written_down_is_json_with_the_slo_as_it_was_written():
    found = asked("--slo", "p99(sojourn)  <  500ms", "--mix", "sleep=3,noop=1", "--broker", "redis://:geheim@host")
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["limit"]["slo"] == ["p99(sojourn) < 500ms", "failed == 0", "lost == 0"]
    assert (plain["kind"], plain["limit"]["mix"]) == ("limit", {"sleep": 3.0, "noop": 1.0})
    assert (plain["limit"]["probe_s"], plain["limit"]["precision"], plain["limit"]["most_probes"]) == (10.0, 0.1, 18)
    assert "geheim" not in str(plain)

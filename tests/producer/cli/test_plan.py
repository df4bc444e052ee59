"""`poolrace plan`: words become a question, the answer is printed, and what cannot be answered is one line."""

import json

import pytest
from click.testing import CliRunner
from sample_run import make_run

from producer.cli._exit_codes import BROKEN_THRESHOLD
from producer.cli._root import main
from producer.cli.plan import fleet_question, plan
from producer.errors import UsageError

SLO = ("--slo", "p99(sojourn) < 2s")

pytestmark = pytest.mark.usefixtures("short_simulations")


@pytest.fixture(scope="module")
def race(tmp_path_factory):
    return str(make_run(tmp_path_factory.mktemp("runs")))


def asked(*words):
    """The runs and the question that words on the command line become."""
    options = plan.make_context("plan", list(words)).params
    for shown in ("as_json", "full", "out"):
        del options[shown]
    return fleet_question(**options)


def run(*words):
    return CliRunner().invoke(main, ["plan", *words])


def test_runs_may_follow_each_other_or_have_an_option_each():
    paths, _ = asked("--rate", "5/s", *SLO, "--from", "a", "b", "--from", "c", "a")
    assert [str(path) for path in paths] == ["a", "c", "b"]


def test_no_words_but_the_needed_mean_the_defaults():
    _, found = asked("--rate", "20000/s", *SLO, "--from", "a")
    assert (found.rate_per_s, found.workload, found.lanes, found.slots) == (20_000, "", (), ())
    assert (found.arrivals, found.node_cores, found.rtt_s, found.seed) == ("poisson", None, None, 1)


def test_every_word_arrives_where_it_belongs():
    _, found = asked(
        "--rate", "300/m", *SLO, "--from", "a", "--workload", "io", "--lane", "x", "--slots", "4..16", "--node-cores",
        "0.5", "--rtt", "2ms", "--arrivals", "constant", "--seed", "7",
    )  # fmt: skip
    assert (found.rate_per_s, found.workload, found.lanes, found.slots) == (5, "io", ("x",), (4, 8, 16))
    assert (found.arrivals, found.node_cores, found.rtt_s, found.seed) == ("constant", 0.5, 0.002, 7)


def test_an_slo_that_is_not_simulated_is_refused():
    with pytest.raises(UsageError, match="a simulation loses no job"):
        asked("--rate", "5/s", "--slo", "lost == 0", "--from", "a")


def test_the_answer_is_printed(race):
    found = run("--rate", "100/s", *SLO, "--from", race)
    assert found.exit_code == 0
    assert found.stdout.startswith("Fleet for 100 jobs/s of sleep with p99(sojourn) < 2s")
    assert "How wrong it was on what it had not seen" in found.stdout
    assert "What the model does not know" in found.stdout
    assert "Every number of slots" not in found.stdout


def test_the_plan_is_json_for_programs(race):
    found = run("--rate", "100/s", *SLO, "--lane", "threads", "--slots", "2,4", "--json", "--from", race)
    plain = json.loads(found.stdout)
    (lane,) = plain["lanes"]
    assert (plain["rate_per_s"], lane["lane"], [each["slots"] for each in lane["options"]]) == (100, "threads", [2, 4])
    assert lane["best"]["nodes"] == min(each["nodes"] for each in lane["options"])
    assert lane["facts"]["job_s"] == pytest.approx(0.1)


def test_it_can_be_kept_as_markdown(race, tmp_path):
    assert run("--rate", "100/s", *SLO, "--full", "--out", str(tmp_path / "plan.md"), "--from", race).exit_code == 0
    assert "Every number of slots that was tried" in (tmp_path / "plan.md").read_text()
    refused = run("--rate", "100/s", *SLO, "--out", str(tmp_path / "no" / "plan.md"), "--from", race)
    assert (refused.exit_code, "cannot be written" in refused.stderr) == (2, True)


def test_an_slo_that_no_fleet_keeps_is_an_exit_code(race):
    found = run("--rate", "100/s", "--slo", "p99(sojourn) < 50ms", "--from", race)
    assert found.exit_code == BROKEN_THRESHOLD
    assert "No number of nodes keeps p99(sojourn) < 50ms" in " ".join(found.stdout.split())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--rate", "5/s", *SLO), "Missing option '--from'"),
        (("--rate", "0/s", *SLO, "--from", "a"), "must be a rate above 0"),
        (("--rate", "5/s", "--from", "a"), "Missing option '--slo'"),
        (("--rate", "5/s", *SLO, "--slots", "9..3", "--from", "a"), "Write 3..9"),
        (("--rate", "5/s", *SLO, "--from", "nowhere"), "nowhere is no run directory"),
        (("--rate", "5/s", "--slo", "p99 < 1s", "--from", "a"), "p99 of what?"),
    ],
)
def test_what_is_wrong_is_one_line(words, says):
    found = run(*words)
    assert found.exit_code == 2
    assert says in found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_a_run_that_is_not_valid_is_named(tmp_path):
    broken = make_run(tmp_path, status="invalid", reason="The generator was late.")
    found = run("--rate", "5/s", *SLO, "--from", str(broken))
    assert found.exit_code == 2
    assert str(broken) in found.stderr
    assert "The generator was late." in found.stderr

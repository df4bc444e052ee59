"""Scenario files: what comes along reads, and what cannot be held is refused with where and what is allowed."""

from pathlib import Path

import pytest

from producer.cli.load import load, load_settings
from producer.errors import UsageError
from producer.plan.scenario import find_scenario, read_scenario, scaled, shipped_scenarios
from producer.plan.thresholds import parse_threshold
from producer.plan.workloads import WORKLOADS

SCENARIOS = Path(__file__).parents[3] / "scenarios"
SHIPPED = sorted(SCENARIOS.glob("*.toml"))

WHOLE = """
shows = "Two phases."
mix = "cpu=1,io=9"
lanes = ["threads:16", "prefork:4"]
concurrency = 4
cpu-share = 0.1
job-duration = "5ms"
payload = "64KiB"
priority = 3
thresholds = ["lost == 0", "p99(sojourn) < 1s"]
abort-on-fail = "10s"

[[phase]]
name = "warm-up"
rate = "5/s"
duration = "4s"
counts = false

[[phase]]
rate = "ramp 0->10/s over 20s"
mix = "noop=1"
"""
PHASE = '[[phase]]\nrate = "5/s"\nduration = "10s"\n'


@pytest.fixture
def write(tmp_path):
    """Write a scenario file; gives its path."""

    def write(text, name="mine.toml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def params(*words):
    given = load.make_context("load", list(words)).params
    del given["as_json"], given["junit"], given["live"]
    return given


def refusal(path):
    with pytest.raises(UsageError) as refused:
        read_scenario(path)
    said = str(refused.value)
    assert said.startswith(str(path))
    return said


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_each_that_comes_with_poolrace_reads_and_says_what_it_shows(path):
    found = read_scenario(path)
    assert found.name == path.stem
    assert found.shows.endswith(".")
    assert set(found.script.workloads) <= set(WORKLOADS)
    assert [parse_threshold(text).text for text in found.options["thresholds"]] == list(found.options["thresholds"])


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_options_of_each_that_comes_along_are_options_of_the_command(path):
    found = read_scenario(path)
    settings = load_settings(**params(str(path)))
    assert settings.scenario == path.stem
    assert settings.script == scaled(found.script, rate=1.0, time=1.0)
    assert len(settings.thresholds) == len(found.options["thresholds"])


def test_what_comes_along_is_listed_in_alphabetical_order():
    names = [found.name for found in shipped_scenarios()]
    assert names == [path.stem for path in SHIPPED]
    assert "demo" in names


def test_phases_take_the_mix_of_the_file_unless_they_name_their_own(write):
    warm_up, ramp = read_scenario(write(WHOLE)).script.phases
    assert (warm_up.name, warm_up.profile.duration_s, warm_up.mix, warm_up.counts) == (
        "warm-up", 4.0, {"cpu": 1.0, "io": 9.0}, False,
    )  # fmt: skip
    assert (ramp.name, ramp.profile.duration_s, ramp.mix, ramp.counts) == ("phase-2", 20.0, {"noop": 1.0}, True)


def test_options_are_words_as_they_would_be_on_the_command_line(write):
    found = read_scenario(write(WHOLE))
    assert found.options == {
        "lanes": ("threads:16", "prefork:4"),
        "concurrency": "4",
        "cpu_share": "0.1",
        "job_s": "5ms",
        "payload_bytes": "64KiB",
        "priority": "3",
        "thresholds": ("lost == 0", "p99(sojourn) < 1s"),
        "abort_after_s": "10s",
    }
    assert (found.name, found.shows) == ("mine", "Two phases.")


def test_a_rate_or_a_time_may_be_a_number(write):
    found = read_scenario(write('mix = "noop"\n[[phase]]\nrate = 5\nduration = 10\n'))
    assert (found.script.jobs, found.script.duration_s) == (50, 10)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('mixx = "cpu=1"\n' + PHASE, "unknown key 'mixx'. Allowed: shows, mix, phase, lanes"),
        ('mixx = "cpu=1"\n' + PHASE, "(did you mean mix?)"),
        ("abort_on_fail = 1\n" + PHASE, "(did you mean abort-on-fail?)"),
        ('broker = "redis://:secret@host"\n' + PHASE, "unknown key 'broker'"),
        ('mix = "cpu=1"\n' + PHASE + 'durations = "1s"', "phase 1 (phase-1): unknown key 'durations'"),
        ('mix = "cpu=1"\n' + PHASE + 'durations = "1s"', "(did you mean duration?)"),
        ('mix = "cpu=1"\n' + PHASE + '[[phase]]\nname = "late"\nlanes = 2', "phase 2 (late): unknown key 'lanes'"),
        ('mix = "cpu=1"\n[[phase]]\nduration = "1s"', "phase 1 (phase-1): rate is missing. Give one such as rate ="),
        (PHASE, "phase 1 (phase-1): mix is missing, here and for the whole file."),
        ('mix = "cpu=1"', "one or more phases, each under a line [[phase]]"),
        ("phase = []", "one or more phases"),
        ("phase = [1]", "one or more phases"),
        ('[phase]\nrate = "5/s"', "one or more phases"),
        ("mix = 5\n" + PHASE, "mix 5: must be a text in quotes"),
        ("mix = 'oi=1'\n" + PHASE, "unknown workload 'oi'"),
        ("mix = 'io'\nshows = 5\n" + PHASE, "shows 5: must be a text in quotes"),
        ("mix = 'io'\n[[phase]]\nname = 7\nrate = 5\nduration = 1", "phase 1 (7): name 7: must be a text in quotes"),
        ("mix = 'io'\n" + PHASE + 'counts = "no"', "phase 1 (phase-1): counts 'no': must be true or false"),
        ("mix = 'io'\n" + PHASE + "mix = ['io']", "phase 1 (phase-1): mix ['io']: must be a text in quotes"),
        ("mix = 'io'\n[[phase]]\nrate = 'fast'\nduration = 1", "phase 1 (phase-1): --rate 'fast': not a load profile"),
        ("mix = 'io'\n[[phase]]\nrate = '5/s'", "phase 1 (phase-1): --rate '5/s': also say for how long"),
        ("mix = 'io'\n[[phase]]\nrate = '5/s'\nduration = 'long'", "duration 'long': must be a time"),
        ("mix = 'io'\n" + PHASE + "counts = false", "no phase that counts"),
        ("mix = 'io'\n[[phase]]\nrate = 0\nduration = 1", "0.0 jobs in all"),
        ("mix = 'io'\nthresholds = 'lost == 0'\n" + PHASE, "thresholds: must be a list of texts"),
        ("mix = 'io'\nlanes = [2]\n" + PHASE, "lanes: must be a list of texts"),
        ("mix = 'io'\nconcurrency = true\n" + PHASE, "concurrency True: must be a text or a number"),
        ("mix = 'io'\nconcurrency = [8]\n" + PHASE, "concurrency [8]: must be a text or a number"),
        ("mix = cpu=1\n", "not a TOML file"),
        (b'shows = "\xff"', "not a TOML file"),
    ],
)  # fmt: skip
def test_what_cannot_be_held_is_refused_with_where_and_what_is_allowed(write, text, said):
    assert said in refusal(write(text))


def test_a_file_that_is_not_there_is_told_with_where_to_look(tmp_path):
    said = refusal(tmp_path / "nowhere.toml")
    assert "cannot be read (No such file or directory)" in said
    assert "poolrace load --list" in said
    assert "(did you mean io-heavy?)" in refusal(tmp_path / "io-heavey.toml")
    assert "cannot be read (Is a directory)" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["demo", "demo.toml", "scenarios/demo", "scenarios/demo.toml"])
def test_what_comes_along_is_found_by_its_name_with_or_without_folder_and_ending(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_scenario(name) == SCENARIOS / "demo.toml"


def test_a_file_is_found_by_its_path_before_one_that_comes_along(write, monkeypatch):
    path = write(WHOLE, "demo")
    assert find_scenario(str(path)) == path
    monkeypatch.chdir(path.parent)
    assert find_scenario("demo") == Path("demo")
    assert read_scenario(find_scenario("demo")).shows == "Two phases."


@pytest.mark.parametrize("name", ["elsewhere/demo.toml", "dema", "scenarios/dema.toml"])
def test_what_is_nowhere_stays_what_was_written(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_scenario(name) == Path(name)


def test_a_scaled_script_has_every_rate_and_every_time_multiplied(write):
    """The ramp from 0 to 10/s over 20 s becomes one from 0 to 5/s over 60 s: 100 jobs become 150."""
    script = read_scenario(write(WHOLE)).script
    found = scaled(script, rate=0.5, time=3.0)
    assert [phase.profile.text for phase in found.phases] == [
        "5/s, rate x 0.5, time x 3",
        "ramp 0->10/s over 20s, rate x 0.5, time x 3",
    ]
    assert [(s.begin_per_s, s.end_per_s, s.duration_s) for phase in found.phases for s in phase.profile.segments] == [
        (2.5, 2.5, 12), (0, 5, 60),
    ]  # fmt: skip
    assert (script.phases[1].profile.jobs, found.phases[1].profile.jobs) == (100, 150)
    assert [(phase.name, phase.mix, phase.counts) for phase in found.phases] == [
        (phase.name, phase.mix, phase.counts) for phase in script.phases
    ]


def test_a_script_scaled_by_one_stays_as_it_is_and_one_factor_is_told_alone(write):
    script = read_scenario(write(WHOLE)).script
    assert scaled(script, rate=1.0, time=1.0) == script
    assert scaled(script, rate=1.0, time=0.1).phases[0].profile.text == "5/s, time x 0.1"
    assert scaled(script, rate=2.0, time=1.0).phases[0].profile.text == "5/s, rate x 2"


def test_a_script_scaled_to_nothing_is_refused(write):
    with pytest.raises(UsageError, match="jobs in all"):
        scaled(read_scenario(write("mix = 'io'\n" + PHASE)).script, rate=0.001, time=0.1)

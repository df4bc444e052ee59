"""Every kind of run that is summarised has a report, and one that is unknown is refused."""

import pytest

from producer.analysis.kinds import KINDS as SUMMARISED
from producer.analysis.kinds import kind_of
from producer.analysis.summary import summarise
from producer.errors import UsageError
from producer.report.document import document
from producer.report.kinds import KINDS
from producer.rundir.reader import read_run


def test_the_kinds_of_analysis_and_of_reports_are_the_same():
    assert list(SUMMARISED) == list(KINDS) == ["race", "load", "limit", "sweep", "soak"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_of_each_kind_begins_with_its_name(run_maker, kind):
    summary = summarise(read_run(run_maker(settings={"kind": kind})))
    assert document(summary)[0].title.startswith(f"{kind.capitalize()} of 2023-11-14")


@pytest.mark.parametrize("kind", KINDS)
def test_a_summary_has_the_part_of_its_kind_and_no_other(run_maker, kind):
    summary = summarise(read_run(run_maker(settings={"kind": kind})))
    there = {part for part in ("load", "limit", "sweep", "soak") if getattr(summary, part) is not None}
    assert there == {kind} - {"race"}


def test_a_kind_that_this_version_does_not_know_is_refused(run_maker):
    path = run_maker()
    file = path / "manifest.json"
    file.write_text(file.read_text().replace('"kind": "race"', '"kind": "regatta"'))
    with pytest.raises(UsageError, match="a run of kind 'regatta' is unknown here"):
        kind_of(read_run(path))

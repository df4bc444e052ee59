"""
JUnit XML for CI servers: a test for being valid, and one for each thing that was asked of a lane. It is skipped, with
the reason, where nobody can say.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from producer.report.kinds import KINDS

if TYPE_CHECKING:
    from producer.analysis.summary import Summary
    from producer.report.drills import DrillsRun


def as_junit(summary: Summary) -> bytes:
    """Return a test suite; a run that is not valid has an error, since nobody knows what it would have been."""
    kind = KINDS[summary.settings.kind]
    suite = ET.Element("testsuite", name=f"poolrace {kind.name}")
    if summary.run.began_at is not None:
        suite.set("timestamp", datetime.fromtimestamp(summary.run.began_at, UTC).isoformat(timespec="seconds"))
    _test(suite, kind.name, "the run is valid", "error", "\n".join(summary.problems))
    for check in kind.checks(summary):
        _test(suite, f"{kind.name}.{check.lane}", check.name, "failure", check.failure)
        if check.unsure:
            ET.SubElement(suite[-1], "skipped", message=check.unsure)
    return _written(suite)


def drills_as_junit(run: DrillsRun) -> bytes:
    """Return a test suite of drills, with a test for each cell; one that could not be tried has an error."""
    suite = ET.Element("testsuite", name="poolrace drill", timestamp=run.at)
    for each in run.results:
        bad = "error" if each.toll is None else "failure"
        _test(suite, f"drill.{each.cell}", each.drill, bad, "; ".join(each.short))
        if each.skipped:
            ET.SubElement(suite[-1], "skipped", message=each.skipped)
    return _written(suite)


def _written(suite: ET.Element) -> bytes:
    for name, counted in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(counted, str(len(suite.findall(f"testcase/{name}"))))
    suite.set("tests", str(len(suite)))
    ET.indent(suite)
    return bytes(ET.tostring(suite, encoding="utf-8", xml_declaration=True)) + b"\n"


def _test(suite: ET.Element, classname: str, name: str, bad: str, message: str) -> None:
    test = ET.SubElement(suite, "testcase", classname=f"poolrace.{classname}", name=name)
    if message:
        ET.SubElement(test, bad, message=message).text = message

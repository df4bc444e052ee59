"""JUnit XML for CI servers: a test for being valid, and one for each thing that was asked of a lane."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from producer.report.kinds import KINDS

if TYPE_CHECKING:
    from producer.analysis.summary import Summary


def as_junit(summary: Summary) -> bytes:
    """Return a test suite; a run that is not valid has an error, since nobody knows what it would have been."""
    kind = KINDS[summary.settings.kind]
    suite = ET.Element("testsuite", name=f"poolrace {kind.name}")
    if summary.run.began_at is not None:
        suite.set("timestamp", datetime.fromtimestamp(summary.run.began_at, UTC).isoformat(timespec="seconds"))
    _test(suite, kind.name, "the run is valid", "error", "\n".join(summary.problems))
    for check in kind.checks(summary):
        _test(suite, f"{kind.name}.{check.lane}", check.name, "failure", check.failure)
    for name in ("failure", "error"):
        suite.set(f"{name}s", str(len(suite.findall(f"testcase/{name}"))))
    suite.set("tests", str(len(suite)))
    ET.indent(suite)
    return bytes(ET.tostring(suite, encoding="utf-8", xml_declaration=True)) + b"\n"


def _test(suite: ET.Element, classname: str, name: str, bad: str, message: str) -> None:
    test = ET.SubElement(suite, "testcase", classname=f"poolrace.{classname}", name=name)
    if message:
        ET.SubElement(test, bad, message=message).text = message

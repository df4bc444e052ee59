"""What a run found as JUnit XML, for CI servers: a test for being valid, and one for each threshold on each lane."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from producer.report.load import judged_sentence

if TYPE_CHECKING:
    from collections.abc import Mapping


def as_junit(summary: Mapping[str, Any]) -> bytes:
    """A test suite; a run that is not valid is one test with an error, since nobody knows what it would have been."""
    kind = summary["settings"].get("kind", "race")
    suite = ET.Element("testsuite", name=f"poolrace {kind}", timestamp=_iso(summary["run"]["began_at"]))
    _test(suite, kind, "the run is valid", "error", "\n".join(summary["problems"]))
    if aborted := summary["aborted"]:
        why = f"ended after {aborted['at_s']:.0f} s: {aborted['why']} was broken; the lanes after it were not loaded"
        _test(suite, f"{kind}.{aborted['lane']}", "the load goes on to its end", "failure", why)
    for lane in summary["load"]:
        for judged in lane["thresholds"]:
            broken = "" if judged["kept"] else judged_sentence(judged)
            _test(suite, f"{kind}.{lane['lane']}", judged["threshold"], "failure", broken)
    for lane in summary["limit"]:
        unsure = (
            ""
            if lane["confirmed"]
            else f"held {lane['held_per_s']}, broke at {lane['broke_per_s']}, in jobs per second"
        )
        _test(suite, f"{kind}.{lane['lane']}", "its limit is found and confirmed", "failure", unsure)
    for name in ("failure", "error"):
        suite.set(f"{name}s", str(len(suite.findall(f"testcase/{name}"))))
    suite.set("tests", str(len(suite)))
    ET.indent(suite)
    return bytes(ET.tostring(suite, encoding="utf-8", xml_declaration=True)) + b"\n"


def _test(suite: ET.Element, classname: str, name: str, bad: str, message: str) -> None:
    test = ET.SubElement(suite, "testcase", classname=f"poolrace.{classname}", name=name)
    if message:
        ET.SubElement(test, bad, message=message).text = message


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")

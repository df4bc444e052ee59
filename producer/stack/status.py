"""The status of a stack: each part, whether its process runs, and whether it is well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from producer.stack.parts import PARTS, Site

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.stack.state import Ledger, StateFolder

WELL, UNWELL, ENDED, ABSENT = "running", "unwell", "ended", "not started"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartStatus:
    """
    The status of a part.

    Attributes:
        part: Its name.
        state: `running` and well; `unwell`: runs, but fails its check; `ended` without `down`; `not started`.
        pid: The id of its process; None if it has none.
        detail: Its address, or what is wrong with it.
        log: Its log.
    """

    part: str
    state: str
    pid: int | None
    detail: str
    log: str


def look(state: StateFolder) -> tuple[Site | None, list[PartStatus]]:
    """Look at a stack, and return its site and the status of each part; None and [] if none was started."""
    ledger = state.read()
    if not ledger.daemons:
        return None, []
    site = Site(state, ledger.settings, ledger.ports)
    return site, [_look_at(site, ledger, part) for part in PARTS]


def is_well(parts: Sequence[PartStatus]) -> bool:
    """Return whether there are parts, and all are running and well."""
    return bool(parts) and all(part.state == WELL for part in parts)


def to_dict(site: Site | None, parts: Sequence[PartStatus]) -> dict[str, Any]:
    """Return the status as plain values, for JSON; of passwords only the files that hold them."""
    listed = [
        {"part": each.part, "state": each.state, "pid": each.pid, "detail": each.detail, "log": each.log}
        for each in parts
    ]
    if site is None:
        return {"up": False, "parts": listed}
    return {
        "up": is_well(parts),
        "parts": listed,
        "flower": {"url": site.flower_url, "login_file": str(site.login_file)},
        "metrics": site.metrics_url,
        "broker": {"url": site.broker_url, "password_file": str(site.password_file)},
    }


def _look_at(site: Site, ledger: Ledger, part: str) -> PartStatus:
    log = site.state.log(part)
    state, detail = ABSENT, "poolrace stack up starts it"
    if ledger.runs(part):
        found = site.problem(part)
        state, detail = (UNWELL, found) if found else (WELL, site.describe(part))
    elif part in ledger.daemons:
        state, detail = ENDED, f"see {log}; poolrace stack up starts it again"
    pid = ledger.daemons[part].pid if part in ledger.daemons else None
    return PartStatus(part=part, state=state, pid=pid, detail=detail, log=str(log))

"""The options of a call: with which a step can carry it, and what they put into its message."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from json.encoder import encode_basestring_ascii as quoted
from typing import TYPE_CHECKING, Any

from poolrace.publishing.plan import HEADERS, NOTHING, encode

if TYPE_CHECKING:
    from collections.abc import Mapping

SIGNATURES = (dict, list, tuple)
CARRIED: dict[str, Any] = {
    "queue": str, "priority": int, "ignore_result": bool, "task_id": str, "countdown": (int, float),
    "eta": (datetime, str), "expires": (int, float, datetime), "time_limit": (int, float),
    "soft_time_limit": (int, float), "headers": dict, "shadow": str, "reply_to": str, "root_id": str, "parent_id": str,
    "group_id": str, "group_index": int, "link": SIGNATURES, "link_error": SIGNATURES, "chain": (list, tuple),
    "chord": dict, "add_to_parent": bool, "producer": object,
}  # fmt: skip
"""The options of a call that a step can carry, and their types; with any other, Celery sends it."""

FAR_S = 10**9
"""A countdown of more, or a message that lives for longer, is left to Celery, which may refuse it."""

TAKEN_BACK = {"queue", "priority", "ignore_result", "expires", "time_limit", "soft_time_limit", "add_to_parent"}
ABSENT = CARRIED.keys() - TAKEN_BACK
"""The options of which None says the same as nothing; that of the others takes back what else would be."""

CELERYS_HEADERS = frozenset({*HEADERS, "ignore_result", "compression", "stamped_headers", "stamps", "eta", "expires"})
"""Headers that a call cannot have of its own in a step: they are made otherwise, or are more than a header."""

IN_HEADERS = {"group_id": "group", "group_index": "group_index", "shadow": "shadow"}
"""The options that are headers as they are, by the names of these."""


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a call, without those that say nothing."""
    return {name: value for name, value in options.items() if value is not None or name not in ABSENT}


def are_carried(app: Any, options: Mapping[str, Any]) -> bool:
    """Check whether a step can carry a call with these options, whatever task it is of."""
    if not options:
        return True
    if not options.keys() <= CARRIED.keys():
        return False
    if not all(isinstance(value, CARRIED[name]) for name, value in options.items()):
        return False
    if abs(options.get("countdown", 0)) > FAR_S or options.get("shadow") == "":
        return False
    return ("headers" not in options or _are_own(options["headers"])) and (
        "expires" not in options or 0 <= _lives_s(app, options["expires"]) <= FAR_S
    )


def _are_own(headers: Mapping[Any, Any]) -> bool:
    return all(isinstance(name, str) for name in headers) and not headers.keys() & CELERYS_HEADERS


def _lives_s(app: Any, expires: float | datetime) -> float:
    """Return for how long a message lives; -1 if that depends on the version of Celery."""
    if not isinstance(expires, datetime):
        return expires
    if expires.tzinfo is None:
        return -1.0
    lives: timedelta = expires.astimezone(UTC) - app.now().astimezone(UTC)
    return lives.total_seconds()


def kind_of(options: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what the messages of a kind of call have in common, of its options."""
    is_due_later = bool(options.get("countdown") or options.get("eta"))
    common = (options.get("queue"), options.get("priority"), options.get("ignore_result"), is_due_later)
    if options.keys() <= PLAIN:
        return common
    limits = (options.get("time_limit"), options.get("soft_time_limit"))
    return (*common, *limits, frozenset(options.keys() - PLAIN), tuple(options.get("headers") or ()))


PLAIN = frozenset({"queue", "priority", "ignore_result", "task_id", "countdown", "eta", "add_to_parent", "producer"})
"""The options with which no more than a due time is put into a message."""


def further(app: Any, options: Mapping[str, Any]) -> Mapping[str, str]:
    """Return what the options of a call put into the further holes of its plan, by the names of these, as JSON."""
    if not options or options.keys() <= NEVER_FURTHER:
        return NOTHING
    found: dict[str, str] = {}
    if not options.keys() <= PLAIN:
        found |= _in_headers(options)
    countdown, eta, expires = (options.get(name) for name in ("countdown", "eta", "expires"))
    if countdown or eta or expires is not None:
        found |= _when(app, countdown or 0, eta, expires)
    return found


def _when(app: Any, countdown: float, eta: datetime | str | None, expires: float | datetime | None) -> dict[str, str]:
    """Return when a message is due and when it expires, both from the same instant on, as Celery has it."""
    found, now = {}, app.now()
    if countdown or eta:
        found["headers.eta"] = quoted(_due(app, now, countdown, eta))
    if expires is not None:
        at, lives_s = (expires, 0.0) if isinstance(expires, datetime) else (None, expires)
        found["headers.expires"] = quoted(_due(app, now, lives_s, at))
        found["properties.expiration"] = f'"{int(_lives_s(app, expires) * 1000)}"'
    return found


def _in_headers(options: Mapping[str, Any]) -> dict[str, str]:
    found = {f"headers.{header}": encode(options[name]) for name, header in IN_HEADERS.items() if name in options}
    for name, value in (options.get("headers") or NOTHING).items():
        found[f"headers.{name}"] = encode(value)
    return found


NEVER_FURTHER = PLAIN - {"countdown", "eta"}


def _due(app: Any, now: datetime, seconds: float, at: datetime | str | None) -> str:
    """Return when a message is due, or expires, as Celery writes it: after some seconds, or else at an instant."""
    if not seconds and at is not None:
        return at if isinstance(at, str) else at.isoformat()
    from celery.utils import time

    # Until 5.7 Celery adds as clocks on the wall do, and from then on as time passes.
    add = getattr(time, "add_seconds_to_datetime", None)
    due = now + timedelta(seconds=seconds) if add is None else add(now, seconds)
    return str(time.maybe_make_aware(due, tz=app.timezone).isoformat())


def embedded(names: tuple[str, ...], options: Mapping[str, Any]) -> str | None:
    """
    Return the third part of the body of a call's message, as JSON: what follows the task; None if nothing does.

    Args:
        names: Its keys, in order.
        options: The options of the call.
    """
    if not options or options.keys() <= PLAIN:
        return None
    from celery.utils.functional import maybe_list

    follows: dict[str, Any] = {
        "callbacks": maybe_list(options.get("link")),
        "errbacks": maybe_list(options.get("link_error")),
        "chain": options.get("chain"),
        "chord": options.get("chord"),
    }
    return encode({name: follows[name] for name in names})

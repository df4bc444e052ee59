"""A profile as the parts of a report: each setting, what it is for, and what an app has in its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from poolrace.profiles import PROFILES, Where, value_for
from producer.report.parts import Prose, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producer.report.parts import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """
    A setting of a profile beside what an app has.

    Attributes:
        where: Where it is made: `app` or `broker`.
        name: Its name.
        value: The value of the profile.
        has: What the app has; None if nothing is known of it.
        fits: Whether that is the same; None if nothing is known of it.
        because: What happens without it.
        drill: The drill that shows that.
        overruled: Tasks that switch it off for themselves.
    """

    where: str
    name: str
    value: Any
    has: Any
    fits: bool | None
    because: str
    drill: str
    overruled: Sequence[str] = ()


def changes(
    profile: str,
    settings: Mapping[str, Any] | None,
    overruled: Mapping[str, Sequence[str]] | None = None,
    broker_url: str = "",
) -> list[Change]:
    """
    Compare a profile with the settings of an app.

    Args:
        profile: The name of the profile.
        settings: What the app has, by name; None if there is no app.
        overruled: By setting, the tasks that switch it off for themselves.
        broker_url: The app's broker, of which the scheme matters; empty if it is not known.
    """
    return [
        Change(
            where=each.where.value,
            name=each.name,
            value=(value := value_for(each, broker_url)),
            has=settings.get(each.name) if settings is not None and each.where is Where.APP else None,
            fits=settings.get(each.name) == value if settings is not None and each.where is Where.APP else None,
            because=each.because,
            drill=each.drill,
            overruled=(overruled or {}).get(each.name, ()),
        )
        for each in PROFILES[profile]
    ]


def profile_parts(profile: str, found: Sequence[Change], app: str) -> list[Part]:
    """Return a profile: the lines to write, and what each is for."""
    of_app = [each for each in found if each.where == Where.APP.value]
    missing = [each for each in of_app if not each.fits]
    lines = [f"app.conf.{each.name} = {each.value!r}" for each in missing]
    title = f"{app} would have to change" if app else f"The profile {profile}"
    if app and not missing:
        lines, title = [], f"{app} has every setting of the profile {profile}"
    rows = [[each.name, _text(each.value), *([_has(each)] if app else []), each.because, each.drill] for each in found]
    columns = ["setting", "value", *(["has"] if app else []), "without it", "drill that shows it"]
    overruled = [f"{each.name}: {', '.join(each.overruled)}" for each in of_app if each.overruled]
    return [
        Prose(title=title, lines=[], commands=lines),
        *([Prose(title="Switched off again by tasks", lines=overruled)] if overruled else []),
        Prose(
            title="On the broker",
            lines=[f"{each.name} {each.value}" for each in found if each.where == Where.BROKER.value],
        ),
        Table(title="What each is for", columns=columns, rows=rows, words=columns[1:]),
    ]


def _has(each: Change) -> str:
    return "-" if each.fits is None else _text(each.has)


def _text(value: Any) -> str:
    return "not set" if value is None else str(value)

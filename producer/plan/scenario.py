"""
Scenario files: a load in a TOML file, to be run again.

Everything is checked before anything starts. Keys of the file are options of the command line, which override those of
the file; only phases exist in the file alone. docs/scenarios.md describes every key.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from producer.errors import UsageError
from producer.plan.mix import parse_mix
from producer.plan.profile import Profile, Segment, parse_profile
from producer.plan.script import Phase, Script
from producer.plan.units import one_of, parse_duration_s

if TYPE_CHECKING:
    from collections.abc import Mapping

OPTIONS = {
    "lanes": "lanes",
    "concurrency": "concurrency",
    "job-duration": "job_duration",
    "cpu-share": "cpu_share",
    "arrivals": "arrivals",
    "prefetch": "prefetch",
    "acks": "acks",
    "seed": "seed",
    "publishers": "publishers",
    "payload": "payload",
    "priority": "priority",
    "thresholds": "thresholds",
    "abort-on-fail": "abort_on_fail",
}
"""The keys that are options of the command line, each with the option's name in the code."""

LISTS = ("lanes", "thresholds")
KEYS = ("shows", "mix", "phase", *OPTIONS)
PHASE_KEYS = ("name", "rate", "duration", "mix", "counts")
MAX_S = 24 * 3600.0

PLACES = (Path(__file__).resolve().parents[2] / "scenarios", Path(__file__).resolve().parent / "scenarios")
"""The folders of the scenarios that come with Poolrace: beside the source, or inside an installed package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """
    A scenario file, read and checked.

    Attributes:
        name: The file's name, without its ending.
        path: The file.
        shows: A sentence that says what it shows.
        script: Its phases.
        options: Its other keys, by the names that options have in the code.
    """

    name: str
    path: Path
    shows: str
    script: Script
    options: Mapping[str, Any]


def read_scenario(path: Path) -> Scenario:
    """
    Read and check a scenario file.

    Raises:
        UsageError: If it is missing, is no TOML, or has an unknown key or a wrong value; the message says where.
    """
    try:
        values = tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read ({error.strerror}). Those that come with Poolrace: "
            f"{one_of(path.stem, [shipped.stem for shipped in _shipped()])}. "
            "What each shows: poolrace load --list"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not a TOML file: {error}.") from error
    _check_keys(values, KEYS, str(path))
    phases = values.get("phase")
    if not isinstance(phases, list) or not phases or not all(isinstance(phase, dict) for phase in phases):
        raise UsageError(f"{path}: a scenario has one or more phases, each under a line [[phase]].")
    try:
        mix = _mix(values.get("mix"), "mix")
        found = Script(phases=tuple(_phase(phase, number, mix) for number, phase in enumerate(phases, start=1)))
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    options = {OPTIONS[key]: _option(path, key, value) for key, value in values.items() if key in OPTIONS}
    return Scenario(
        name=path.stem, path=path, shows=_text(values.get("shows", ""), f"{path}: shows"), script=found, options=options
    )


def find_scenario(name: str) -> Path:
    """Find a file by its path, or one that comes with Poolrace by its name, with or without folder and ending."""
    path = Path(name)
    if path.is_file():
        return path
    for place in PLACES:
        shipped = place / f"{path.stem}.toml"
        if shipped.is_file() and path.parent in {Path(), Path("scenarios")}:
            return shipped
    return path


def shipped_scenarios() -> list[Scenario]:
    """Read the scenarios that come with Poolrace, in alphabetical order."""
    return [read_scenario(path) for path in _shipped()]


def _shipped() -> list[Path]:
    place = next((place for place in PLACES if place.is_dir()), PLACES[0])
    return sorted(place.glob("*.toml"))


def scaled(script: Script, *, rate: float, time: float) -> Script:
    """Return the same script with every rate and every time multiplied."""
    return Script(phases=tuple(replace(phase, profile=_scaled(phase.profile, rate, time)) for phase in script.phases))


def _scaled(profile: Profile, rate: float, time: float) -> Profile:
    segments = tuple(
        Segment(begin_per_s=s.begin_per_s * rate, end_per_s=s.end_per_s * rate, duration_s=s.duration_s * time)
        for s in profile.segments
    )
    factors = [f"rate x {rate:g}"] * (rate != 1) + [f"time x {time:g}"] * (time != 1)
    return Profile(text=", ".join([profile.text, *factors]), segments=segments)


def _phase(value: Mapping[str, Any], number: int, mix: Mapping[str, float] | None) -> Phase:
    name = value.get("name", f"phase-{number}")
    where = f"phase {number} ({name})"
    _check_keys(value, PHASE_KEYS, where)
    if "rate" not in value:
        raise UsageError(f'{where}: rate is missing. Give one such as rate = "50/s".')
    if mix is None and "mix" not in value:
        raise UsageError(f'{where}: mix is missing, here and for the whole file. Give one such as mix = "cpu=1,io=9".')
    try:
        duration = value.get("duration")
        duration_s = None if duration is None else parse_duration_s(str(duration), "duration", 0.001, MAX_S)
        shares = _mix(value.get("mix"), "mix") or mix or {}
        return Phase(
            name=_text(name, "name"),
            profile=parse_profile(str(value["rate"]), duration_s),
            mix=shares,
            counts=_flag(value.get("counts", True)),
        )
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error


def _check_keys(value: Mapping[str, Any], allowed: tuple[str, ...], where: str) -> None:
    for key in value:
        if key not in allowed:
            raise UsageError(f"{where}: unknown key {key!r}. Allowed: {one_of(key, allowed)}.")


def _mix(value: Any, name: str) -> dict[str, float] | None:
    return None if value is None else parse_mix(_text(value, name), name)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{name}: {value!r} must be a text in quotes.")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"counts: {value!r} must be true or false.")
    return value


def _option(path: Path, key: str, value: Any) -> Any:
    if key in LISTS:
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise UsageError(f'{path}: {key}: must be a list of texts, e.g. {key} = ["…", "…"].')
        return tuple(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UsageError(f"{path}: {key}: {value!r} must be a text or a number.")
    return str(value)

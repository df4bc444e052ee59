"""Types of options: the parsers of `plan`, as click calls them, with the words that a shell completes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from poolrace.pools import POOLS
from producer.errors import UsageError
from producer.plan.lanes import MAX_CONCURRENCY, parse_lane
from producer.plan.mix import parse_mix
from producer.plan.thresholds import parse_threshold
from producer.plan.units import (
    MAX_RATE_PER_S,
    fraction,
    parse_choice,
    parse_duration_s,
    parse_rate,
    parse_size_bytes,
    whole_number,
)
from producer.plan.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


def name_of(parameter: click.Parameter) -> str:
    """Return the long form of an option, as errors name it."""
    return max(parameter.opts, key=len)


class Parsed(click.ParamType):  # type: ignore[type-arg]  # it is generic only in later versions of click
    """
    A type of option that is read by a function of the text and the option's name.

    Attributes:
        name: Its name, which help shows in capitals.
        text: Returns a value as it is written on the command line.
    """

    def __init__(
        self,
        name: str,
        parse: Callable[[str, str], Any],
        *,
        text: Callable[[Any], str] = str,
        words: Iterable[str] = (),
    ) -> None:
        self.name = name
        self.text = text
        self._parse = parse
        self._words = words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ARG002
        """Read a text; any other value is a default, and has been read."""
        return self._parse(value, name_of(param) if param else self.name) if isinstance(value, str) else value

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Complete the last word of a list with commas."""
        before, comma, last = incomplete.rpartition(",")
        return [CompletionItem(f"{before}{comma}{word}") for word in self._words if word.startswith(last)]


class Duration(Parsed):
    """A time, in seconds, within bounds."""

    def __init__(self, low_s: float, high_s: float) -> None:
        super().__init__(
            "time", lambda text, name: parse_duration_s(text, name, low_s, high_s), text=lambda seconds: f"{seconds:g}s"
        )


class Count(Parsed):
    """A whole number within bounds."""

    def __init__(self, low: int, high: int, name: str = "n") -> None:
        super().__init__(name, lambda text, name: whole_number(text, name, low, high))


class Share(Parsed):
    """A number within bounds, mostly a part of 1."""

    def __init__(self, low: float, high: float, name: str = "part") -> None:
        super().__init__(name, lambda text, name: fraction(text, name, low, high), text=lambda share: f"{share:g}")


class Rate(Parsed):
    """Jobs per second."""

    def __init__(self, highest_per_s: float = MAX_RATE_PER_S) -> None:
        super().__init__(
            "rate", lambda text, name: parse_rate(text, name, highest_per_s), text=lambda rate: f"{rate:g}/s"
        )


class Size(Parsed):
    """A number of bytes."""

    def __init__(self, high_bytes: int) -> None:
        super().__init__("size", lambda text, name: parse_size_bytes(text, name, high_bytes))


class Comparison(Parsed):
    """A comparison that must hold; in a variable several have a semicolon between them, as each has spaces."""

    envvar_list_splitter = ";"

    def __init__(self) -> None:
        super().__init__("comparison", parse_threshold)


class OneOf(click.Choice[str]):
    """One of some words."""

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__(allowed)
        self._allowed = allowed

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        """Return the word, if it is allowed."""
        return parse_choice(value, name_of(param) if param else self.name, self._allowed)


def _checked_lane(text: str, name: str) -> str:  # noqa: ARG001 - every parser has both
    parse_lane(text, concurrency=MAX_CONCURRENCY)  # that of lanes that name none is known later
    return text


def _broker_url(text: str, name: str) -> str:
    if "://" not in text:  # kombu would take the word for a host's name
        raise UsageError(f"{name}: not a URL. Give one such as redis://:PASSWORD@127.0.0.1:6379/0{_with_scheme(text)}.")
    return text


def _with_scheme(text: str) -> str:
    """Return what a host and port, which hold no password, would be as a URL."""
    return f"; for this one redis://{text}/0" if re.fullmatch(r"[\w.-]+:\d+", text) else ""


def _as_it_is(text: str, name: str) -> str:  # noqa: ARG001 - every parser has both
    return text


LANE = Parsed("spec", _checked_lane, words=tuple(POOLS))
"""A lane's specification, checked and kept as it is: what it leaves out is known only with the other options."""

WORKLOAD = Parsed("name", _as_it_is, words=WORKLOADS)
"""A workload, or a task of a user's own app: which there are is known only with the other options."""

MIX = Parsed("shares", parse_mix, words=WORKLOADS)
"""Shares of the demonstration's workloads."""

MIX_OF_ANY = Parsed("shares", _as_it_is, words=WORKLOADS)
"""Shares of workloads or of a user's own tasks: which there are is known only with the other options."""

THRESHOLD = Comparison()

BROKER = Parsed("url", _broker_url)
"""A broker's URL."""

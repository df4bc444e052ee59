"""Hides what arguments hold: a value is hidden the same way within a recording, and differently in the next. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SALT_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """
    What to hide.

    Attributes:
        salt: Of this recording alone, so that nobody finds a value by hashing guesses.
        names: Keyword arguments, by name; positional ones, by number from 0.
        everything: All arguments.
    """

    salt: bytes
    names: frozenset[str] = frozenset()
    everything: bool = False

    def args(self, args: Sequence[Any]) -> list[Any]:
        """Positional arguments, those that are to be hidden hidden."""
        return [self.hidden(value) if self._hides(str(place)) else value for place, value in enumerate(args)]

    def kwargs(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Keyword arguments, likewise."""
        return {name: self.hidden(value) if self._hides(name) else value for name, value in kwargs.items()}

    def headers(self, headers: Mapping[str, Any]) -> dict[str, Any]:
        """Headers of the app's own, which have no names of arguments: hidden where everything is."""
        return {name: self.hidden(value) if self.everything else value for name, value in headers.items()}

    def _hides(self, name: str) -> bool:
        return self.everything or name in self.names

    def hidden(self, value: Any) -> Any:
        """A value of the same kind that tells nothing: text as long, 0 for numbers, containers as they are."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, int | float):
            return type(value)(0)
        if isinstance(value, dict):
            return {key: self.hidden(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.hidden(each) for each in value]
        return None

    def _text(self, text: str) -> str:
        digest = hashlib.blake2b(text.encode(errors="surrogatepass"), key=self.salt).hexdigest()
        return (digest * (len(text) // len(digest) + 1))[: len(text)]

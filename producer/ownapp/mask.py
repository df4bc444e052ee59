"""Masks arguments: a value has the same mask throughout a recording, and another in the next. Pure."""

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
    The arguments to hide.

    Attributes:
        salt: A key that only this recording has, so that hashing guesses finds no value.
        names: Keyword arguments by name; positional arguments by number, from 0.
        everything: True to hide all arguments.
    """

    salt: bytes
    names: frozenset[str] = frozenset()
    everything: bool = False

    def args(self, args: Sequence[Any]) -> list[Any]:
        """Return positional arguments, masked where they are to be hidden."""
        return [self.hidden(value) if self._hides(str(place)) else value for place, value in enumerate(args)]

    def kwargs(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return keyword arguments, masked where they are to be hidden."""
        return {name: self.hidden(value) if self._hides(name) else value for name, value in kwargs.items()}

    def headers(self, headers: Mapping[str, Any]) -> dict[str, Any]:
        """Return the app's own headers, masked if everything is: they have no names of arguments."""
        return {name: self.hidden(value) if self.everything else value for name, value in headers.items()}

    def following(self, signatures: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the jobs that follow one, each masked like it."""
        return [
            {**each, "args": self.args(each.get("args") or ()), "kwargs": self.kwargs(each.get("kwargs") or {})}
            for each in signatures
        ]

    def _hides(self, name: str) -> bool:
        return self.everything or name in self.names

    def hidden(self, value: Any) -> Any:
        """Return a value of the same kind that reveals nothing: text of the same length, 0 for a number."""
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

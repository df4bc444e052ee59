"""
The message of a task without its call: what Celery makes the same every time.

Celery itself makes one message of each kind of call. Of that, only what differs between calls is put in later: ids, the
arguments, and how they are printed. So a message is Celery's own, whatever its settings say, at a fraction of the cost.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii as quoted
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from kombu.utils.json import JSONEncoder, dumps, loads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PLAIN = frozenset({int, float, bool, type(None)})
SHORT = 100
"""Text of so many characters is printed in full, and so are so many characters of all arguments together."""

encode: Callable[[Any], str] = JSONEncoder().encode
"""What kombu's `dumps` does, without a new encoder for every message."""


class UnfitMessageError(Exception):
    """A message that a step cannot carry; Celery sends it itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Printing:
    """
    How much of a task's arguments its headers print.

    Attributes:
        args: How many characters of the positional ones.
        kwargs: How many characters of the keyword ones.
        levels: How deep.
    """

    args: int
    kwargs: int
    levels: int


@dataclass(frozen=True, slots=True)
class MessagePlan:
    """
    How to make the messages of one kind of call.

    Attributes:
        key: The list on the server that they go to, prefix included.
        printing: How arguments are printed in their headers.
        embed: The third part of their body, as JSON.
        pieces: The text of a message between its holes.
        holes: What is put between the pieces, in order: names of `HOLES`, and `eta`, if it has one.
        ignore_result: What its header of that name says.
    """

    key: str
    printing: Printing
    embed: str
    pieces: tuple[str, ...]
    holes: tuple[str, ...]
    ignore_result: bool | None

    def message(
        self,
        task_id: str,
        delivery_tag: str,
        args: Sequence[Any] | None,
        kwargs: Mapping[str, Any] | None,
        reply_to: str,
        ancestors: tuple[str | None, str | None] = (None, None),
        eta: str = "",
    ) -> str:
        """
        Return a message as kombu writes it.

        Args:
            task_id: The id of the task.
            delivery_tag: The name of the message.
            args: Its positional arguments.
            kwargs: Its keyword arguments.
            reply_to: Where the sending thread hears of results, as Celery names it.
            ancestors: The ids of the first task of its family and of the one that sends it; None for none.
            eta: When it is due, as Celery writes it; only of messages that are due at an instant.

        Raises:
            TypeError: If an argument cannot be written as JSON.
        """
        args, kwargs = args or (), kwargs or {}
        body = f"[{encode(args)}, {encode(kwargs) if kwargs else '{}'}, {self.embed}]"
        name, (root_id, parent_id) = quoted(task_id), ancestors
        values = {
            "body": f'"{b64encode(body.encode()).decode()}"',
            "id": name,
            "root_id": quoted(root_id) if root_id else name,
            "parent_id": quoted(parent_id) if parent_id else "null",
            "argsrepr": quoted(printed(args, self.printing.args, self.printing.levels)),
            "kwargsrepr": quoted(printed(kwargs, self.printing.kwargs, self.printing.levels)),
            "delivery_tag": f'"{delivery_tag}"',
            "reply_to": quoted(reply_to),
            "eta": quoted(eta),
        }
        text = [self.pieces[0]]
        for hole, piece in zip(self.holes, self.pieces[1:], strict=True):
            text += values[hole], piece
        return "".join(text)


def plan_of(key: str, message: Mapping[str, Any], *, printing: Printing, ignore_result: bool | None) -> MessagePlan:
    """
    Return how to make messages like one that Celery made.

    Args:
        key: The list that it goes to.
        message: As it would be written to the list.
        printing: How arguments are printed in its headers.
        ignore_result: What its header of that name is to say.

    Raises:
        UnfitMessageError: If it is not a task in JSON, without compression.
    """
    headers, properties = message["headers"], message["properties"]
    if message["content-type"] != "application/json" or message["content-encoding"] != "utf-8":
        raise UnfitMessageError(f"its content is {message['content-type']}, {message['content-encoding']}")
    if properties.get("body_encoding") != "base64" or "compression" in headers or "argsrepr" not in headers:
        raise UnfitMessageError("it is no message of a task in Celery's second protocol, or compressed")
    if headers["expires"]:
        raise UnfitMessageError("it expires at an instant of its own")
    marks = {name: f"hole-{uuid4().hex}" for name in (*HOLES, *(["eta"] if headers["eta"] else []))}
    text = dumps(
        {
            **message,
            "body": marks["body"],
            "headers": {
                **headers,
                **{name: marks[name] for name in HEADERS if name in marks},
                "ignore_result": ignore_result,
            },
            "properties": {
                **properties,
                "correlation_id": marks["id"],
                **{name: marks[name] for name in ("delivery_tag", "reply_to")},
            },
        }
    )
    pieces, holes = _split(text, {f'"{mark}"': name for name, mark in marks.items()})
    _, _, embed = loads(b64decode(message["body"]))
    return MessagePlan(
        key=key, printing=printing, embed=dumps(embed), pieces=tuple(pieces), holes=tuple(holes),
        ignore_result=ignore_result,
    )  # fmt: skip


HEADERS = ("id", "root_id", "parent_id", "argsrepr", "kwargsrepr", "eta")
HOLES = ("body", "id", "root_id", "parent_id", "argsrepr", "kwargsrepr", "delivery_tag", "reply_to")


def _split(text: str, marks: Mapping[str, str]) -> tuple[list[str], list[str]]:
    pieces, holes, begin = [], [], 0
    found = sorted((at, mark) for mark in marks for at in _all(text, mark))
    for at, mark in found:
        pieces.append(text[begin:at])
        holes.append(marks[mark])
        begin = at + len(mark)
    return [*pieces, text[begin:]], holes


def _all(text: str, mark: str) -> list[int]:
    found, at = [], text.find(mark)
    while at >= 0:
        found.append(at)
        at = text.find(mark, at + 1)
    return found


def printed(value: Sequence[Any] | Mapping[str, Any], most: int, levels: int) -> str:
    """
    Return how Celery prints arguments in headers and events.

    Args:
        value: The positional or the keyword arguments.
        most: How many characters at most.
        levels: How deep.
    """
    if not value and type(value) in {tuple, list, dict}:
        return repr(value)
    if type(value) in {tuple, list} and all(map(_is_plain, value)):
        text = repr(value)
        if len(text) <= min(SHORT, most):
            return text
    from celery.utils.saferepr import saferepr  # who sends tasks has Celery

    return str(saferepr(value, most, maxlevels=levels))


def _is_plain(value: Any) -> bool:
    """Check whether Celery prints a value as Python does."""
    if type(value) is str:
        return value.isascii() and value.isprintable() and "'" not in value and "\\" not in value
    return type(value) in PLAIN

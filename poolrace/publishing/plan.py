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
    from collections.abc import Callable, Iterable, Mapping, Sequence

PLAIN = frozenset({int, float, bool, type(None)})
SHORT = 100
"""Text of so many characters is printed in full, and so are so many characters of all arguments together."""

NOTHING: Mapping[str, str] = {}

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
        embed: The third part of their body, as JSON, where nothing follows the task.
        embedded: The keys of that part, in order.
        pieces: The text of a message between its holes.
        holes: What is put between the pieces, in order: names of `HOLES`, and further headers and properties.
        ignore_result: What its header of that name says.
    """

    key: str
    printing: Printing
    embed: str
    embedded: tuple[str, ...]
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
        further: Mapping[str, str] = NOTHING,
        embed: str | None = None,
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
            further: What is put into further holes, as JSON.
            embed: The third part of its body, as JSON, if something follows the task.

        Raises:
            TypeError: If an argument cannot be written as JSON.
        """
        args, kwargs = args or (), kwargs or {}
        body = f"[{encode(args)}, {encode(kwargs) if kwargs else '{}'}, {embed or self.embed}]"
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
            **further,
        }
        text = [self.pieces[0]]
        for hole, piece in zip(self.holes, self.pieces[1:], strict=True):
            text += values[hole], piece
        return "".join(text)

    def makes(
        self,
        message: Mapping[str, Any],
        args: Sequence[Any] | None,
        kwargs: Mapping[str, Any] | None,
        further: Mapping[str, str],
        embed: str | None,
    ) -> bool:
        """
        Check whether it makes a message as Celery has made it, of the task `ROOT` by `PARENT`.

        Args:
            message: The one that Celery has made.
            args: The positional arguments of its task.
            kwargs: Its keyword arguments.
            further: What a call puts into further holes. When it is due is taken from the message: time has passed.
            embed: What follows the task, as in `message`.
        """
        properties = message["properties"]
        at_its_time = {
            hole: dumps(message[part][name]) for hole in DUE if hole in further for part, name in [hole.split(".")]
        }
        made = self.message(
            properties["correlation_id"], properties["delivery_tag"], args, kwargs, properties["reply_to"],
            (ROOT, PARENT), {**further, **at_its_time}, embed,
        )  # fmt: skip
        headers = {**message["headers"], "ignore_result": self.ignore_result}
        return made == dumps({**message, "headers": headers})


def plan_of(
    key: str, message: Mapping[str, Any], *, printing: Printing, ignore_result: bool | None, further: Iterable[str] = ()
) -> MessagePlan:
    """
    Return how to make messages like one that Celery made.

    Args:
        key: The list that it goes to.
        message: As it would be written to the list.
        printing: How arguments are printed in its headers.
        ignore_result: What its header of that name is to say.
        further: Its headers and properties that differ between messages besides: `headers.NAME`, `properties.NAME`.

    Raises:
        UnfitMessageError: If it is not a task in JSON, without compression.
    """
    headers, properties = message["headers"], message["properties"]
    if message["content-type"] != "application/json" or message["content-encoding"] != "utf-8":
        raise UnfitMessageError(f"its content is {message['content-type']}, {message['content-encoding']}")
    if properties.get("body_encoding") != "base64" or "compression" in headers or "argsrepr" not in headers:
        raise UnfitMessageError("it is no message of a task in Celery's second protocol, or compressed")
    _, _, embed = loads(b64decode(message["body"]))
    if embed.keys() != EMBEDDED:
        raise UnfitMessageError(f"its body has {', '.join(embed)}")
    marks = {name: f"hole-{uuid4().hex}" for name in (*HOLES, *further)}
    _check_due(headers, marks)
    text = dumps(
        {
            **message,
            "body": marks["body"],
            "headers": {
                **headers,
                **{name: marks[name] for name in HEADERS},
                **_marked("headers", headers, marks),
                "ignore_result": ignore_result,
            },
            "properties": {
                **properties,
                "correlation_id": marks["id"],
                **{name: marks[name] for name in ("delivery_tag", "reply_to")},
                **_marked("properties", properties, marks),
            },
        }
    )
    pieces, holes = _split(text, {f'"{mark}"': name for name, mark in marks.items()})
    return MessagePlan(
        key=key, printing=printing, embed=dumps(embed), embedded=tuple(embed), pieces=tuple(pieces),
        holes=tuple(holes), ignore_result=ignore_result,
    )  # fmt: skip


def _check_due(headers: Mapping[str, Any], marks: Mapping[str, str]) -> None:
    for name in ("eta", "expires"):
        if headers[name] and f"headers.{name}" not in marks:
            raise UnfitMessageError(f"its header {name} is an instant that no call has given")


def _marked(part: str, values: Mapping[str, Any], marks: Mapping[str, str]) -> dict[str, str]:
    """Return the marks of further holes among some headers or properties."""
    return {name: marks[hole] for name in values if (hole := f"{part}.{name}") in marks}


DUE = ("headers.eta", "headers.expires", "properties.expiration")
"""Holes that depend on when a call is made."""

ROOT, PARENT = "root", "parent"
"""The ids of the family of a call that is planned with."""

EMBEDDED = {"callbacks", "errbacks", "chain", "chord"}
"""The keys of the third part of a body: what follows the task."""

HEADERS = ("id", "root_id", "parent_id", "argsrepr", "kwargsrepr")
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

"""
The service that the io and mixed workloads fetch from: a small HTTP server that answers after a given delay.

`GET /items?delay_us=50000` is answered 50 ms later with a JSON document of about 2 KB; `GET /healthz` at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import signal
import sys
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ITEMS = 30
DELAY_LIMIT_US = 60_000_000
LINE_LIMIT_BYTES = 8192
HEADERS_LIMIT = 100

BACKLOG = 1024
"""Connections that may wait to be accepted. Past it a client's system tries again a second later: a false wait."""

REQUEST_LINE = re.compile(r"(?P<method>[A-Z]+) (?P<path>/[^\s?]*)(?:\?(?P<query>\S*))? HTTP/1\.(?P<minor>[01])")

EXAMPLES = """\
examples:
  python -m worker.upstream
  python -m worker.upstream --host 0.0.0.0 --port 8081
  curl 'http://127.0.0.1:8081/items?delay_us=50000'
"""


class BadRequestError(ValueError):
    """What a client sent is not a request that this server can answer."""


class CannotListenError(RuntimeError):
    """The address or the port is not to be had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """
    What a client asked for.

    Attributes:
        method: `GET`, `HEAD`, ...
        path: Without the query.
        query: What follows the question mark.
        keep_alive: The client may send another request on the same connection.
    """

    method: str
    path: str
    query: str
    keep_alive: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    What a client gets.

    Attributes:
        status: HTTP's number for how it went.
        body: The document, or a sentence for a human.
        media_type: Of the body.
    """

    status: HTTPStatus
    body: bytes
    media_type: str = "text/plain; charset=utf-8"

    def encode(self, *, keep_alive: bool, with_body: bool) -> bytes:
        """As it goes over the wire."""
        body = self.body if with_body else b""
        head = (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}\r\n"
            f"Content-Type: {self.media_type}\r\n"
            f"Content-Length: {len(body)}\r\n"
            f"Connection: {'keep-alive' if keep_alive else 'close'}\r\n\r\n"
        )
        return head.encode() + body


def make_document() -> bytes:
    """A list of items as JSON, about 2 KB, always the same."""
    items = [
        {"id": number, "name": f"item {number:03}", "price_cents": 100 + 7 * number, "quantity": 1 + number % 5}
        for number in range(ITEMS)
    ]
    return json.dumps({"items": items}).encode()


DOCUMENT = Answer(status=HTTPStatus.OK, body=make_document(), media_type="application/json")
HEALTHY = Answer(status=HTTPStatus.OK, body=b"ok\n")
NOT_FOUND = Answer(status=HTTPStatus.NOT_FOUND, body=b"GET /items?delay_us=50000 or GET /healthz\n")


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """
    The next request on a connection; None if the client has closed it.

    Raises:
        BadRequestError: If what comes is not a request.
    """
    line = await read_line(reader)
    if not line:
        return None
    # Checked before the headers are awaited, so that a client that does not speak HTTP is told at once.
    match = REQUEST_LINE.fullmatch(line.rstrip("\r\n"))
    if match is None:
        raise BadRequestError(f"not an HTTP/1.1 request: {line[:60]!r}")
    headers = await read_headers(reader)
    return Request(
        method=match["method"],
        path=match["path"],
        query=match["query"] or "",
        keep_alive=match["minor"] == "1" and may_continue(headers),
    )


def may_continue(headers: Mapping[str, str]) -> bool:
    """Whether another request can follow: not if the client ends here, nor after a body, which is never read."""
    has_body = "content-length" in headers or "transfer-encoding" in headers
    return not has_body and headers.get("connection", "").lower() != "close"


async def read_headers(reader: asyncio.StreamReader) -> dict[str, str]:
    """Header lines up to the empty one, names in lower case."""
    headers: dict[str, str] = {}
    for _ in range(HEADERS_LIMIT):
        line = (await read_line(reader)).rstrip("\r\n")
        if not line:
            return headers
        name, colon, value = line.partition(":")
        if not colon:
            raise BadRequestError(f"not a header: {line[:60]!r}")
        headers[name.lower()] = value.strip()
    raise BadRequestError(f"more than {HEADERS_LIMIT} headers")


async def read_line(reader: asyncio.StreamReader) -> str:
    """One line with its end; empty at the end of the stream."""
    try:
        return (await reader.readline()).decode("latin-1")
    except ValueError as error:
        raise BadRequestError(f"a line of more than {LINE_LIMIT_BYTES} bytes") from error


async def answer_to(request: Request) -> Answer:
    """
    What a request gets, after the delay that it asks for.

    Raises:
        BadRequestError: If the delay is not one.
    """
    if request.method != "GET":
        return NOT_FOUND
    if request.path == "/healthz":
        return HEALTHY
    if request.path != "/items":
        return NOT_FOUND
    await asyncio.sleep(read_delay_us(request.query) / 1e6)
    return DOCUMENT


def read_delay_us(query: str) -> int:
    """
    The delay in a query, in microseconds; none is 0.

    Raises:
        BadRequestError: If it is not a whole number from 0 to a minute.
    """
    text = parse_qs(query, keep_blank_values=True).get("delay_us", ["0"])[-1]
    if not re.fullmatch("[0-9]{1,8}", text) or int(text) > DELAY_LIMIT_US:
        raise BadRequestError(f"delay_us={text[:20]}: must be a whole number from 0 to {DELAY_LIMIT_US}")
    return int(text)


async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of a connection one after the other until it ends."""
    try:
        while request := await read_request(reader):
            answer = await answer_to(request)
            # A body after HEAD would be taken for the start of the next answer.
            writer.write(answer.encode(keep_alive=request.keep_alive, with_body=request.method != "HEAD"))
            await writer.drain()
            if not request.keep_alive:
                return
    except BadRequestError as error:
        bad = Answer(status=HTTPStatus.BAD_REQUEST, body=f"{error}\n".encode())
        writer.write(bad.encode(keep_alive=False, with_body=True))


async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection and close it, however it ends; a client that vanishes is no error."""
    try:
        await converse(reader, writer)
        writer.close()
        await writer.wait_closed()
    except OSError:
        pass
    finally:
        # Nothing to do after a close. Otherwise it must not wait for a client that does not read.
        writer.transport.abort()


class Conversations:
    """The connections that are open, so that they can be closed at the end."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a new connection."""
        task = asyncio.get_running_loop().create_task(attend(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end(self) -> None:
        """Close every connection, also in the middle of an answer."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def serve(host: str, port: int, announce: Callable[[str], object]) -> None:
    """
    Serve until SIGTERM or SIGINT.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 for any free one.
        announce: Called with the service's URL as soon as it answers.

    Raises:
        CannotListenError: If it cannot listen there.
    """
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    conversations = Conversations()
    server = await listen(conversations, host, port)
    announce(url_of(*server.sockets[0].getsockname()[:2]))
    await stopped.wait()
    server.close()
    await conversations.end()
    await server.wait_closed()


async def listen(conversations: Conversations, host: str, port: int) -> asyncio.Server:
    """
    Begin to accept connections. asyncio sets TCP_NODELAY on each by itself, so an answer leaves when it is written.

    Raises:
        CannotListenError: If the address or the port is not to be had.
    """
    try:
        return await asyncio.start_server(conversations.begin, host, port, limit=LINE_LIMIT_BYTES, backlog=BACKLOG)
    except OSError as error:
        raise CannotListenError(
            f"--host {host} --port {port}: {error.strerror}. Choose another; port 0 is any free one."
        ) from error


def url_of(address: str, port: int) -> str:
    """The service's URL; IPv6 addresses need brackets in one."""
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def announce_line(url: str) -> None:
    """Tell whoever started the service that it is ready, and where."""
    sys.stdout.write(f"listening on {url}\n")
    sys.stdout.flush()


def read_port(text: str) -> int:
    """A port of the command line."""
    if not re.fullmatch("[0-9]{1,5}", text) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number from 0 to 65535; 0 is any free port")
    return int(text)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m worker.upstream",
        description="Serves the documents that io and mixed jobs fetch. Ends on SIGTERM or Ctrl-C.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=read_port, default=0, help="port to listen on; 0, the default, is any free one")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until told to end."""
    parser = build_parser()
    given = parser.parse_args(arguments)
    try:
        asyncio.run(serve(given.host, given.port, announce_line))
    except CannotListenError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()

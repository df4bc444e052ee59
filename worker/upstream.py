"""
An HTTP server for the io and mixed workloads: it answers after the delay that a request asks for.

`GET /items?delay_us=50000` is answered 50 ms later with a JSON document of about 2 KB; `GET /healthz` at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import signal
import sys
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ITEMS = 30
DELAY_LIMIT_US = 60_000_000

BACKLOG = 1024
"""The connections that may wait to be accepted. Beyond it a client's system retries a second later: a false wait."""

SHUTDOWN_S = 0.01
"""The time that unfinished answers have at the end, in seconds. aiohttp takes 0 for no limit."""

EXAMPLES = """\
examples:
  python -m worker.upstream
  python -m worker.upstream --host 0.0.0.0 --port 8081
  curl 'http://127.0.0.1:8081/items?delay_us=50000'
"""


class CannotListenError(RuntimeError):
    """An address or a port that is not available."""


def make_document() -> bytes:
    """Return a list of items as JSON, about 2 KB, always the same."""
    items = [
        {"id": number, "name": f"item {number:03}", "price_cents": 100 + 7 * number, "quantity": 1 + number % 5}
        for number in range(ITEMS)
    ]
    return json.dumps({"items": items}).encode()


DOCUMENT = make_document()


async def answer_items(request: web.Request) -> web.Response:
    """
    Answer with the document, after the delay that the request asks for.

    Raises:
        web.HTTPBadRequest: If the delay is not a whole number from 0 to a minute.
    """
    delay = request.query.get("delay_us", "0")
    if not re.fullmatch("[0-9]{1,8}", delay) or int(delay) > DELAY_LIMIT_US:
        raise web.HTTPBadRequest(text=f"delay_us={delay[:20]}: must be a whole number from 0 to {DELAY_LIMIT_US}\n")
    await asyncio.sleep(int(delay) / 1e6)
    return web.Response(body=DOCUMENT, content_type="application/json")


async def answer_healthz(_: web.Request) -> web.Response:
    """Answer that the service runs."""
    return web.Response(text="ok\n")


async def answer_not_found(_: web.Request) -> web.Response:
    """Answer with a hint to what there is."""
    return web.Response(status=404, text="GET /items?delay_us=50000 or GET /healthz\n")


def make_app() -> web.Application:
    """Return the service, ready to run."""
    app = web.Application()
    app.router.add_get("/items", answer_items, allow_head=False)
    app.router.add_get("/healthz", answer_healthz, allow_head=False)
    app.router.add_route("*", "/{path:.*}", answer_not_found)
    return app


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
    # A line of log a request would cost as much CPU as the request; nobody reads it.
    runner = web.AppRunner(make_app(), access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        await listen(runner, host, port)
        announce(url_of(*runner.addresses[0][:2]))
        await stopped.wait()
    finally:
        await runner.cleanup()


async def listen(runner: web.AppRunner, host: str, port: int) -> None:
    """
    Begin to accept connections.

    Raises:
        CannotListenError: If the address or the port is not available.
    """
    try:
        await web.TCPSite(runner, host, port, backlog=BACKLOG).start()
    except OSError as error:
        raise CannotListenError(
            f"--host {host} --port {port}: {error.strerror}. Choose another; port 0 is any free one."
        ) from error


def url_of(address: str, port: int) -> str:
    """Return the service's URL; an IPv6 address needs brackets in it."""
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def announce_line(url: str) -> None:
    """Print that the service answers, and where."""
    sys.stdout.write(f"listening on {url}\n")
    sys.stdout.flush()


def read_port(text: str) -> int:
    """Read a port of the command line."""
    if not re.fullmatch("[0-9]{1,5}", text) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number from 0 to 65535; 0 is any free port")
    return int(text)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
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
    """Serve until a signal ends it."""
    parser = build_parser()
    given = parser.parse_args(arguments)
    try:
        asyncio.run(serve(given.host, given.port, announce_line))
    except CannotListenError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()

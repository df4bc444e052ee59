"""
The shop's web site: pages with links, and prices as JSON.

Every answer takes 40 ms, and every tenth request for a price gets "503 busy".
"""

import argparse
import contextlib
import itertools
import json
import signal
import time
import zlib
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LATENCY_S = 0.040
BUSY_EVERY = 10
LINKS_PER_PAGE = 60

price_requests = itertools.count(1)


class Site(ThreadingHTTPServer):
    """Answers every request in a thread of its own."""

    request_queue_size = 256


class Page(BaseHTTPRequestHandler):
    """Answers one request."""

    def do_GET(self):
        """Answer with a price below `/prices/`, and with a page elsewhere."""
        time.sleep(LATENCY_S)
        if self.path.startswith("/prices/"):
            self.answer_price(self.path.removeprefix("/prices/"))
        else:
            self.answer(HTTPStatus.OK, "text/html; charset=utf-8", page(self.path))

    def answer_price(self, article):
        """Answer with a price, or every tenth time with "busy"."""
        if next(price_requests) % BUSY_EVERY == 0:
            self.answer(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", "busy")
        else:
            price = {"article": article, "cents": 100 + zlib.crc32(article.encode()) % 9900}
            self.answer(HTTPStatus.OK, "application/json", json.dumps(price))

    def answer(self, status, content_type, text):
        """Send an answer."""
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Log nothing."""


def page(path):
    """Return the HTML of a page."""
    links = "".join(f'<li><a href="/articles/{number}">Article {number}</a></li>' for number in range(LINKS_PER_PAGE))
    return f"<html><title>Shop</title><h1>{len(path)}</h1><ul>{links}</ul></html>"


def stop(signum, frame):  # noqa: ARG001 - what a signal handler gets
    """End the site."""
    raise KeyboardInterrupt


def main():
    """Serve until a signal."""
    parser = argparse.ArgumentParser(description="The shop's web site.")
    parser.add_argument("--port", type=int, default=8090, help="0 for any that is free")
    port = parser.parse_args().port
    signal.signal(signal.SIGTERM, stop)
    with Site(("127.0.0.1", port), Page) as site:
        print(f"listening on http://127.0.0.1:{site.server_port}", flush=True)  # noqa: T201
        with contextlib.suppress(KeyboardInterrupt):
            site.serve_forever()


if __name__ == "__main__":
    main()

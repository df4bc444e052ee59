"""
Send jobs from this host for runs of another: several generators for one run.

A run with `--expect-publishers N` gives each of N publishers its share of every plan, over the broker, and has one
ledger of what all of them sent. Start one on each host that is to send; it serves one run after the other.
"""

from __future__ import annotations

import threading
from contextlib import suppress

import click
from celery import Celery

from producer import interrupts
from producer.cli._broker import BROKER_OPTION, broker_of
from producer.cli._command import command, option
from producer.fleet.broker import connect
from producer.measure.publisher_service import PublisherService

EXAMPLES = """\b
Examples:
  poolrace publisher --broker redis://:PASSWORD@first.example:6379/0
  poolrace load --rate 5000/s --broker redis://:PASSWORD@first.example:6379/0 --expect-publishers 3"""


@command(__doc__, epilog=EXAMPLES)
@BROKER_OPTION
@option(
    "--name", default="", metavar="NAME", help="The name in logs and in the manifest. [default: of host and process]"
)
def publisher(broker_url: str | None, name: str) -> int:
    """Serve runs until Ctrl-C or SIGTERM."""
    app = Celery("publisher", broker=connect(broker_of(broker_url)).url, set_as_current=False)
    service = PublisherService(app, name, on_order=lambda what: click.echo(what, err=True))
    interrupts.install()
    click.echo(f"Publisher {service.name} waits for runs", err=True)
    failed: list[BaseException] = []

    def serve() -> None:
        try:
            service.run()
        except BaseException as error:  # told by the main thread, which takes the signals
            failed.append(error)

    serving = threading.Thread(target=serve, name="serve", daemon=True)
    serving.start()
    with suppress(KeyboardInterrupt):
        while serving.is_alive():
            serving.join(timeout=1)
    service.stop()
    serving.join(timeout=5)
    if failed:
        raise failed[0]
    return 0

"""
Tell an autoscaler the work of queues: ready, held by nodes, and running.

The length of a queue falls while nodes prefetch; this does not. It is served as JSON for KEDA and as metrics for
Prometheus, of any Celery app on Redis: nothing has to be installed in its nodes.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import click
from celery import Celery

from producer import interrupts
from producer.cli._broker import BROKER_OPTION, broker_of
from producer.cli._command import command, option
from producer.cli._options import FOLDER, user_environment
from producer.cli._param_types import Count, Duration
from producer.errors import FleetError, UsageError
from producer.fleet.broker import BrokerAccess, connect_to_one
from producer.fleet.control import Control
from producer.fleet.queue_work import WorkReader
from producer.ownapp.introspect import broker_of_app
from producer.plan.units import DAY_S, MAX_PORT
from producer.stack.scaler import Signal, serve, told

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from producer.fleet.queue_work import QueueWork

PATIENCE_S = 30.0
PORT = 9810

EXAMPLES = """\b
Examples:
  poolrace scaler --broker redis://:PASSWORD@127.0.0.1:6379/0 --queue images --queue mail --once
  poolrace scaler --app shop.celery:app --queue mail --port 9810
  curl http://127.0.0.1:9810/scaler/mail"""


@command(__doc__, epilog=EXAMPLES)
@BROKER_OPTION
@option("--app", metavar="APP", help="Your Celery app, whose own broker is asked, instead of --broker.")
@option("--workdir", type=FOLDER, metavar="DIR", default=".", help="With --app: where it is imported.")
@option("--queue", "queues", multiple=True, metavar="NAME", help="A queue to tell of; repeatable.")
@option("--every", "every_s", type=Duration(1, DAY_S), default=5.0, help="How often to look.")
@option("--port", type=Count(1, MAX_PORT, name="port"), default=PORT, help="The port of the answers.")
@option(
    "--address",
    metavar="ADDRESS",
    default="0.0.0.0",  # noqa: S104 - as in a container
    help="The address of the answers; by default all of this machine, as in a container.",
)
@option("--once", is_flag=True, help="Look once, print it and end.")
@option("--json", "as_json", is_flag=True, help="With --once: print JSON.")
def scaler(
    *,
    broker_url: str | None,
    app: str | None,
    workdir: Path,
    queues: Sequence[str],
    every_s: float,
    port: int,
    address: str,
    once: bool,
    as_json: bool,
) -> int:
    """Look once, or look and answer until Ctrl-C or SIGTERM."""
    if not queues:
        raise UsageError("--queue: name at least one, e.g. --queue celery, which is Celery's own default.")
    if app is not None and broker_url is not None:
        raise UsageError("--app, --broker: name the broker once, by its URL or by the app that is on it.")
    if as_json and not once:
        raise UsageError("--json: goes with --once. Without it the answers over HTTP are JSON.")
    celery_app = _app_on(broker_url, app, workdir)
    if once:
        click.echo(_once(celery_app, queues, as_json=as_json))
        return 0
    interrupts.install()
    with suppress(KeyboardInterrupt):
        _keep_looking(celery_app, Signal(queues, every_s), every_s, address, port)
    return 0


def _app_on(broker_url: str | None, app: str | None, workdir: Path) -> Celery:
    if app is None:
        access, named_by = BrokerAccess(urls=(broker_of(broker_url),)), "--broker"
    else:
        access = broker_of_app(app, folder=workdir.resolve(), environment=user_environment(), patience_s=PATIENCE_S)
        named_by = f"--app {app}: its broker"
    found = Celery("scaler", broker=connect_to_one(access, named_by).url, set_as_current=False)
    found.conf.update(access.settings)
    return found


def _once(app: Celery, queues: Sequence[str], *, as_json: bool) -> str:
    work = next(_looks(app, queues))
    if as_json:
        return json.dumps([told(queue, found) for queue, found in work.items()], indent=2)
    return "\n".join(in_words(queue, found) for queue, found in work.items())


def in_words(queue: str, found: QueueWork) -> str:
    """Say what work a queue has, and how much that is for each slot."""
    each = "no node answers" if found.work_per_slot is None else f"{found.work_per_slot:.2f} a slot"
    later = f"; {found.later} more are held until their ETA" if found.later else ""
    return (
        f"{queue}: {found.work} jobs want a slot ({found.ready} ready, {found.unacked} unacked, {found.running} "
        f"running and acknowledged{later}); {found.slots} slots of {found.nodes} nodes: {each}."
    )


def _looks(app: Celery, queues: Sequence[str]) -> Iterator[Mapping[str, QueueWork]]:
    """Yield looks at the queues over one connection."""
    control = Control(app)
    try:
        with app.connection_for_read() as connection:
            reader = WorkReader(connection, control, queues)
            while True:
                yield reader.read()
    finally:
        control.close()


def _keep_looking(app: Celery, signal: Signal, every_s: float, address: str, port: int) -> None:
    try:
        server = serve(signal, address, port)
    except OSError as error:
        raise UsageError(f"--address, --port: {address}:{port}: {error.strerror}. Name others.") from error
    click.echo(f"Telling of {', '.join(signal.queues)} on http://{address}:{port}/scaler/QUEUE", err=True)
    try:
        while True:
            _look_until_trouble(app, signal, every_s)
            time.sleep(every_s)
    finally:
        server.shutdown()
        server.server_close()


def _look_until_trouble(app: Celery, signal: Signal, every_s: float) -> None:
    try:
        for work in _looks(app, signal.queues):
            signal.seen(work)
            time.sleep(every_s)
    except FleetError as error:
        signal.missed(str(error))
        click.echo(f"Waiting for the broker: {error}", err=True)

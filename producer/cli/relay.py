"""
Put this host at a distance from a broker.

What passes between them is held for half a round trip each way. With a COMMAND, the relay runs beside it and ends with
it; the command takes this one's place, so signals, exit code and memory are its own. Without one, it carries
connections until Ctrl-C. Each host can have a round trip of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
from typing import TYPE_CHECKING

import click

from producer import interrupts
from producer.cli._command import command, option
from producer.cli._options import user_environment
from producer.cli._param_types import Count, Parsed
from producer.errors import UsageError
from producer.fleet.host_relay import carry, connecting_s, start_beside
from producer.fleet.relay import LISTENING_AT
from producer.plan.distance import parse_address, rtt_of_host
from producer.plan.units import MAX_PORT
from producer.report.formats import count, milliseconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producer.fleet.relay import Cost

EXAMPLES = """\b
Examples:
  poolrace relay --to first.example:6379 --listen 7000 --rtt 5ms
  poolrace relay --to redis:6379 --rtt 5ms -- celery --app worker.app worker --pool threads
  poolrace relay --to redis:6379 --rtt second=2ms --rtt third=10ms -- celery --app worker.app worker"""


@command(__doc__, epilog=EXAMPLES)
@option("--to", type=Parsed("host:port", parse_address), metavar="HOST:PORT", help="The broker.")
@option(
    "--listen",
    type=Count(1, MAX_PORT, name="port"),
    help=f"The port of {LISTENING_AT} that leads to it. [default: that of --to]",
)
@option(
    "--rtt",
    "rtts",
    multiple=True,
    metavar="[HOST=]TIME",
    help="The round trip to add, up to 250 ms, e.g. 5ms; repeatable with hosts' names. A host without one has 0.",
)
@option("--host", default=socket.gethostname, show_default="this host's", metavar="NAME", help="The name of this host.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
def relay(
    *, to: tuple[str, int] | None, listen: int | None, rtts: Sequence[str], host: str, command: Sequence[str]
) -> int:
    """Become a command beside a relay, or relay until Ctrl-C or SIGTERM."""
    if to is None:
        raise UsageError("--to: name the broker's address, e.g. --to redis:6379.")
    if not rtts:
        raise UsageError("--rtt: name the round trip to add, e.g. --rtt 5ms, or --rtt second=5ms for a host.")
    rtt_s, port = rtt_of_host(rtts, host, "--rtt"), listen or to[1]
    if command and not shutil.which(command[0]):
        raise UsageError(f"{command[0]}: no such command. Name one that is on the PATH, after --.")

    def tell() -> None:
        click.echo(in_words(host, to, port, rtt_s), err=True)

    if command:
        start_beside(*to, rtt_s, port)
        tell()
        _become(command, user_environment())
    interrupts.install()
    click.echo(cost_in_words(carry(*to, rtt_s, port, tell)), err=True)
    return 0


def in_words(host: str, to: tuple[str, int], port: int, rtt_s: float) -> str:
    """Say where the relay leads, what it adds, and what was measured: the way there without it."""
    there = f"{to[0]}:{to[1]}"
    try:
        measured = f"a connection to {there} takes {milliseconds(connecting_s(*to))} ms by itself"
    except OSError as error:
        measured = f"{there} cannot be reached yet ({error.strerror or error})"
    added = f"{milliseconds(rtt_s)} ms more" if rtt_s else "nothing more"
    return f"Relay on {host}: {LISTENING_AT}:{port} leads to {there}, a round trip takes {added}; {measured}."


def cost_in_words(cost: Cost) -> str:
    """Say what was carried, and how exactly."""
    return (
        f"Carried {count(cost.chunks)} chunks, {count(cost.carried_bytes)} bytes, in {cost.cpu_s:.2f} s of CPU time; "
        f"99 of 100 went on at most {milliseconds(cost.late_p99_s)} ms late."
    )


def _become(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Put a command in the place of this process, with the signals as they were before Python began."""
    for name in ("SIGPIPE", "SIGXFSZ"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    os.execvpe(command[0], [*command], environment)  # noqa: S606 - it is what the user asks for

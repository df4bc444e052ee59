"""
Send a gentle, continuous load to a fleet that runs, and change or pause it.

It sends to every lane, and pauses while a measurement has the fleet.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import click
from celery import Celery

from poolrace.pools import DEFAULT_POOLS
from producer import interrupts
from producer.cli._broker import BROKER_OPTION, broker_of
from producer.cli._command import group, option
from producer.cli._param_types import MIX, Count, Rate
from producer.errors import UsageError
from producer.fleet.broker import connect
from producer.measure.sizing import sized_jobs
from producer.plan.lanes import parse_lanes
from producer.plan.mix import parse_mix
from producer.plan.settings import FleetSettings, default_of
from producer.plan.units import MAX_PORT
from producer.plan.workloads import WORKLOADS
from producer.stack.live import LiveLoad
from producer.stack.live_settings import MAX_RATE_PER_S, LiveSettings, LiveSettingsStore, parse_live_rate
from producer.stack.metrics import Exporter
from producer.stack.settings import StackSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

EXAMPLES = """\b
Examples:
  poolrace live run --rate 2/s --mix cpu=1,io=3,mixed=1
  poolrace live status
  poolrace live pause
  poolrace live resume
  poolrace live set --rate 10/s --mix io=1"""

RATE = Rate(MAX_RATE_PER_S)


def settings_store(url: str | None) -> LiveSettingsStore:
    """Return the store from which the running load reads its settings."""
    return LiveSettingsStore(app_on(url), default_settings())


def app_on(url: str | None) -> Celery:
    """
    Return a Celery app on the fleet's broker.

    Raises:
        UsageError: If no broker was named.
        FleetError: If it cannot be reached.
    """
    return Celery("live", broker=connect(broker_of(url)).url, set_as_current=False)


def default_settings() -> LiveSettings:
    """Return the settings of a load that was given none."""
    rate, mix = default_of(StackSettings, "live_rate"), default_of(StackSettings, "live_mix")
    return LiveSettings(rate_per_s=parse_live_rate(rate, "--rate"), mix=parse_mix(mix, "--mix"))


@group(__doc__, epilog=EXAMPLES)
def live() -> None:
    """Hold the subcommands."""


@live.command("run", epilog=EXAMPLES)
@BROKER_OPTION
@option(
    "--rate",
    "rate_per_s",
    type=RATE,
    envvar="POOLRACE_LIVE_RATE",
    default=default_of(StackSettings, "live_rate"),
    help="Jobs on each lane, e.g. 2/s or 30/m.",
)
@option(
    "--mix",
    type=MIX,
    envvar="POOLRACE_LIVE_MIX",
    default=default_of(StackSettings, "live_mix"),
    help="Shares of workloads.",
)
@option(
    "--metrics-port",
    type=Count(1, MAX_PORT, name="port"),
    envvar="POOLRACE_METRICS_PORT",
    default=default_of(StackSettings, "metrics_port"),
    help="The port of /metrics.",
)
@option(
    "--metrics-address",
    envvar="POOLRACE_METRICS_ADDRESS",
    metavar="ADDRESS",
    default="0.0.0.0",  # noqa: S104 - as in a container
    help="The address of /metrics; by default all of this machine, as in a container.",
)
def run(
    broker_url: str | None, rate_per_s: float, mix: Mapping[str, float], metrics_port: int, metrics_address: str
) -> int:
    """Run the load until Ctrl-C or SIGTERM; it waits for nodes, and for the broker when that is away."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    interrupts.install()
    jobs, _ = sized_jobs(FleetSettings(lanes=parse_lanes(DEFAULT_POOLS), workloads=WORKLOADS))
    exporter = Exporter()
    exporter.serve(metrics_address, metrics_port)
    load = LiveLoad(app_on(broker_url), jobs, LiveSettings(rate_per_s=rate_per_s, mix=mix), exporter)
    try:
        load.run()
    except KeyboardInterrupt:
        load.stop()
    return 0


@live.command("status", epilog=EXAMPLES)
@BROKER_OPTION
def status(broker_url: str | None) -> int:
    """Print the load's settings."""
    _print(settings_store(broker_url).read())
    return 0


@live.command("pause", epilog=EXAMPLES)
@BROKER_OPTION
def pause(broker_url: str | None) -> int:
    """Send nothing until `resume`."""
    _print(settings_store(broker_url).change(paused=True))
    return 0


@live.command("resume", epilog=EXAMPLES)
@BROKER_OPTION
def resume(broker_url: str | None) -> int:
    """Send again."""
    _print(settings_store(broker_url).change(paused=False))
    return 0


@live.command("set", epilog=EXAMPLES)
@BROKER_OPTION
@option("--rate", "rate_per_s", type=RATE, help="Jobs on each lane, e.g. 2/s or 30/m.")
@option("--mix", type=MIX, help="Shares of workloads, e.g. cpu=1,io=9.")
def change(broker_url: str | None, rate_per_s: float | None, mix: Mapping[str, float] | None) -> int:
    """Change rate or mix of the running load; it takes effect within a second."""
    if rate_per_s is None and mix is None:
        raise UsageError("set: say what to change, e.g. poolrace live set --rate 10/s or --mix cpu=1,io=9.")
    changes = {"rate_per_s": rate_per_s, "mix": mix}
    _print(settings_store(broker_url).change(**{name: value for name, value in changes.items() if value is not None}))
    return 0


def _print(settings: LiveSettings) -> None:
    state = "paused" if settings.paused else "running"
    mix = ",".join(f"{name}={share:g}" for name, share in settings.mix.items())
    click.echo(f"{state}: {settings.rate_per_s:g}/s on each lane, {mix}")

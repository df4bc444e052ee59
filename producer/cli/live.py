"""`poolrace live`: run a continuous load, or change the one that runs."""

from __future__ import annotations

import logging
from typing import Any

import click
from celery import Celery

from producer import interrupts
from producer.cli.exit_codes import exit_with_message
from producer.cli.options import broker_from_environment
from producer.errors import UsageError
from producer.plan.units import whole_number

EXAMPLES = """\b
Examples:
  poolrace live run --rate 2/s --mix cpu=1,io=3,mixed=1
  poolrace live status
  poolrace live pause
  poolrace live resume
  poolrace live set --rate 10/s --mix io=1"""

DEFAULT_RATE = "2/s"
DEFAULT_MIX = "cpu=1,io=3,mixed=1"

broker_option = click.option(
    "--broker", default=None, metavar="URL", help="The fleet's broker. [default: POOLRACE_BROKER_URL]"
)


def broker_of(url: str | None) -> str:
    """
    The broker that was named, on the command line or in the environment.

    Raises:
        UsageError: If none was.
    """
    found = url or broker_from_environment()
    if not found:
        raise UsageError(
            "--broker: name the fleet's broker, or set POOLRACE_BROKER_URL. E.g. redis://127.0.0.1:6379/0."
        )
    return found


def settings_store(url: str | None) -> Any:
    """Return the store from which the running load reads its settings."""
    from producer.fleet.broker import connect
    from producer.plan.mix import parse_mix
    from producer.stack.live_settings import LiveSettings, LiveSettingsStore, parse_live_rate

    default = LiveSettings(rate_per_s=parse_live_rate(DEFAULT_RATE, "--rate"), mix=parse_mix(DEFAULT_MIX, "--mix"))
    app = Celery("settings", broker=connect(broker_of(url)).url, set_as_current=False)
    return LiveSettingsStore(app, default)


@click.group(epilog=EXAMPLES)
def live() -> None:
    """Send a gentle, continuous load to every lane of a running fleet; change or pause it while it runs."""


@live.command("run", epilog=EXAMPLES)
@broker_option
@click.option("--rate", default=DEFAULT_RATE, show_default=True, envvar="POOLRACE_LIVE_RATE", metavar="RATE",
              help="Jobs on each lane, e.g. 2/s or 30/m.")  # fmt: skip
@click.option("--mix", default=DEFAULT_MIX, show_default=True, envvar="POOLRACE_LIVE_MIX", metavar="SHARES",
              help="Shares of workloads.")  # fmt: skip
@click.option("--metrics-port", default="9808", show_default=True, envvar="POOLRACE_METRICS_PORT", metavar="PORT",
              help="Where /metrics is served.")  # fmt: skip
@click.option("--metrics-address", default="0.0.0.0", show_default=True, envvar="POOLRACE_METRICS_ADDRESS",  # noqa: S104
              metavar="ADDRESS", help="On which address; by default all, as in a container.")  # fmt: skip
@exit_with_message
def run(broker: str | None, rate: str, mix: str, metrics_port: str, metrics_address: str) -> int:
    """Run the load until Ctrl-C or SIGTERM; it waits for nodes, and for the broker when that is away."""
    from poolrace.pools import RACED
    from producer.measure.sizing import sized_jobs
    from producer.plan.lanes import parse_lanes
    from producer.plan.mix import parse_mix
    from producer.plan.settings import RaceSettings
    from producer.plan.workloads import WORKLOADS
    from producer.stack.live import LiveLoad
    from producer.stack.live_settings import LiveSettings, parse_live_rate
    from producer.stack.metrics import Exporter

    settings = LiveSettings(rate_per_s=parse_live_rate(rate, "--rate"), mix=parse_mix(mix, "--mix"))
    port = whole_number(metrics_port, "--metrics-port", 1, 65535)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    interrupts.install()
    lanes = parse_lanes(RACED, slots=1, prefetch=4, acks="early")
    jobs, _ = sized_jobs(RaceSettings(lanes=lanes, workloads=WORKLOADS))
    exporter = Exporter()
    exporter.serve(metrics_address, port)
    load = LiveLoad(broker_of(broker), jobs, settings, exporter)
    try:
        load.run()
    except KeyboardInterrupt:
        load.stop()
    return 0


@live.command("status", epilog=EXAMPLES)
@broker_option
@exit_with_message
def status(broker: str | None) -> int:
    """Say what the load is told to do."""
    _tell(settings_store(broker).read())
    return 0


@live.command("pause", epilog=EXAMPLES)
@broker_option
@exit_with_message
def pause(broker: str | None) -> int:
    """Send nothing until `resume`."""
    _tell(settings_store(broker).change(paused=True))
    return 0


@live.command("resume", epilog=EXAMPLES)
@broker_option
@exit_with_message
def resume(broker: str | None) -> int:
    """Send again."""
    _tell(settings_store(broker).change(paused=False))
    return 0


@live.command("set", epilog=EXAMPLES)
@broker_option
@click.option("--rate", default=None, metavar="RATE", help="Jobs on each lane, e.g. 2/s or 30/m.")
@click.option("--mix", default=None, metavar="SHARES", help="Shares of workloads, e.g. cpu=1,io=9.")
@exit_with_message
def change(broker: str | None, rate: str | None, mix: str | None) -> int:
    """Change rate or mix of the running load; it takes effect within a second."""
    from producer.plan.mix import parse_mix
    from producer.stack.live_settings import parse_live_rate

    if rate is None and mix is None:
        raise UsageError("set: say what to change, e.g. poolrace live set --rate 10/s or --mix cpu=1,io=9.")
    changes: dict[str, Any] = {}
    if rate is not None:
        changes["rate_per_s"] = parse_live_rate(rate, "--rate")
    if mix is not None:
        changes["mix"] = parse_mix(mix, "--mix")
    _tell(settings_store(broker).change(**changes))
    return 0


def _tell(settings: Any) -> None:
    mix = ",".join(f"{name}={share:g}" for name, share in settings.mix.items())
    state = "paused" if settings.paused else "running"
    click.echo(f"{state}: {settings.rate_per_s:g}/s on each lane, {mix}")

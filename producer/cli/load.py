"""
Hold a load on each lane in turn, and print what was offered and achieved.

Every lane gets the very same jobs at the very same offsets, whether or not it keeps up. Jobs are due when the profile
says, and sojourn counts from then. Writes a run directory, as a race does. A SCENARIO is a file, or the name of one
that comes with Poolrace; options of the command line replace the file's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from producer.cli._command import command, option
from producer.cli._exit_codes import EXIT_CODES
from producer.cli._options import fleet_options, fleet_settings, output_options, run, shares_of
from producer.cli._param_types import MIX_OF_ANY, THRESHOLD, Count, Duration, Parsed, Share, Size
from producer.errors import UsageError
from producer.measure.load import LoadSettings
from producer.plan.axis import MAX_PAYLOAD_BYTES
from producer.plan.profile import parse_profile
from producer.plan.replay import parse_speed, replay
from producer.plan.scenario import Scenario, find_scenario, read_scenario, scaled, shipped_names, shipped_scenarios
from producer.plan.script import Phase, Script
from producer.plan.settings import GENTLE_MIX, default_of
from producer.plan.units import DAY_S

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from producer.plan.own_app import OwnApp
    from producer.plan.thresholds import Threshold

SPEED = Parsed("speed", lambda text, _: parse_speed(text))
FACTOR = Share(0.0001, 10_000.0, name="factor")
DEFAULT_RATE = "20/s"
DEFAULT_S = 20.0

EXAMPLES = f"""\b
Examples:
  poolrace load --rate 50/s --duration 30s --mix cpu=1,io=9
  poolrace load scenarios/io-heavy.toml
  poolrace load scenarios/soak.toml --scale-time 0.1 --lane threads:16
  poolrace load --list
  poolrace load --lane threads:16 --rate 'ramp 0->200/s over 60s' --mix io
  poolrace load --rate 'variable 20:10s,80:5s' --arrivals constant
  poolrace load --rate 'spike 20/s to 100/s for 5s at 10s' --duration 30s
  poolrace load --rate 50/s --duration 30s --threshold 'p99(sojourn) < 500ms' --threshold 'lost == 0'
  poolrace load --rate 50/s --duration 5m --threshold 'p99(sojourn) < 1s' --abort-on-fail 10s --junit load.xml
  poolrace load --broker redis://:PASSWORD@127.0.0.1:6379/0 --rate 20/s --duration 1m --json > load.json
  poolrace load --broker redis://:PASSWORD@127.0.0.1:6379/0 --queue threads --rate 20/s --duration 1m

\b
Rates: 200/s with --duration; ramp 0->500/s over 60s; steps 100/s..500/s by 100/s every 10s;
  spike 100/s to 1000/s for 5s at 20s with --duration; variable 100:30s,400:10s
Thresholds: 'p99(sojourn) < 500ms' (p50, p90, p99, p99.9, max, mean of sojourn, sojourn_from_sent, queue_wait,
  broker_wait, slot_wait, service, publish_lag); 'lost == 0' (or failed, duplicated, refused, ...);
  'rate(finished) > 0.98 * offered' (or a number/s); 'mem_per_slot < 20MiB'

{EXIT_CODES}"""


def _take_scenario(context: click.Context, _: click.Parameter, name: str | None) -> Scenario | None:
    """Read the file first, so that it gives the defaults of the options that the command line leaves out."""
    if name is None or context.resilient_parsing:
        return None
    found = read_scenario(find_scenario(name))
    context.default_map = {**(context.default_map or {}), **found.options}
    return found


def _complete_scenario(_context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    names = [CompletionItem(name) for name in shipped_names() if name.startswith(incomplete)]
    return [CompletionItem(incomplete, type="file"), *names]


def _list(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Print what each scenario that comes with Poolrace shows."""
    if not wanted or context.resilient_parsing:
        return
    for each in shipped_scenarios():
        click.echo(f"{each.name:<14} {each.shows} ({each.script.duration_s:g} s on each lane)")
    context.exit()


@command(__doc__, epilog=EXAMPLES)
@click.argument("scenario", required=False, is_eager=True, callback=_take_scenario, shell_complete=_complete_scenario)
@option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list,
    help="Print what each scenario that comes with Poolrace shows, and end.",
)
@option("--rate", metavar="PROFILE", help=f"Arrivals on each lane. [default: {DEFAULT_RATE}]")
@option(
    "--duration",
    "duration_s",
    type=Duration(0.1, DAY_S),
    help=f"How long, where the rate does not say it. [default: {DEFAULT_S:g}s]",
)
@option("--mix", type=MIX_OF_ANY, help=f"Shares of workloads. [default: {GENTLE_MIX}]")
@option("--scale-rate", type=FACTOR, default=1.0, help="Multiply every rate of the scenario.")
@option("--scale-time", type=FACTOR, default=1.0, help="Multiply every time of the scenario.")
@option(
    "--payload",
    "payload_bytes",
    type=Size(MAX_PAYLOAD_BYTES),
    default=default_of(LoadSettings, "payload_bytes"),
    help="Make each message longer, e.g. 64KiB.",
)
@option("--priority", type=Count(0, 9), help="Priority of the messages; Redis serves 0 first.")
@option(
    "--threshold",
    "thresholds",
    multiple=True,
    type=THRESHOLD,
    help="What must be kept; repeatable. Exit code 99 if it is not.",
)
@option(
    "--abort-on-fail",
    "abort_after_s",
    type=Duration(0, DAY_S),
    help="After this long, end the load as soon as a threshold is broken.",
)
@option(
    "--replay",
    "speed",
    type=SPEED,
    help="With --app: send the jobs at the times that their file has, at 1x or e.g. 10x the speed.",
)
@option(
    "--live/--no-live",
    default=None,
    help="Lanes side by side with sparklines, or a line a second. [default: live on a terminal]",
)
@fleet_options
@output_options
def load(*, as_json: bool, full: bool, junit: Path | None, live: bool | None, **options: Any) -> int:
    """Hold the load as the options say, and report."""
    return run(load_settings(**options), as_json=as_json, full=full, junit=junit, live=live)


def load_settings(
    *,
    scenario: Scenario | None,
    thresholds: Sequence[Threshold],
    abort_after_s: float | None,
    payload_bytes: int,
    priority: int | None,
    speed: float | None,
    **options: Any,
) -> LoadSettings:
    """
    Return the settings of a load from its options.

    Raises:
        UsageError: If two options contradict each other.
    """
    if abort_after_s is not None and not thresholds:
        raise UsageError("--abort-on-fail: there is no threshold to fail. Name one: --threshold 'p99(sojourn) < 1s'.")
    _check_source(options, scenario, speed)
    given = fleet_settings(options, replay=speed is not None, least_lanes=1)
    if given["own_app"] and (scenario or payload_bytes):
        raise UsageError(
            "--app: a scenario names the demonstration's workloads, and --payload its messages. Give the load of your "
            "app with --rate, --duration and --mix."
        )
    script = _script(options, scenario, given["own_app"], speed)
    return LoadSettings(
        **given,
        workloads=script.workloads,
        script=script,
        scenario=scenario.name if scenario else "",
        thresholds=tuple(thresholds),
        abort_after_s=abort_after_s,
        payload_bytes=payload_bytes,
        priority=priority,
    )


def _check_source(options: Mapping[str, Any], scenario: Scenario | None, speed: float | None) -> None:
    """Check that one thing says what is sent: a scenario, a recording, or a rate with its duration and mix."""
    held = bool(options["rate"] or options["duration_s"] or options["mix"])
    if scenario and held:
        raise UsageError(
            "--rate, --duration, --mix: a scenario says these itself. Change its file, or use --scale-rate and "
            "--scale-time."
        )
    if speed is not None and (options["app"] is None or held):
        raise UsageError(
            "--replay: needs --app and --jobs with a recording, and says itself what --rate, --duration or --mix do."
        )


def _script(
    options: Mapping[str, Any], scenario: Scenario | None, own_app: OwnApp | None, speed: float | None
) -> Script:
    if speed is not None and own_app:
        return replay(own_app.recorded, speed)
    if scenario:
        script = scenario.script
    else:
        shares = shares_of(options["mix"], own_app, GENTLE_MIX)
        script = held_script(options["rate"] or DEFAULT_RATE, options["duration_s"], shares)
    return scaled(script, rate=options["scale_rate"], time=options["scale_time"])


def held_script(rate: str, duration_s: float | None, mix: Mapping[str, float]) -> Script:
    """
    Return a script of one phase.

    Raises:
        UsageError: If the rate is not a profile, or does not go with the duration.
    """
    if duration_s is None and len(rate.split()) < 2:
        duration_s = DEFAULT_S  # a held rate, which does not say how long
    phase = Phase(name="load", profile=parse_profile(rate, duration_s), mix=mix)
    return Script(phases=(phase,))

"""`poolrace load`: hold a rate of arrivals, and say what lanes made of it; `poolrace steer`: change it meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from producer.cli.exit_codes import exit_with_message, print_error
from producer.cli.options import fleet_options, fleet_settings, if_given, output_options, shares_of
from producer.cli.output import finish
from producer.errors import UsageError
from producer.plan.units import fraction, parse_duration_s, parse_size_bytes, whole_number
from producer.plan.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producer.measure.load import LoadSettings
    from producer.plan.scenario import Scenario
    from producer.plan.script import Script

MAX_S = 24 * 3600
FACTORS = (0.0001, 10_000.0)
MAX_PAYLOAD_BYTES = 64 * 2**20
DEFAULT_RATE = "20/s"
DEFAULT_S = 20.0
DEFAULT_MIX = "cpu=1,io=3,mixed=1"

EXAMPLES = """\b
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

\b
Exit codes:
  0    good
  2    the command line, or the scenario, is not what the command needs
  3    the broker or a node cannot be started, reached or kept alive
  4    the run is invalid: the generator was late, or jobs are missing
  99   the run is good, and a threshold is broken
  130  Ctrl-C; what was measured until then is kept"""

STEER_EXAMPLES = """\b
Examples:
  poolrace steer --rate 80/s
  poolrace steer --mix cpu=1,io=1
  poolrace steer --pause
  poolrace steer --resume
  poolrace steer --script                  (rate and mix of the script again)
  poolrace steer runs/2026-01-31T12-00-00Z-load-1a2b3c --rate 80/s"""


def _take_scenario(context: click.Context, _: click.Parameter, name: str | None) -> Scenario | None:
    """Read the file first, so that what it says is the default of what the command line does not."""
    if name is None:
        return None
    from producer.plan.scenario import find_scenario, read_scenario

    try:
        found = read_scenario(find_scenario(name))
    except UsageError as error:
        raise SystemExit(print_error(error)) from error
    context.default_map = {**(context.default_map or {}), **found.options}
    return found


def _list(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """What each scenario that comes along shows."""
    if not wanted:
        return
    from producer.plan.scenario import shipped_scenarios

    for each in shipped_scenarios():
        click.echo(f"{each.name:<14} {each.shows} ({each.script.duration_s:g} s on each lane)")
    context.exit()


@click.command(epilog=EXAMPLES)
@click.argument("scenario", required=False, is_eager=True, callback=_take_scenario)
@click.option("--list", "list_", is_flag=True, is_eager=True, expose_value=False, callback=_list,
              help="Say what each scenario that comes along shows, and end.")  # fmt: skip
@click.option("--rate", default=None, metavar="PROFILE", help=f"Arrivals on each lane. [default: {DEFAULT_RATE}]")
@click.option(
    "--duration", default=None, metavar="TIME", help="How long, where the rate does not say it. [default: 20s]"
)
@click.option("--mix", default=None, metavar="SHARES", help=f"Shares of workloads. [default: {DEFAULT_MIX}]")
@click.option("--scale-rate", default="1", metavar="FACTOR", help="Multiply every rate of the scenario. [default: 1]")
@click.option("--scale-time", default="1", metavar="FACTOR", help="Multiply every time of the scenario. [default: 1]")
@click.option("--payload", default="0", metavar="SIZE", help="Make each message longer, e.g. 64KiB. [default: 0]")
@click.option("--priority", default=None, metavar="N", help="Of the messages, 0 to 9; Redis serves 0 first.")
@click.option("--threshold", "thresholds", multiple=True, metavar="COMPARISON",
              help="What must be kept; repeatable. Exit code 99 if it is not.")  # fmt: skip
@click.option("--abort-on-fail", default=None, metavar="TIME",
              help="After so long, end the load as soon as a threshold is broken.")  # fmt: skip
@click.option("--replay", "speed", default=None, metavar="SPEED",
              help="With --app: the jobs at the times that their file has, e.g. 1x or 10x as fast.")  # fmt: skip
@click.option("--live/--no-live", default=None,
              help="Lanes side by side with sparklines, or a line a second. [default: live on a terminal]")  # fmt: skip
@fleet_options
@output_options
@exit_with_message
def load(*, as_json: bool, junit: Path | None, live: bool | None, **options: Any) -> int:
    """
    Hold a load on each lane, one after the other, and print what was offered and what was achieved.

    Every lane gets the very same jobs at the very same offsets, whether or not it keeps up. Jobs are due when the
    profile says, and sojourn counts from then. Writes a run directory, as a race does. A SCENARIO is a file, or the
    name of one that comes along; options of the command line take the place of the file's.
    """
    settings = load_settings(**options)
    from producer.measure.kinds import measure_run
    from producer.report.progress.display import progress_for

    with progress_for(quiet=as_json, live=live) as progress:
        path, error = measure_run(settings, progress)
    return finish(path, error, as_json=as_json, junit=junit)


def load_settings(
    *,
    scenario: Scenario | None,
    rate: str | None,
    duration: str | None,
    mix: str | None,
    scale_rate: str,
    scale_time: str,
    payload: str,
    priority: str | None,
    thresholds: tuple[str, ...],
    abort_on_fail: str | None,
    speed: str | None = None,
    **shared: Any,
) -> LoadSettings:
    """
    Settings from the words of the command line.

    Raises:
        UsageError: If a word is wrong; says which are right.
    """
    from producer.measure.load import LoadSettings
    from producer.plan.replay import parse_speed, replay
    from producer.plan.scenario import scaled
    from producer.plan.thresholds import parse_threshold

    if scenario and (rate or duration or mix):
        raise UsageError(
            "--rate, --duration, --mix: a scenario says these itself. Change its file, or use --scale-rate and "
            "--scale-time."
        )
    times = if_given(speed, parse_speed)
    given = fleet_settings(**shared, replay=times is not None, least_lanes=1)
    own_app = given["own_app"]
    if times is not None and (own_app is None or rate or duration or mix):
        raise UsageError(
            "--replay: needs --app and --jobs with a recording, and says itself what --rate, --duration or --mix do."
        )
    if own_app and (scenario or payload != "0"):
        raise UsageError(
            "--app: a scenario names the demonstration's workloads, and --payload its messages. Say what your app is "
            "to bear with --rate, --duration and --mix."
        )
    shares = shares_of(mix, own_app, DEFAULT_MIX)
    script = scenario.script if scenario else held_script(rate or DEFAULT_RATE, duration, shares)
    script = scaled(
        script, rate=fraction(scale_rate, "--scale-rate", *FACTORS), time=fraction(scale_time, "--scale-time", *FACTORS)
    )
    if times is not None:
        script = replay(own_app.recorded, times)
    chosen: dict[str, Any] = {
        **given,
        "workloads": script.workloads,
        "script": script,
        "scenario": scenario.name if scenario else "",
        "thresholds": tuple(map(parse_threshold, thresholds)),
        "abort_after_s": if_given(abort_on_fail, lambda text: parse_duration_s(text, "--abort-on-fail", 0, MAX_S)),
        "payload_bytes": parse_size_bytes(payload, "--payload", MAX_PAYLOAD_BYTES),
        "priority": if_given(priority, lambda text: whole_number(text, "--priority", 0, 9)),
    }
    if abort_on_fail is not None and not thresholds:
        raise UsageError("--abort-on-fail: there is no threshold to fail. Name one: --threshold 'p99(sojourn) < 1s'.")
    return LoadSettings(**{name: value for name, value in chosen.items() if value is not None})


def held_script(rate: str, duration: str | None, mix: Mapping[str, float]) -> Script:
    """A script of one phase."""
    from producer.plan.profile import parse_profile
    from producer.plan.script import Phase, Script

    duration_s = if_given(duration, lambda text: parse_duration_s(text, "--duration", 0.1, MAX_S))
    if duration is None and rate.split(maxsplit=1)[:1] in ([], [rate.strip()]):
        duration_s = DEFAULT_S  # a held rate
    phase = Phase(name="load", profile=parse_profile(rate, duration_s), mix=mix)
    return Script(phases=(phase,))


@click.command(epilog=STEER_EXAMPLES)
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option("--rate", default=None, metavar="RATE", help="Hold this rate from now on, e.g. 80/s.")
@click.option("--mix", default=None, metavar="SHARES", help="Shares of workloads from now on, e.g. cpu=1,io=1.")
@click.option("--pause", is_flag=True, help="Send nothing until --resume; the load's time goes on.")
@click.option("--resume", is_flag=True, help="Send again.")
@click.option("--script", is_flag=True, help="Rate and mix as the load had them planned.")
@click.option("--out", default="runs", show_default=True, type=click.Path(path_type=Path), metavar="DIR",
              help="Where to look for the load that runs, if RUN is not named.")  # fmt: skip
@exit_with_message
def steer(*, run: Path | None, out: Path, **words: Any) -> int:
    """
    Change rate or mix of a load that runs, or pause it; within two seconds.

    What was changed on one lane holds on the lanes after it at the very same offsets, and is in the run's manifest.
    """
    from producer.measure.steering import running_load, workloads_of, write_order

    found = run or running_load(out)
    order = steering_order(**words, known=workloads_of(found))
    write_order(found, order)
    click.echo(f"{found}: {', '.join(f'{name} {value}' for name, value in order.items())}.")
    return 0


def steering_order(
    *, rate: str | None, mix: str | None, pause: bool, resume: bool, script: bool, known: Sequence[str] = ()
) -> dict[str, Any]:
    """
    What is to be different from now on.

    Raises:
        UsageError: If nothing is, or the words contradict each other.
    """
    from producer.plan.mix import parse_mix
    from producer.plan.units import parse_rate

    if not (rate or mix or pause or resume or script):
        raise UsageError("steer: say what to change, e.g. poolrace steer --rate 80/s, --mix cpu=1,io=1 or --pause.")
    if (pause and resume) or (script and (rate or mix)):
        raise UsageError("steer: --pause and --resume, or --script and --rate or --mix, contradict each other.")
    order: dict[str, Any] = {"rate_per_s": None, "mix": None} if script else {}
    if rate:
        order["rate_per_s"] = parse_rate(rate, "--rate")
    if mix:
        order["mix"] = parse_mix(mix, "--mix", tuple(dict.fromkeys((*WORKLOADS, *known))))
    if pause or resume:
        order["paused"] = pause
    return order

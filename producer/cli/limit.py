"""`poolrace limit`: the highest arrival rate that each lane holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from producer.cli.exit_codes import exit_with_message
from producer.cli.options import fleet_options, fleet_settings, if_given, output_options, shares_of
from producer.cli.output import finish
from producer.errors import UsageError
from producer.plan.units import fraction, parse_duration_s

if TYPE_CHECKING:
    from pathlib import Path

    from producer.measure.limit import LimitSettings

ALWAYS = ("failed == 0", "lost == 0")
"""A lane that fails its jobs fast holds nothing; these are added where no threshold of the same name is given."""

DEFAULT_MIX = "io"

EXAMPLES = """\b
Examples:
  poolrace limit --slo 'p99(sojourn) < 500ms' --mix io
  poolrace limit --slo 'p99(sojourn) < 500ms' --lane prefork:4 --lane threads:32 --mix cpu=1,io=9
  poolrace limit --slo 'p99(sojourn) < 200ms' --mix sleep --arrivals constant --precision 0.02
  poolrace limit --slo 'p50(queue_wait) < 20ms' --slo 'max(sojourn) < 2s' --probe 30s --from 50/s
  poolrace limit --slo 'p99(sojourn) < 1s' --mix mixed --json > limit.json

\b
Exit codes:
  0    good: every lane has a limit, confirmed by a repeat
  2    the command line is not what the command needs
  3    the broker or a node cannot be started, reached or kept alive
  4    the run is invalid: the limit found may be the generator's, or jobs are missing
  99   no rate meets the SLO on some lane, or its limit could not be confirmed
  130  Ctrl-C; what was measured until then is kept"""


@click.command(epilog=EXAMPLES)
@click.option("--slo", "slo", multiple=True, required=True, metavar="COMPARISON",
              help="What must be kept for a rate to be held; repeatable; as --threshold of `load`.")  # fmt: skip
@click.option("--mix", default=None, metavar="SHARES", help=f"Shares of workloads. [default: {DEFAULT_MIX}]")
@click.option("--probe", default="10s", show_default=True, metavar="TIME", help="How long each rate is held.")
@click.option("--precision", default="0.05", show_default=True, metavar="PART",
              help="How far apart the highest rate held and the lowest one broken may be.")  # fmt: skip
@click.option("--from", "first", default=None, metavar="RATE", help="The first rate. [default: from the warm-up]")
@fleet_options
@output_options
@exit_with_message
def limit(*, as_json: bool, junit: Path | None, **options: Any) -> int:
    """
    Find the highest arrival rate at which each lane keeps an SLO.

    Every probe is a trial of its own at one rate, on an idle lane with an empty queue; the lanes take turns. The
    bracket between the highest rate held and the lowest one broken is narrowed until it is as small as asked, and
    its lower end is confirmed by a repeat with other arrivals.
    """
    settings = limit_settings(**options)
    from producer.measure.kinds import measure_run
    from producer.report.progress.display import progress_for

    with progress_for(quiet=as_json) as progress:
        path, error = measure_run(settings, progress)
    return finish(path, error, as_json=as_json, junit=junit)


def limit_settings(
    *, slo: tuple[str, ...], mix: str | None, probe: str, precision: str, first: str | None, **shared: Any
) -> LimitSettings:
    """
    Settings from the words of the command line.

    Raises:
        UsageError: If a word is wrong; says which are right.
    """
    from producer.analysis.search import HIGHEST_PER_S
    from producer.measure.limit import LimitSettings
    from producer.plan.thresholds import AT_MOST, STATISTICS, parse_threshold
    from producer.plan.units import parse_rate

    asked = [parse_threshold(text, "--slo") for text in slo]
    if not any(each.name in STATISTICS and each.operator in AT_MOST for each in asked):
        raise UsageError("--slo: name at least one time that must not be exceeded, e.g. 'p99(sojourn) < 500ms'.")
    named = {each.name for each in asked}
    asked += [each for each in map(parse_threshold, ALWAYS) if each.name not in named]
    given = fleet_settings(**shared, least_lanes=1)
    shares = {name: share for name, share in shares_of(mix, given["own_app"], DEFAULT_MIX).items() if share}
    chosen: dict[str, Any] = {
        **given,
        "workloads": tuple(shares),
        "slo": tuple(asked),
        "mix": shares,
        "probe_s": parse_duration_s(probe, "--probe", 1, 3600),
        "precision": fraction(precision, "--precision", 0.005, 0.5),
        "first_per_s": if_given(first, lambda text: parse_rate(text, "--from", HIGHEST_PER_S)),
    }
    return LimitSettings(**{name: value for name, value in chosen.items() if value is not None})

"""
Find the highest arrival rate at which each lane keeps an SLO.

Every probe is a trial of its own at one rate, on an idle lane with an empty queue; the lanes take turns. All probes
together give the limit with its 90 % interval, and each goes where it narrows that most, until it is as narrow as
asked or there have been enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from producer.analysis.search import HIGHEST_PER_S
from producer.cli._command import command, option
from producer.cli._exit_codes import EXIT_CODES
from producer.cli._options import fleet_options, fleet_settings, output_options, run, shares_of
from producer.cli._param_types import MIX_OF_ANY, THRESHOLD, Count, Duration, Rate, Share
from producer.errors import UsageError
from producer.measure.limit import LimitSettings
from producer.plan.settings import default_of
from producer.plan.thresholds import AT_MOST, STATISTICS, Threshold, parse_threshold

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ALWAYS = ("failed == 0", "lost == 0")
"""A lane that fails its jobs fast holds nothing; these are added where no threshold of the same name is given."""

DEFAULT_MIX = "io"

EXAMPLES = f"""\b
Examples:
  poolrace limit --slo 'p99(sojourn) < 500ms' --mix io
  poolrace limit --slo 'p99(sojourn) < 500ms' --lane prefork:4 --lane threads:32 --mix cpu=1,io=9
  poolrace limit --slo 'p99(sojourn) < 200ms' --mix sleep --arrivals constant --precision 0.02
  poolrace limit --slo 'p50(queue_wait) < 20ms' --slo 'max(sojourn) < 2s' --probe 30s --from 50/s
  poolrace limit --slo 'p99(sojourn) < 1s' --mix mixed --json > limit.json

{EXIT_CODES}"""


@command(__doc__, epilog=EXAMPLES)
@option(
    "--slo",
    multiple=True,
    required=True,
    type=THRESHOLD,
    help="What must be kept for a rate to be held; repeatable; as --threshold of `load`.",
)
@option("--mix", type=MIX_OF_ANY, help=f"Shares of workloads. [default: {DEFAULT_MIX}]")
@option(
    "--probe",
    "probe_s",
    type=Duration(1, 3600),
    default=default_of(LimitSettings, "probe_s"),
    help="How long each rate is held.",
)
@option(
    "--precision",
    type=Share(0.005, 0.5),
    default=default_of(LimitSettings, "precision"),
    help="How long the limit's interval may be, as a part of its lower end.",
)
@option(
    "--probes",
    "most_probes",
    type=Count(2, 200),
    default=default_of(LimitSettings, "most_probes"),
    help="Probes that a lane has at most.",
)
@option("--from", "first_per_s", type=Rate(HIGHEST_PER_S), help="The first rate. [default: from the warm-up]")
@fleet_options
@output_options
def limit(*, as_json: bool, full: bool, junit: Path | None, **options: Any) -> int:
    """Search as the options say, and report."""
    return run(limit_settings(**options), as_json=as_json, full=full, junit=junit)


def limit_settings(
    *,
    slo: Sequence[Threshold],
    mix: str | None,
    probe_s: float,
    precision: float,
    most_probes: int,
    first_per_s: float | None,
    **shared: Any,
) -> LimitSettings:
    """
    Return the settings of a search from its options.

    Raises:
        UsageError: If two options contradict each other, or the SLO bounds no time.
    """
    if not any(each.name in STATISTICS and each.operator in AT_MOST for each in slo):
        raise UsageError("--slo: name at least one time that must not be exceeded, e.g. 'p99(sojourn) < 500ms'.")
    named = {each.name for each in slo}
    given = fleet_settings(shared, least_lanes=1)
    shares = {name: share for name, share in shares_of(mix, given["own_app"], DEFAULT_MIX).items() if share}
    return LimitSettings(
        **given,
        workloads=tuple(shares),
        slo=(*slo, *(each for each in map(parse_threshold, ALWAYS) if each.name not in named)),
        mix=shares,
        probe_s=probe_s,
        precision=precision,
        most_probes=most_probes,
        first_per_s=first_per_s,
    )

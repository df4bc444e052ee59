"""`poolrace load`: hold a rate of arrivals, and say what the lanes made of it."""

from __future__ import annotations

from typing import Any

import click

from producer.commands import finish, tells_errors
from producer.errors import UsageError
from producer.mix import parse_mix
from producer.options import fleet_options, fleet_settings, if_given
from producer.settings import parse_duration_s

MAX_S = 24 * 3600

EXAMPLES = """\b
Examples:
  poolrace load --rate 50/s --duration 30s --mix cpu=1,io=9
  poolrace load --lane threads:16 --rate 'ramp 0->200/s over 60s' --mix io
  poolrace load --rate 'variable 20:10s,80:5s' --arrivals constant
  poolrace load --rate 'spike 20/s to 100/s for 5s at 10s' --duration 30s
  poolrace load --rate 50/s --duration 30s --threshold 'p99(sojourn) < 500ms' --threshold 'lost == 0'
  poolrace load --broker redis://:PASSWORD@127.0.0.1:6379/0 --rate 20/s --duration 1m --json > load.json

\b
Rates: 200/s with --duration; ramp 0->500/s over 60s; steps 100/s..500/s by 100/s every 10s;
  spike 100/s to 1000/s for 5s at 20s with --duration; variable 100:30s,400:10s
Thresholds: 'p99(sojourn) < 500ms' (p50, p90, p99, p99.9, max, mean of sojourn, sojourn_from_sent, queue_wait,
  broker_wait, slot_wait, service, publish_lag); 'lost == 0' (or failed, duplicated, refused, ...);
  'rate(finished) > 0.98 * offered' (or a number/s); 'mem_per_slot < 20MiB'

\b
Exit codes:
  0    good
  2    the command line is not what the command needs
  3    the broker or a node cannot be started, reached or kept alive
  4    the run is invalid: the generator was late, or jobs are missing
  99   the run is good, and a threshold is broken
  130  Ctrl-C; what was measured until then is kept"""


@click.command(epilog=EXAMPLES)
@click.option("--rate", default="20/s", show_default=True, metavar="PROFILE", help="Arrivals on each lane; see below.")
@click.option(
    "--duration", default=None, metavar="TIME", help="How long, where the rate does not say it. [default: 20s]"
)
@click.option("--mix", default="cpu=1,io=3,mixed=1", show_default=True, metavar="SHARES", help="Shares of workloads.")
@click.option("--threshold", "thresholds", multiple=True, metavar="COMPARISON",
              help="What must be kept; repeatable. Exit code 99 if it is not.")  # fmt: skip
@fleet_options
@click.option("--json", "as_json", is_flag=True, help="Print the summary alone, as JSON.")
@tells_errors
def load(*, as_json: bool, **options: Any) -> int:
    """
    Hold a load on each lane, one after the other, and print what was offered and what was achieved.

    Every lane gets the very same jobs at the very same offsets, whether or not it keeps up. Jobs are due when the
    profile says, and sojourn counts from then. Writes a run directory, as a race does.
    """
    settings = load_settings(**options)
    from producer.load import run_load
    from producer.report.progress import progress_for

    with progress_for(quiet=as_json) as progress:
        path, error = run_load(settings, progress)
    return finish(path, error, as_json=as_json)


def load_settings(*, rate: str, duration: str | None, mix: str, thresholds: tuple[str, ...], **shared: Any) -> Any:
    """
    Settings from the words of the command line.

    Raises:
        UsageError: If a word is wrong; says which are right.
    """
    from producer.load import LoadSettings
    from producer.profile import parse_profile
    from producer.thresholds import parse_threshold

    duration_s = if_given(duration, lambda text: parse_duration_s(text, "--duration", 0.1, MAX_S))
    if duration is None and rate.split(maxsplit=1)[:1] in ([], [rate.strip()]):
        duration_s = 20.0  # a held rate
    shares = {name: share for name, share in parse_mix(mix, "--mix").items() if share}
    chosen: dict[str, Any] = {
        **fleet_settings(**shared),
        "workloads": tuple(shares),
        "mix": shares,
        "profile": parse_profile(rate, duration_s),
        "thresholds": tuple(map(parse_threshold, thresholds)),
    }
    if not shares:
        raise UsageError("--mix: name at least one workload, e.g. --mix io.")
    return LoadSettings(**{name: value for name, value in chosen.items() if value is not None})

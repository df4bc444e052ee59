"""
Change the rate or mix of a load that runs, or pause it.

It takes effect within two seconds. What was changed on one lane holds on the lanes after it at the very same offsets,
and is in the run's manifest.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from producer.cli._command import command, option
from producer.cli._options import OUT
from producer.cli._param_types import MIX_OF_ANY, Rate
from producer.errors import UsageError
from producer.measure.steering import running_load, workloads_of, write_order
from producer.plan.mix import parse_mix
from producer.plan.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Sequence

EXAMPLES = """\b
Examples:
  poolrace steer --rate 80/s
  poolrace steer --mix cpu=1,io=1
  poolrace steer --pause
  poolrace steer --resume
  poolrace steer --script                  (rate and mix of the script again)
  poolrace steer runs/2026-01-31T12-00-00Z-load-1a2b3c --rate 80/s"""


@command(__doc__, epilog=EXAMPLES)
@click.argument("run", required=False, type=click.Path(path_type=Path))
@option("--rate", "rate_per_s", type=Rate(), help="Hold this rate from now on, e.g. 80/s.")
@option("--mix", type=MIX_OF_ANY, help="Shares of workloads from now on, e.g. cpu=1,io=1.")
@option("--pause", is_flag=True, help="Send nothing until --resume; the load's time goes on.")
@option("--resume", is_flag=True, help="Send again.")
@option("--script", is_flag=True, help="Return to the rate and mix that the load had planned.")
@OUT
def steer(*, run: Path | None, out: Path, **options: Any) -> int:
    """Write the order into the directory of the load that runs."""
    found = run or running_load(out)
    order = steering_order(**options, known=workloads_of(found))
    write_order(found, order)
    click.echo(f"{found}: {', '.join(f'{name} {value}' for name, value in order.items())}.")
    return 0


def steering_order(
    *, rate_per_s: float | None, mix: str | None, pause: bool, resume: bool, script: bool, known: Sequence[str] = ()
) -> dict[str, Any]:
    """
    Return what is to be different from now on.

    Raises:
        UsageError: If nothing is, or the options contradict each other.
    """
    if not (rate_per_s or mix or pause or resume or script):
        raise UsageError("steer: say what to change, e.g. poolrace steer --rate 80/s, --mix cpu=1,io=1 or --pause.")
    if (pause and resume) or (script and (rate_per_s or mix)):
        raise UsageError("steer: --pause and --resume, or --script and --rate or --mix, contradict each other.")
    order: dict[str, Any] = {"rate_per_s": None, "mix": None} if script else {}
    if rate_per_s:
        order["rate_per_s"] = rate_per_s
    if mix:
        order["mix"] = parse_mix(mix, "--mix", tuple(dict.fromkeys((*WORKLOADS, *known))))
    if pause or resume:
        order["paused"] = pause
    return order

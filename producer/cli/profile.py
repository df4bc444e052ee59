"""
Print a profile of settings: what each is for, and the drill that shows it.

With --app, what your own app would have to change, setting by setting. The exit code is 99 if there is something.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from poolrace.profiles import PROFILES, SAFE, Where, settings_of
from producer.cli._command import command, option
from producer.cli._exit_codes import BROKEN_THRESHOLD, EXIT_CODES
from producer.cli._options import FOLDER
from producer.ownapp.introspect import settings_of_app
from producer.report.profile import changes, profile_parts
from producer.report.terminal import console_for, show_parts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PATIENCE_S = 60.0

EXAMPLES = f"""\b
Examples:
  poolrace profile safe
  poolrace profile safe --app shop.celery:app --workdir examples/shop
  poolrace profile safe --app shop.celery:app --json

{EXIT_CODES}"""


@command(__doc__, epilog=EXAMPLES)
@click.argument("name", metavar="PROFILE", type=click.Choice(list(PROFILES)), default=SAFE)
@option("--app", metavar="APP", default="", help="Your own Celery app, as celery -A takes it.")
@option("--workdir", type=FOLDER, metavar="DIR", default=".", help="With --app: where it is imported.")
@option("--json", "as_json", is_flag=True, help="Print the settings as JSON.")
@click.pass_obj
def profile(environment: Mapping[str, str], *, name: str, app: str, workdir: Path, as_json: bool) -> int:
    """Print a profile, beside the settings of an app."""
    if app:
        has, overruled, broker_url = settings_of_app(
            app, list(settings_of(name, Where.APP)), folder=workdir.resolve(), environment=environment,
            patience_s=PATIENCE_S,
        )  # fmt: skip
        found = changes(name, has, overruled, broker_url)
    else:
        found = changes(name, None)
    if as_json:
        click.echo(json.dumps({"profile": name, "app": app or None, "settings": list(map(asdict, found))}, indent=2))
    else:
        show_parts(profile_parts(name, found, app), console_for(sys.stdout))
    return BROKEN_THRESHOLD if any(each.fits is False or each.overruled for each in found) else 0

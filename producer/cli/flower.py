"""
Become Flower, with the login that is in DIR.

It is read-only, unless FLOWER_READ_ONLY=false. Every option of Flower can be set by a variable: FLOWER_PORT,
FLOWER_MAX_TASKS, FLOWER_URL_PREFIX and so on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.cli._command import command
from producer.cli._secrets_folder import SECRETS_FOLDER
from producer.stack.flower import start

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = """\b
Examples:
  poolrace flower /run/poolrace
  FLOWER_READ_ONLY=false poolrace flower /run/poolrace     (let Flower's buttons change workers)
  FLOWER_PORT=5556 poolrace flower /run/poolrace"""


@command(__doc__, epilog=EXAMPLES)
@SECRETS_FOLDER
def flower(folder: Path) -> int:
    """Replace this process by Flower."""
    start(folder)
    return 0

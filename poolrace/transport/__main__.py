"""
What an operator does about messages that were set aside: `python -m poolrace.transport dead-letters --help`.

It needs nothing that a node lacks.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import redis

from poolrace.transport.dead_letter_list import DeadLetterList
from poolrace.transport_setting import DEAD_LETTER_KEY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poolrace.transport.dead_letter_list import DeadLetter

BROKER = "CELERY_BROKER_URL"
EXAMPLES = f"""
Examples:
  python -m poolrace.transport dead-letters count --broker redis://localhost:6379/0
  {BROKER}=redis://localhost:6379/0 python -m poolrace.transport dead-letters list --most 5
  python -m poolrace.transport dead-letters requeue --broker redis://localhost:6379/0
  python -m poolrace.transport dead-letters purge --broker redis://localhost:6379/0

Exit codes:
  0  done
  1  some messages could not be sent again: nobody knows their queue
  2  the command line is wrong
  3  the broker does not answer, or refuses
  130  Ctrl-C
"""


def main(words: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    wanted = _parser().parse_args(words)
    try:
        client = redis.Redis.from_url(wanted.broker)
    except ValueError as error:
        sys.stderr.write(f"--broker: {error}. Give an address like redis://localhost:6379/0.\n")
        return 2
    letters = DeadLetterList(client, wanted.key)
    try:
        return int(_ACTIONS[wanted.action](letters, wanted))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever reads has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (redis.AuthenticationError, redis.exceptions.NoPermissionError) as error:
        sys.stderr.write(f"The broker refuses: {error}. Give a user who may, in --broker.\n")
        return 3
    except (redis.ConnectionError, redis.TimeoutError) as error:
        sys.stderr.write(f"The broker does not answer: {error}\n")
        return 3
    except redis.ResponseError as error:
        sys.stderr.write(f"The broker refuses: {error}. Is {wanted.key!r} the key of the dead letters?\n")
        return 3


def _parser() -> argparse.ArgumentParser:
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m poolrace.transport", description="The atomic transport.", formatter_class=shape
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    dead = commands.add_parser(
        "dead-letters",
        help="messages that were set aside",
        description="Count, list, send again or delete the messages that were set aside.",
        epilog=EXAMPLES,
        formatter_class=shape,
    )
    dead.add_argument("action", choices=list(_ACTIONS), help="what to do with them")
    dead.add_argument(
        "--broker",
        default=os.environ.get(BROKER),
        required=BROKER not in os.environ,
        metavar="URL",
        help=f"the broker, e.g. redis://localhost:6379/0; or {BROKER}",
    )
    dead.add_argument("--key", default=DEAD_LETTER_KEY, help="the list's key with its prefix (%(default)s)")
    dead.add_argument("--most", type=_count, default=10_000, help="no more than so many, the oldest first")
    dead.add_argument("--json", action="store_true", help="print JSON, a line for each message")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number, 1 or more")
    return int(text)


def _list(letters: DeadLetterList, wanted: argparse.Namespace) -> int:
    for letter in letters.oldest(wanted.most):
        sys.stdout.write((_as_json if wanted.json else _as_text)(letter) + "\n")
    return 0


def _count_all(letters: DeadLetterList, wanted: argparse.Namespace) -> int:
    count = len(letters)
    sys.stdout.write((json.dumps({"count": count}) if wanted.json else str(count)) + "\n")
    return 0


def _requeue(letters: DeadLetterList, wanted: argparse.Namespace) -> int:
    sent, left = 0, 0
    for letter in letters.oldest(wanted.most):
        try:
            sent += letters.send_again(letter)
        except ValueError as error:
            left += 1
            sys.stderr.write(f"left: {error}: {_as_text(letter)}\n")
    _say(wanted, f"{sent} sent again, {left} left", {"sent": sent, "left": left})
    return 1 if left else 0


def _purge(letters: DeadLetterList, wanted: argparse.Namespace) -> int:
    count = letters.purge()
    _say(wanted, f"{count} deleted", {"deleted": count})
    return 0


def _say(wanted: argparse.Namespace, words: str, figures: dict[str, int]) -> None:
    sys.stdout.write((json.dumps(figures) if wanted.json else words) + "\n")


def _as_text(letter: DeadLetter) -> str:
    when = f"{datetime.fromtimestamp(letter.at, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return f"{when}  {letter.key or '(no queue)'}  {letter.task or '(no task)'} {letter.job}  {letter.reason}"


def _as_json(letter: DeadLetter) -> str:
    return json.dumps(
        {
            "at": letter.at,
            "reason": letter.reason,
            "key": letter.key,
            "task": letter.task,
            "job": letter.job,
            "message": letter.message,
        }
    )


_ACTIONS = {"count": _count_all, "list": _list, "requeue": _requeue, "purge": _purge}

if __name__ == "__main__":
    sys.exit(main())

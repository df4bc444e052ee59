"""
The passwords, access rules and certificates of the compose stack: made on first start, kept from then on.

No password is a constant of the repository. `poolrace secrets make` runs before everything else, writes them into a
volume that the other services read, and keeps those that are there. What is derived from a password (the broker's
access rules, certificates) is written anew each time, so that a new version's rules take effect.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
from typing import TYPE_CHECKING

from producer.errors import UsageError
from producer.files import replaced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

USER = "poolrace"
PASSWORD_BYTES = 24

BROKER_PASSWORD = "broker-password"  # noqa: S105 - a file's name
FLOWER_LOGIN = "flower-login"
GRAFANA_PASSWORD = "grafana-password"  # noqa: S105 - a file's name
BROKER_USERS = "redis-users.acl"
AUTHORITY = "ca.pem"
HANDED_OVER = (BROKER_PASSWORD, AUTHORITY)
"""The files that workers on another host need."""

COMMANDS = (
    # Connections: redis-py introduces itself, kombu checks that they live, nodes compare clocks.
    "auth", "hello", "client|setinfo", "ping", "info", "time",
    # The atomic transport has the server tell of changes, and a wait end early.
    "client|id", "client|tracking", "client|caching", "client|unblock",
    # Queues: a list for each priority, what is taken and not acknowledged, which queue is bound to which exchange.
    "lpush", "rpush", "brpop", "blpop", "rpop", "llen", "lrange", "ltrim",
    "zadd", "zrem", "zcard", "zcount", "zrange", "zrangebyscore", "zremrangebyscore", "zscore",
    "hset", "hget", "hdel", "hlen", "hkeys", "hvals", "hmget", "sadd", "sismember", "srandmember", "srem", "smembers",
    # Batches, the atomic transport, and giving back what a stopping or dead node had taken; a script may do no more
    # than its caller.
    "multi", "exec", "discard", "watch", "unwatch", "eval", "evalsha", "script|load", "script|exists",
    # Single keys: the lease of a fleet, the settings of the live load, locks; records queues expire by themselves.
    "get", "set", "del", "exists", "expire", "pexpire", "pttl",
    # Remote control, and the events that Flower shows.
    "publish", "subscribe", "psubscribe", "unsubscribe", "punsubscribe",
)  # fmt: skip
"""The commands of Redis that workers, producers and Flower need. All others are refused: no FLUSHALL, no CONFIG."""


NOBODY = "user default off resetpass ~* &* +@all"
"""
The user of a connection that has not logged in: it may do nothing, since the user is off.

The permissions are Redis's own. It replays its append-only file as this user, and where that may not run a command,
Redis drops every transaction in the file without a word: jobs that a stopping node had given back were lost so.
"""


def broker_users(password: str) -> str:
    """Return Redis's access rules: the default user is off, and one user has the commands that jobs need."""
    digest = hashlib.sha256(password.encode()).hexdigest()
    allowed = " ".join(f"+{command}" for command in COMMANDS)
    return f"{NOBODY}\nuser {USER} on #{digest} ~* &* -@all {allowed}\n"


def make(folder: Path) -> bool:
    """
    Make what is missing in a folder.

    Returns:
        True if the login to Flower is new.

    Raises:
        UsageError: If the folder cannot be written.
    """
    with usage_errors_of(folder):
        password = _kept(folder / BROKER_PASSWORD, new_password)
        write_private(folder / BROKER_USERS, broker_users(password))
        _kept(folder / GRAFANA_PASSWORD, new_password)
        made = f"{USER}:{new_password()}"
        return _kept(folder / FLOWER_LOGIN, lambda: made) == made


def new_password() -> str:
    """Return a random password of characters that need no quoting anywhere."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def flower_login(folder: Path) -> tuple[str, str]:
    """
    Return the user and the password of Flower.

    Raises:
        UsageError: If they have not been made.
    """
    path = folder / FLOWER_LOGIN
    if not path.is_file():
        raise UsageError(f"{path}: not there yet. Make it: poolrace secrets make {folder}")
    user, _, password = path.read_text(encoding="utf-8").strip().partition(":")
    return user, password


def export(folder: Path) -> str:
    """
    Return what workers on another host need, as one line of JSON.

    Raises:
        UsageError: If the stack does not use TLS, without which no password should travel.
    """
    missing = [name for name in HANDED_OVER if not (folder / name).is_file()]
    if missing:
        raise UsageError(f"{folder}: no {' and no '.join(missing)}. Start the stack with compose.tls.yaml first.")
    return json.dumps({name: (folder / name).read_text(encoding="utf-8") for name in HANDED_OVER})


def import_(folder: Path, text: str) -> None:
    """
    Write what `export` printed on the first host into a folder of this one.

    Raises:
        UsageError: If the text is something else, or the folder cannot be written.
    """
    try:
        given = json.loads(text)
        files = {name: str(given[name]) for name in HANDED_OVER}
    except (ValueError, TypeError, KeyError):
        raise UsageError("The input is not what poolrace secrets export prints. Pipe one into the other.") from None
    with usage_errors_of(folder):
        for name, content in files.items():
            write_private(folder / name, content)


def _kept(path: Path, new: Callable[[], str]) -> str:
    """Return the secret in a file; write a new one if there is none, or an empty one that a crash left behind."""
    with contextlib.suppress(FileNotFoundError):
        if kept := path.read_text(encoding="utf-8").strip():
            return kept
    made = new()
    write_private(path, made)
    return made


def write_private(path: Path, content: str) -> None:
    """Write a file that its owner alone may read, in one step."""
    with replaced(path, private=True) as file:
        file.write(content.encode())


@contextlib.contextmanager
def usage_errors_of(folder: Path) -> Iterator[None]:
    """Turn errors of the system into usage errors that name the folder."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror}. Name a folder that can be read and written.") from error

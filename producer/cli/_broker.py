"""The broker of a fleet that runs already: named on the command line, or in the environment of a stack's container."""

from __future__ import annotations

import os

from poolrace import credentials
from poolrace.credentials import BROKER_URL
from producer.cli._command import option
from producer.cli._param_types import BROKER
from producer.errors import UsageError

BROKER_OPTION = option("--broker", "broker_url", type=BROKER, help=f"The fleet's broker. [default: {BROKER_URL}]")


def broker_of(url: str | None) -> str:
    """
    Return the broker that was named, on the command line or in the environment.

    Raises:
        UsageError: If none was.
    """
    found = url or broker_from_environment()
    if not found:
        raise UsageError(f"--broker: name the fleet's broker, or set {BROKER_URL}. E.g. redis://127.0.0.1:6379/0.")
    return found


def broker_from_environment() -> str | None:
    """
    Return the broker that a container of the stack has in its environment, with the password; None anywhere else.

    Raises:
        UsageError: If it is not a URL, or the environment names a file that cannot be used.
    """
    try:
        url = credentials.broker_url(os.environ)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if url and "://" not in url:
        raise UsageError(f"{BROKER_URL}: not a URL. Give one such as redis://:PASSWORD@127.0.0.1:6379/0.")
    return url

"""Waiting for another service, over HTTP."""

from __future__ import annotations

import os
from http import HTTPStatus

import urllib3

from worker.workload import Sizing, Workload

CONNECT_TIMEOUT_S = 5.0

ANSWER_TIMEOUT_S = 10.0
"""The time that an answer may take beyond the delay that was asked for, in seconds."""

CONNECTIONS = 1024
"""The connections that a process keeps open: more than any sensible number of threads, so that each keeps its own."""

_managers: dict[int, urllib3.PoolManager] = {}


class UpstreamError(RuntimeError):
    """An answer of the upstream service with another status than 200."""


def fetch(delay_us: int, *, upstream_url: str) -> int:
    """
    Get a JSON document that the upstream service delays.

    Args:
        delay_us: The delay to ask for, in microseconds.
        upstream_url: The URL of `worker.upstream`, e.g. `http://127.0.0.1:8081`.

    Returns:
        The size of the document, in bytes.

    Raises:
        UpstreamError: If the answer is not 200.
        urllib3.exceptions.HTTPError: If no answer comes.
    """
    return len(get_items(delay_us, upstream_url=upstream_url))


def get_items(delay_us: int, *, upstream_url: str) -> bytes:
    """Get the document itself; arguments and errors as for `fetch`."""
    url = f"{upstream_url}/items?delay_us={delay_us}"
    timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=delay_us / 1e6 + ANSWER_TIMEOUT_S)
    # A retry would do the work twice and hide the failure from the race.
    response = connections_of(os.getpid()).request("GET", url, timeout=timeout, retries=False)
    if response.status != HTTPStatus.OK:
        raise UpstreamError(f"GET {url}: answered {response.status}, not 200")
    return response.data


def connections_of(pid: int) -> urllib3.PoolManager:
    """
    Return the connections that all threads of a process share.

    Per process, since a connection inherited through a fork would mix up the answers of parent and child.
    """
    if pid not in _managers:
        # `setdefault` is atomic, so threads that come here at once agree on one; the others never opened anything.
        _managers.setdefault(pid, urllib3.PoolManager(maxsize=CONNECTIONS, block=False))
    return _managers[pid]


WORKLOAD = Workload(
    name="io",
    function=fetch,
    needs=("upstream_url",),
    sizing=Sizing.WAIT,
    target_s=0.050,
)

"""Puts messages back that a node held when it died, once, and not without end."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads
from redis.exceptions import NoPermissionError

from poolrace.transport.dead_letters import HISTORY, MALFORMED, entry, report
from poolrace.transport.script import MAX_DEAD, BrokenMessage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poolrace.transport.dead_letters import DeadLetters

PUT_BACK = """
-- KEYS: unacked, its index, the set of those that wait for their time, then the lists to put it into. ARGV: its
-- delivery tag, the time before which a note is too old, the note, the message as it goes back, how to push it.
local seen = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not seen or tonumber(seen) > tonumber(ARGV[2]) or redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[3] then return 0 end
for at = 4, #KEYS do redis.call(ARGV[5], KEYS[at], ARGV[4]) end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('SREM', KEYS[3], ARGV[1])
return 1
"""
"""In one step, so that it goes back once, and only if nobody has renewed or acknowledged it meanwhile."""

FORGET = """
-- KEYS: unacked, the set of those that wait for their time. ARGV: delivery tags out of it.
for _, tag in ipairs(ARGV) do
  if redis.call('HEXISTS', KEYS[1], tag) == 0 then redis.call('SREM', KEYS[2], tag) end
end
"""
"""Forgets those that do not wait any more: a stock node put them back, or somebody removed them."""

FORGOTTEN = 64
"""So many, drawn at random, are looked at each time."""

FORGET_EVERY_S = 300.0
"""How often that is done: a node at rest asks for little."""

PART = 0.5
"""It looks again after this part of the time: a little early by a timer, often enough within a short timeout."""

ONE_AT_A_TIME_MS = 10_000
"""So long others leave it to one node to put messages back; should it be killed, they wait no longer."""


class Restoring:
    """
    Puts back what nobody has acknowledged or renewed for the visibility timeout.

    Args:
        channel: The channel.
        dead_letters: Takes the messages that cannot be put back, and those that have been too often.
    """

    def __init__(self, channel: Any, dead_letters: DeadLetters) -> None:
        self._channel = channel
        self._dead_letters = dead_letters
        self._next_s = 0.0
        self._forget_at_s = monotonic() + FORGET_EVERY_S

    def restore(self, most: int | None) -> None:
        """Put back no more than so many messages, or all; without an event loop it is called at every turn."""
        channel = self._channel
        if monotonic() < self._next_s:
            return
        self._next_s = monotonic() + PART * min(channel.restored_every_s, channel.visibility_timeout)
        client, keys = channel.raw_client(), channel.server_keys
        self._forget(client)
        until = channel.server_time() - channel.visibility_timeout
        if not client.zrangebyscore(keys.index, "-inf", until, start=0, num=1):
            return
        if not client.set(keys.restorer, channel.name, nx=True, px=ONE_AT_A_TIME_MS):
            return
        try:
            rows = client.zrangebyscore(keys.index, "-inf", until, start=0, num=most or -1, withscores=True)
            for tag, seen in reversed(rows):  # the oldest last, so that it is the next to be taken
                self._restore(client, tag, seen, until)
        finally:
            client.delete(keys.restorer)

    def _forget(self, client: Any) -> None:
        if monotonic() < self._forget_at_s:
            return
        self._forget_at_s, keys = monotonic() + FORGET_EVERY_S, self._channel.server_keys
        with suppress(NoPermissionError):  # of a user from before this was asked for
            if tags := client.srandmember(keys.deferred, FORGOTTEN):
                client.eval(FORGET, 2, keys.unacked, keys.deferred, *tags)

    def _restore(self, client: Any, tag: bytes, seen: float, until: float) -> None:
        channel, keys = self._channel, self._channel.server_keys
        note = client.hget(keys.unacked, tag)
        if note is None:
            client.zrem(keys.index, tag)
            return
        try:
            payload, exchange, routing_key = loads(bytes_to_str(note))
            was_lost = not client.sismember(keys.deferred, tag)
            if was_lost:
                headers = payload.setdefault("headers", {})
                headers.setdefault(HISTORY, []).append([round(seen, 3), round(channel.server_time(), 3)])
            lists, text = channel.back_again(payload, exchange, routing_key, redelivered=was_lost)
        except MALFORMED as error:
            self._dead_letters.add_noted(tag, error)
            return
        lists = [channel.global_keyprefix + key for key in lists]
        side, broken = "RPUSH", None
        if was_lost and 0 < channel.delivery_limit < len(payload["headers"][HISTORY]):
            broken = BrokenMessage(reason=_reason(payload["headers"][HISTORY]), raw=text.encode())
            lists, text, side = [keys.dead], entry(broken, lists[0]), "LPUSH"
        back = [keys.unacked, keys.index, keys.deferred, *lists]
        if client.eval(PUT_BACK, len(back), *back, tag, repr(until), note, text, side) and broken is not None:
            client.ltrim(keys.dead, 0, MAX_DEAD - 1)
            report(broken)


def _reason(history: Sequence[Sequence[float]]) -> str:
    last = datetime.fromtimestamp(history[-1][0], UTC)
    return f"lost {len(history)} times with the node that held it, the last time at {last:%Y-%m-%d %H:%M:%S} UTC"

"""One step of a publisher on the server: it is done once, however often it is sent."""

from __future__ import annotations

from hashlib import sha1
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

REMEMBERED_S = 3600
"""How long the server remembers which step was a publisher's last."""

PUBLISH = """
-- KEYS: the publisher's last step; the lists.
-- ARGV: the number of this step; how long to remember it, in seconds; of each list how many messages, and these.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return {}  -- it is a repetition of a step whose answer was lost
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
local refused, at = {}, 3
for number = 2, #KEYS do
  local count = tonumber(ARGV[at])
  for first = at + 1, at + count, 1000 do  -- what Lua can hand over at once is limited
    local pushed = redis.pcall('LPUSH', KEYS[number], unpack(ARGV, first, math.min(first + 999, at + count)))
    if type(pushed) == 'table' and pushed.err then
      refused[#refused + 1] = number - 2
      refused[#refused + 1] = pushed.err
      break
    end
  end
  at = at + count + 1
end
return refused
"""
"""Pushes messages to their lists; returns the number of each list that refused them, from 0, and its error."""

SHA = sha1(PUBLISH.encode()).hexdigest()  # noqa: S324 # by which the server knows it


def arguments(publisher: str, number: int, lists: Mapping[str, Sequence[str]]) -> list[Any]:
    """
    Return the arguments of a step, number of keys first.

    Args:
        publisher: The key of the publisher.
        number: The number of the step, from 1.
        lists: The messages for each list, the oldest first.
    """
    values: list[Any] = []
    for messages in lists.values():
        values += [len(messages), *messages]
    return [1 + len(lists), publisher, *lists, number, REMEMBERED_S, *values]

"""The script that takes messages and notes them in one step on the server: its text, its arguments, its answer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

TAKE = """
-- KEYS: unacked, its index, the dead-letter list, then the lists of the queues: all of one priority, then of the next.
-- ARGV: now, room, '1' for turns or '0' for the order given, lists of one priority, a digit for each of them ('1':
-- its messages are noted), then the delivery tags to acknowledge.
local unacked, index, dead = KEYS[1], KEYS[2], KEYS[3]
local now, room, turns, width = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1', tonumber(ARGV[4])

if #ARGV > 5 then
  redis.call('ZREM', index, unpack(ARGV, 6))
  redis.call('HDEL', unacked, unpack(ARGV, 6))
end

local answer = {}

local function names(value) return type(value) == 'string' or value == cjson.null end

-- What kombu needs of a message to note it, to hand it over and to put it back; or nil and why not.
local function read(raw)
  local fine, message = pcall(cjson.decode, raw)
  if not fine then return nil, 'not JSON: ' .. tostring(message) end
  local properties = type(message) == 'table' and message.properties
  if type(properties) ~= 'table' then return nil, 'no properties' end
  local tag, way = properties.delivery_tag, properties.delivery_info
  if type(tag) == 'number' and tag % 1 == 0 and math.abs(tag) < 2^53 then tag = string.format('%.0f', tag) end
  if type(tag) ~= 'string' or tag == '' then return nil, 'no delivery_tag' end
  if type(way) ~= 'table' then return nil, 'no delivery_info' end
  if way.exchange == nil or way.routing_key == nil then return nil, 'no exchange or routing_key' end
  if not names(way.exchange) or not names(way.routing_key) then return nil, 'exchange or routing_key is no text' end
  if type(message.body) ~= 'string' then return nil, 'no body' end
  if message.headers ~= nil and type(message.headers) ~= 'table' then return nil, 'headers are no object' end
  return tag, cjson.encode(way.exchange) .. ', ' .. cjson.encode(way.routing_key)
end

local function set_aside(list, raw, reason)
  local kept = redis.pcall('LPUSH', dead, cjson.encode({reason = reason, at = now, key = list, message = raw}))
  if type(kept) == 'table' then  -- no list to keep it in: it waits behind all others
    redis.call('LPUSH', list, raw)
    reason = reason .. '; left in its queue: ' .. kept.err
  end
  answer[#answer + 1] = -1
  answer[#answer + 1] = reason
  answer[#answer + 1] = raw
end

-- Messages popped from a list are noted before anything else happens; if that fails, they go back to their places.
local function note(list, fields, scores, raws)
  if #fields == 0 then return end
  local hash = redis.pcall('HSET', unacked, unpack(fields))
  local zset = hash
  if type(hash) ~= 'table' then zset = redis.pcall('ZADD', index, unpack(scores)) end
  if type(zset) == 'table' then
    for at = #raws, 1, -1 do redis.call('RPUSH', list, raws[at]) end
    error(zset.err)
  end
end

local function take(at, most)
  local list = KEYS[3 + at]
  local raws = redis.pcall('RPOP', list, most)
  if not raws then return {} end
  if raws.err then error(raws.err) end
  local noted = string.sub(ARGV[5], (at - 1) % width + 1, (at - 1) % width + 1) == '1'
  local fields, scores, taken, broken = {}, {}, {}, {}
  for _, raw in ipairs(raws) do
    local tag, way = '', ''
    if noted then tag, way = read(raw) end
    if tag then
      taken[#taken + 1] = {at, tag, raw}
      if noted then
        fields[#fields + 1] = tag
        fields[#fields + 1] = '[' .. raw .. ', ' .. way .. ']'
        scores[#scores + 1] = now
        scores[#scores + 1] = tag
      end
    else
      broken[#broken + 1] = {raw, way}
    end
  end
  note(list, fields, scores, raws)
  for _, pair in ipairs(broken) do set_aside(list, pair[1], pair[2]) end
  room = room - #taken
  return taken
end

-- Which list gives how many: one each in turn, as one pop after the other would have it, or as many as there are.
local function shares(first)
  local lengths, given, left = {}, {}, room
  for at = first, first + width - 1 do
    lengths[at], given[at] = redis.call('LLEN', KEYS[3 + at]), 0
  end
  repeat
    local before = left
    for at = first, first + width - 1 do
      local more = math.min(left, lengths[at] - given[at])
      if turns then more = math.min(more, 1) end
      given[at], left = given[at] + more, left - more
    end
  until left == 0 or left == before
  return given
end

local function say(one)
  for part = 1, 3 do answer[#answer + 1] = one[part] end
end

local function take_one_priority(first)
  if width == 1 then
    for _, one in ipairs(take(first, room)) do say(one) end
    return
  end
  local given, found, longest = shares(first), {}, 0
  for at = first, first + width - 1 do
    found[at] = given[at] > 0 and take(at, given[at]) or {}
    longest = math.max(longest, #found[at])
    if not turns then
      for _, one in ipairs(found[at]) do say(one) end
    end
  end
  for turn = 1, turns and longest or 0 do
    for at = first, first + width - 1 do
      if found[at][turn] then say(found[at][turn]) end
    end
  end
end

local lists = #KEYS - 3
local first = 1
while room > 0 and first <= lists do
  take_one_priority(first)
  first = first + width
end
return answer
"""

SHA = hashlib.sha1(TAKE.encode(), usedforsecurity=False).hexdigest()
"""The name by which a server knows the script once it has seen it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerKeys:
    """
    The names of the keys on the server that belong to no queue.

    Attributes:
        unacked: The hash of the messages that are taken.
        index: When each was taken.
        dead: The list of messages that could not be read.
    """

    unacked: str
    index: str
    dead: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeRequest:
    """
    What the server is asked to do in one step.

    Attributes:
        queues: The queues to take from.
        lists: The keys of their lists: all of the first priority, then all of the next.
        noted: For each queue whether its messages are noted as taken; those of a consumer without acks are not.
        in_turns: Whether queues take turns; otherwise the first is emptied first.
        room: The most messages to take.
        acks: The delivery tags to acknowledge.
    """

    queues: Sequence[str]
    lists: Sequence[str]
    noted: Sequence[bool]
    in_turns: bool
    room: int
    acks: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingMessage:
    """
    A message that this consumer holds and has not delivered yet.

    Attributes:
        queue: The queue that it came from.
        list_key: The key of the list of that queue.
        tag: Its delivery tag; empty if it is not noted.
        raw: The message as it was in the list.
    """

    queue: str
    list_key: str
    tag: str
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenMessage:
    """A message that was set aside, and the reason."""

    reason: str
    raw: bytes


def arguments(keys: ServerKeys, request: TakeRequest, *, now: float) -> list[str | int | float]:
    """Return what follows `EVALSHA <sha>`: the number of keys, the keys and the rest."""
    all_keys = [keys.unacked, keys.index, keys.dead, *request.lists]
    numbers = request.room, int(request.in_turns), len(request.noted)
    noted = "".join(str(int(one)) for one in request.noted)
    # Written out: a client's own way to write floats could differ from that of kombu, which reads this.
    return [len(all_keys), *all_keys, repr(now), *numbers, noted, *request.acks]


def read_answer(request: TakeRequest, answer: Sequence[Any]) -> tuple[list[PendingMessage], list[BrokenMessage]]:
    """Return the messages that the script took, in the order to deliver them, and those that it set aside."""
    queues, lists = request.queues, request.lists
    taken, broken = [], []
    for at, word, raw in zip(answer[::3], answer[1::3], answer[2::3], strict=True):
        if at < 0:
            broken.append(BrokenMessage(reason=word.decode(errors="replace"), raw=raw))
        else:
            queue = queues[(at - 1) % len(queues)]
            taken.append(PendingMessage(queue=queue, list_key=lists[at - 1], tag=word.decode(), raw=raw))
    return taken, broken

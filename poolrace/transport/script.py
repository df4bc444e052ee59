"""The one step on the server that takes messages and notes them, as data: its text, its arguments, its answer."""

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
"""By what a server knows the script once it has seen it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """
    Where messages are, as the names of keys on the server.

    Attributes:
        unacked: The hash of what is taken.
        index: When each was taken.
        dead: The list of what could not be read.
    """

    unacked: str
    index: str
    dead: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """
    The lists to take from.

    Attributes:
        keys: All of the first priority, then all of the next.
        noted: For each queue whether its messages are noted as taken; those of a consumer without acks are not.
        turns: Whether queues take turns; otherwise the first is emptied first.
    """

    keys: Sequence[str]
    noted: Sequence[bool]
    turns: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """
    A message that this consumer now holds.

    Attributes:
        at: The place of its list among the keys.
        tag: Its delivery tag; empty if it is not noted.
        raw: As it was in the list.
    """

    at: int
    tag: str
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A message that was set aside, and why."""

    reason: str
    raw: bytes


def arguments(places: Places, lists: Lists, *, now: float, room: int, acks: Sequence[str]) -> list[str | int | float]:
    """What follows `EVALSHA <sha>`: the number of keys, the keys and the rest."""
    keys = [places.unacked, places.index, places.dead, *lists.keys]
    noted = "".join(str(int(one)) for one in lists.noted)
    # Written out: a client's own way to write floats could differ from that of kombu, which reads this.
    return [len(keys), *keys, repr(now), room, int(lists.turns), len(lists.noted), noted, *acks]


def read_answer(answer: Sequence[Any]) -> tuple[list[Taken], list[Broken]]:
    """What the script took, in the order to deliver it, and what it set aside."""
    taken, broken = [], []
    for at, word, raw in zip(answer[::3], answer[1::3], answer[2::3], strict=True):
        if at < 0:
            broken.append(Broken(reason=word.decode(errors="replace"), raw=raw))
        else:
            taken.append(Taken(at=at - 1, tag=word.decode(), raw=raw))
    return taken, broken

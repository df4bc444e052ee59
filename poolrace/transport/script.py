"""The script that takes messages and notes them in one step on the server: its text, its arguments, its answer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_DEAD = 10_000
"""The most messages that are kept of those that were set aside; the oldest go first."""

TAKE = (
    f"local MAX_DEAD = {MAX_DEAD}"
    r"""
-- KEYS: unacked, its index, the dead-letter list, the set of those that wait for their time, then the lists of the
-- queues: all of one priority, then of the next; then for each queue its lookout, its idle consumers and its wake list.
-- ARGV: now, room, the bytes to stop behind, '1' for turns or '0' for the order given, the number of queues, a digit
-- for each of them ('1': its messages are noted), the consumer's name, the messages that it holds, how long it is
-- remembered in seconds, '1' if it may be among those that wait, '1' if it left messages to others that are still
-- there, '1' if it found messages that nobody told it of, how many seconds before its time a message is given to
-- nobody (0: all are given), how many seconds before its time the note of such a one is dated, then the delivery tags
-- to acknowledge.
local unacked, index, dead = KEYS[1], KEYS[2], KEYS[3]
local now, room, bytes = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local turns, width, noted = ARGV[4] == '1', tonumber(ARGV[5]), ARGV[6]
local me, held, lease, counted = ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10] == '1'
local deserted, untold = ARGV[11] == '1', ARGV[12] == '1'
local early, back = tonumber(ARGV[13]), tonumber(ARGV[14])
local FIXED = 4  -- keys that belong to no queue
local lists = #KEYS - FIXED - 3 * width

if #ARGV > 14 then
  redis.call('ZREM', index, unpack(ARGV, 15))
  redis.call('HDEL', unacked, unpack(ARGV, 15))
end

-- Consumers that wait. One of them looks out on a queue; a token in its wake list wakes one of the others.
local function key_of(queue, part) return KEYS[FIXED + lists + 3 * (queue - 1) + part] end
local LOOKOUT, IDLE, WAKE = 1, 2, 3
local resigned = {}  -- for each queue on which nobody looks out now: whether it was this consumer that did

-- Who has emptied the lists waits, and looks out where nobody does. A server that is full refuses to note that, and
-- then it asks again after a while.
local function rest()
  local looks = {}
  for queue = 1, width do
    local lookout, idle = key_of(queue, LOOKOUT), key_of(queue, IDLE)
    looks[queue] = '0'
    if not resigned[queue] then
      local who = redis.call('GET', lookout)
      if (not who or who == me) and not redis.pcall('SET', lookout, me, 'EX', lease).err then looks[queue] = '1' end
    end
    redis.pcall('ZADD', idle, now + lease, me)
    if counted then  -- it has rested for a while
      redis.call('ZREMRANGEBYSCORE', idle, '-inf', now)
      redis.call('EXPIRE', idle, lease)
    end
  end
  return table.concat(looks)
end

-- Most steps of a fleet that has little to do find nothing. What they need stands first: a server makes all functions
-- of a script anew each time.
if me ~= '' and lists <= 1000 and redis.call('EXISTS', unpack(KEYS, FIXED + 1, FIXED + lists)) == 0 then
  return {0, rest()}
end

-- First 1 if the bytes ran out and 2 if messages were left to others, then a digit for each queue that this consumer
-- looks out on while it rests, then three parts for each message: a list, or less than 0 for what is no message.
local answer = {0, ''}
local failed

local function say(list, word, raw)
  answer[#answer + 1] = list
  answer[#answer + 1] = word
  answer[#answer + 1] = raw
end

-- An error ends the step, and what was taken before is handed over all the same.
local function fail(why) failed, room = why, 0 end

local function decoded(raw)
  -- Kombu writes the body first, in base64. It is most of a message, and nothing in it is needed here.
  if string.sub(raw, 1, 10) == '{"body": "' then
    local close = string.find(raw, '"', 11, true)
    if close and string.byte(raw, close - 1) ~= 92 and string.sub(raw, close, close + 2) == '", ' then
      local fine, rest = pcall(cjson.decode, '{' .. string.sub(raw, close + 3))
      if fine then
        if type(rest) == 'table' then rest.body = '' end
        return rest
      end
    end
  end
  local fine, message = pcall(cjson.decode, raw)
  if fine then return message end
  return nil, tostring(message)
end

local function number(value)
  if type(value) == 'number' and value % 1 == 0 and math.abs(value) < 2^53 then return string.format('%.0f', value) end
end

-- The name of an exchange, or a routing key, as JSON; nil if kombu could not put the message back by it.
local function name(value)
  if type(value) == 'string' or value == cjson.null then return cjson.encode(value) end
  return number(value)
end

-- Python reads what cjson does not: half of a surrogate pair, and what is nested deeply. The last of each name is that
-- of the properties; in a text, quotes would be escaped.
local function last(raw, field, ...)
  for _, pattern in ipairs({...}) do
    local found = string.match(raw, '^.*"' .. field .. '": ' .. pattern .. '[,}]')
    if found then return found end
  end
end

local function searched(raw, why)
  local tag = last(raw, 'delivery_tag', '"([^"\\]+)"', '(%d+)')
  local exchange = last(raw, 'exchange', '("[^"]*[^"\\]")', '("")', '(null)')
  local key = last(raw, 'routing_key', '("[^"]*[^"\\]")', '("")', '(%w+)')
  if tag and exchange and key then return tag, exchange .. ', ' .. key end
  return nil, why
end

-- Seconds since 1970 of a time as Celery writes it, with its zone; nil if it is anything else.
local function instant(text)
  if type(text) ~= 'string' then return end
  local date, fraction, zone = string.match(text, '^(%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d)(%.?%d*)(.+)$')
  if not date then return end
  local sign, hours, minutes = string.match(zone, '^([+-])(%d%d):(%d%d)$')
  if zone ~= 'Z' and not sign then return end
  local year, month, day, hour, minute, second = string.match(date, '^(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)$')
  -- Years that begin in March, in 400 years of 146,097 days; 719,468 days are from year 0 to 1970.
  local shifted = month <= '02' and year - 1 or tonumber(year)
  local of_year = math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1
  local days = 365 * shifted + math.floor(shifted / 4) - math.floor(shifted / 100) + math.floor(shifted / 400)
  local shift = sign and (sign .. '1') * (hours * 3600 + minutes * 60) or 0
  local rest = hour * 3600 + minute * 60 + second + (tonumber(fraction) or 0)
  return (days + of_year - 719468) * 86400 + rest - shift
end

-- What kombu needs of a message to note it, to hand it over and to put it back, and when it is due; or nil and why not.
local function read(raw)
  local message, why = decoded(raw)
  if why then return searched(raw, 'not JSON: ' .. why) end
  local properties = type(message) == 'table' and message.properties
  if type(properties) ~= 'table' then return nil, 'no properties' end
  local tag, way = properties.delivery_tag, properties.delivery_info
  if type(way) ~= 'table' then return nil, 'no delivery_info' end
  if way.exchange == nil or way.routing_key == nil then return nil, 'no exchange or routing_key' end
  local exchange, key = name(way.exchange), name(way.routing_key)
  if not exchange or not key then return searched(raw, 'exchange or routing_key is no text') end
  if type(tag) == 'number' then tag = number(tag) or last(raw, 'delivery_tag', '(%d+)') end
  if type(tag) ~= 'string' or tag == '' then return nil, 'no delivery_tag' end
  -- Celery ends with a message that has none.
  if type(message.body) ~= 'string' and type(message.body) ~= 'table' then return nil, 'no body' end
  local headers = early > 0 and type(message.headers) == 'table' and message.headers
  return tag, exchange .. ', ' .. key, headers and instant(headers.eta)
end

local function set_aside(list, raw, reason)
  local kept = redis.pcall('LPUSH', dead, cjson.encode({reason = reason, at = ARGV[1], key = list, message = raw}))
  local where = -1
  if type(kept) ~= 'table' then redis.call('LTRIM', dead, 0, MAX_DEAD - 1) end
  if type(kept) == 'table' then  -- no list to keep it in: it waits behind all others
    redis.call('LPUSH', list, raw)
    where, reason = -2, reason .. '; left in its queue: ' .. kept.err
  end
  say(where, reason, raw)
end

-- Messages popped from a list are noted before anything else happens; if that fails, they go back to their places. What
-- is not due for long is noted as if it had been taken when it is put back just in time.
local function note(list, fields, scores, deferred, popped)
  if #fields == 0 then return true end
  local kept = redis.pcall('HSET', unacked, unpack(fields))
  if type(kept) ~= 'table' then kept = redis.pcall('ZADD', index, unpack(scores)) end
  if type(kept) ~= 'table' then
    if #deferred > 0 then redis.pcall('SADD', KEYS[4], unpack(deferred)) end
    return true
  end
  for at = #popped, 1, -1 do redis.call('RPUSH', list, popped[at]) end
  fail(kept.err)
end

local waiting, found, handed = {}, {}, {}

-- Who should have told of messages and did not looks out no longer; if it lives, it will be back.
local function dismiss(queue)
  local lookout = key_of(queue, LOOKOUT)
  local who = redis.call('GET', lookout)
  if not who or who == me then return end
  redis.call('DEL', lookout)
  redis.call('ZREM', key_of(queue, IDLE), who)
  resigned[queue] = false
end

-- How many others wait for messages of a queue, asked when it has some. A token that nobody has taken for a while is
-- for some that have died: who waits would have had it at once.
local function others(queue)
  if not waiting[queue] then
    local idle, wake = key_of(queue, IDLE), key_of(queue, WAKE)
    if deserted and redis.call('LLEN', wake) > 0 then redis.call('DEL', idle, wake) end
    redis.call('ZREM', idle, me)
    waiting[queue] = redis.call('ZCOUNT', idle, now, '+inf')
  end
  return waiting[queue]
end

-- How many messages of a list this consumer may take, so that those who wait get as many.
local function quota(queue, length)
  if length == 0 or me == '' then return length end
  found[queue] = (found[queue] or 0) + length
  local share = math.ceil((length + held) / (others(queue) + 1)) - held
  return waiting[queue] == 0 and length or math.max(0, math.min(length, share))
end

-- Who has something to do lets another one look out, and wakes it.
local function hand_over(queue)
  local left = found[queue] - (handed[queue] or 0)
  if waiting[queue] == 0 then return false end
  local lookout = key_of(queue, LOOKOUT)
  if redis.call('GET', lookout) == me then
    redis.call('DEL', lookout)
    resigned[queue] = true
  end
  local wake = key_of(queue, WAKE)
  if left > 0 or resigned[queue] ~= nil then
    local tokens = redis.call('LLEN', wake)
    if tokens < waiting[queue] then redis.pcall('LPUSH', wake, '') end
    if tokens > 0 then redis.pcall('EXPIRE', wake, lease) end  -- those for whom it is may be dead
  end
  return left > 0
end

-- Who has no room, or asks again at once, does not wait; nor does it look out, on any queue.
local function step_back(queue)
  local lookout, idle, wake = key_of(queue, LOOKOUT), key_of(queue, IDLE), key_of(queue, WAKE)
  redis.call('ZREM', idle, me)
  if redis.call('GET', lookout) == me then
    redis.call('DEL', lookout)
    if redis.call('ZCARD', idle) > 0 then redis.pcall('LPUSH', wake, '') end
  end
end

-- What a message counts for at least: to read many small ones takes time, too.
local LEAST_BYTES = 2600

local function take(at, most)
  local list = KEYS[FIXED + at]
  local is_noted = string.sub(noted, (at - 1) % width + 1, (at - 1) % width + 1) == '1'
  local fields, scores, popped, taken, deferred, broken = {}, {}, {}, {}, {}, {}
  while #taken < most and bytes > 0 do  -- one by one: who could say how large the next ones are
    local raw = redis.pcall('RPOP', list)
    if not raw then break end
    if type(raw) == 'table' then fail(raw.err) break end
    bytes = bytes - math.max(#raw, LEAST_BYTES)
    local tag, way, due = '', ''
    if is_noted then tag, way, due = read(raw) end
    if not tag then
      broken[#broken + 1] = {raw, way}
    else
      local is_early = due and due - now > early
      if is_early then deferred[#deferred + 1] = tag else taken[#taken + 1] = {at, tag, raw} end
      -- A stock node that has put it back knows nothing of the set.
      if due and not is_early then redis.call('SREM', KEYS[4], tag) end
      popped[#popped + 1] = raw
      if is_noted then
        fields[#fields + 1] = tag
        fields[#fields + 1] = '[' .. raw .. ', ' .. way .. ']'
        scores[#scores + 1] = is_early and due - back or ARGV[1]
        scores[#scores + 1] = tag
      end
    end
  end
  if not note(list, fields, scores, deferred, popped) then taken, deferred = {}, {} end
  local queue = (at - 1) % width + 1
  held, handed[queue] = held + #taken, (handed[queue] or 0) + #taken + #deferred + #broken
  for _, pair in ipairs(broken) do set_aside(list, pair[1], pair[2]) end
  room = room - #taken
  return taken
end

-- Which list gives how many: one each in turn, as one pop after the other would have it, or as many as there are.
local function shares(first)
  local lengths, given, left = {}, {}, room
  for at = first, first + width - 1 do
    local length = redis.pcall('LLEN', KEYS[FIXED + at])
    if type(length) == 'table' then fail(length.err) return nil end
    lengths[at], given[at] = quota((at - 1) % width + 1, length), 0
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

local function take_one_priority(first)
  local taken, longest = {}, 0
  local given = shares(first)
  for at = first, given and first + width - 1 or 0 do
    taken[at] = given[at] > 0 and room > 0 and take(at, given[at]) or {}
    longest = math.max(longest, #taken[at])
    if not turns then
      for _, one in ipairs(taken[at]) do say(unpack(one)) end
    end
  end
  for turn = 1, turns and longest or 0 do
    for at = first, first + width - 1 do
      if taken[at][turn] then say(unpack(taken[at][turn])) end
    end
  end
end

local first = 1
while room > 0 and bytes > 0 and first <= lists do
  take_one_priority(first)
  first = first + width
end
if failed then
  if #answer == 2 then return redis.error_reply(failed) end
  say(-3, failed, '')
elseif me ~= '' then
  local left = false
  for queue = 1, width do
    if found[queue] then
      if untold then dismiss(queue) end
      left = hand_over(queue) or left
    end
  end
  answer[1] = bytes <= 0 and 1 or left and 2 or 0
  if room > 0 and bytes > 0 and not left then
    answer[2] = rest()
  elseif counted then
    for queue = 1, width do
      if (waiting[queue] or 0) == 0 then step_back(queue) end  -- else it has handed over
    end
  end
end
return answer
"""
)

MAX_BYTES = 1 << 20
"""A step ends behind the message that makes it this many bytes: the server does nothing else meanwhile."""

LEASE_S = 40.0
"""A consumer that has not asked for so long counts no more as one that waits, or looks out."""

NOT_KEPT, LEFT, FAILED = -1, -2, -3
"""In the place of a list's number: a message set aside, one that could not be and is in its queue again, an error."""

LEAVE = """
-- KEYS: a queue's lookout, its idle consumers and its wake list. ARGV: the consumer's name, how long a token lasts.
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
  if redis.call('ZCARD', KEYS[2]) > 0 then
    redis.call('LPUSH', KEYS[3], '')
    redis.call('EXPIRE', KEYS[3], ARGV[2])
  end
end
"""
"""Has another one look out in the place of a consumer that leaves."""

SHA = hashlib.sha1(TAKE.encode(), usedforsecurity=False).hexdigest()
"""The name by which a server knows the script once it has seen it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerKeys:
    """
    The names of the keys on the server that belong to no queue.

    Attributes:
        unacked: The hash of the messages that are taken.
        index: When each was taken.
        dead: The list of messages that were set aside.
        deferred: The set of the messages that are noted until they are due.
        restorer: Who puts messages back at present.
    """

    unacked: str
    index: str
    dead: str
    deferred: str
    restorer: str


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
        waits: For each queue in turn the keys of its lookout, its idle consumers and its wake list.
        held: The messages that this consumer holds already.
        counted: Whether it may be counted among those that wait.
        deserted: Whether it left messages to others that have not come for them.
        untold: Whether it found messages that it should have been told of.
        early_s: How long before its time a message is given to nobody; 0 if all are given.
        back_s: How long before its time the note of such a message is dated.
    """

    queues: Sequence[str]
    lists: Sequence[str]
    noted: Sequence[bool]
    in_turns: bool
    room: int
    acks: Sequence[str]
    waits: Sequence[str]
    held: int = 0
    counted: bool = True
    deserted: bool = False
    untold: bool = False
    early_s: float = 0.0
    back_s: float = 0.0


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


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeAnswer:
    """
    What one step did.

    Attributes:
        taken: The messages that it took, in the order to deliver them.
        broken: Those that it found unreadable.
        more: Whether it stopped because of their size, so that there may be more.
        stuck: Whether one of the unreadable ones could not be set aside, and is in its queue again.
        shared: Whether messages are left to others that wait for them.
        looks_out: The queues that this consumer looks out on, now that it found nothing; None if it does not wait.
        error: Why it took no more; empty if nothing went wrong.
    """

    taken: list[PendingMessage]
    broken: list[BrokenMessage]
    more: bool = False
    stuck: bool = False
    shared: bool = False
    looks_out: list[str] | None = None
    error: str = ""


def arguments(keys: ServerKeys, request: TakeRequest, *, now: float, name: str) -> list[str | int | float]:
    """Return what follows `EVALSHA <sha>`: the number of keys, the keys and the rest; `name` is the consumer's."""
    all_keys = [keys.unacked, keys.index, keys.dead, keys.deferred, *request.lists, *request.waits]
    noted = "".join(str(int(one)) for one in request.noted)
    return [
        len(all_keys),
        *all_keys,
        # Written out: a client's own way to write floats could differ from that of kombu, which reads this.
        repr(now),
        request.room,
        MAX_BYTES,
        int(request.in_turns),
        len(request.noted),
        noted,
        name,
        request.held,
        round(LEASE_S),
        int(request.counted),
        int(request.deserted),
        int(request.untold),
        request.early_s,
        request.back_s,
        *request.acks,
    ]


def read_answer(request: TakeRequest, answer: Sequence[Any]) -> TakeAnswer:
    """Return what the script did, from its answer."""
    state, looks, *parts = answer
    taken, broken, stuck, failed = [], [], False, ""
    for at, word, raw in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        if at > 0:
            queue, tag = request.queues[(at - 1) % len(request.queues)], word.decode(errors="surrogateescape")
            taken.append(PendingMessage(queue=queue, list_key=request.lists[at - 1], tag=tag, raw=raw))
        elif at == FAILED:
            failed = word.decode(errors="replace")
        else:
            broken.append(BrokenMessage(reason=word.decode(errors="replace"), raw=raw))
            stuck = stuck or at == LEFT
    looking = dict(zip(request.queues, looks.decode(), strict=True)) if looks else None
    return TakeAnswer(
        taken=taken,
        broken=broken,
        more=state == 1,
        shared=state == 2,
        looks_out=looking if looking is None else [queue for queue, digit in looking.items() if digit == "1"],
        stuck=stuck,
        error=failed,
    )

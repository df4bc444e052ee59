"""Several results on the server in one step, each as Celery stores one."""

from __future__ import annotations

from hashlib import sha1

STORE = """
-- KEYS: of each result its key.
-- ARGV: of each result how long it is kept, in seconds, 0 for ever; and its text.
local left = {}
for number = 1, #KEYS do
  local expires, text = ARGV[2 * number - 1], ARGV[2 * number]
  local before = redis.pcall('GETRANGE', KEYS[number], 0, 31)
  local why
  if type(before) ~= 'string' or (before ~= '' and not string.find(before, '^{"status":%s*"')) then
    why = ''  -- only Celery can read what is there
  elseif not string.find(before, '^{"status":%s*"SUCCESS"') then
    -- What has succeeded stays so: a job that was lost and run again does not overwrite it.
    local done
    if expires == '0' then
      done = redis.pcall('SET', KEYS[number], text)
    else
      done = redis.pcall('SETEX', KEYS[number], expires, text)
    end
    if not done.err then
      done = redis.pcall('PUBLISH', KEYS[number], text)
    end
    if type(done) == 'table' and done.err then
      why = done.err
    end
  end
  if why then
    left[#left + 1] = number - 1
    left[#left + 1] = why
  end
end
return left
"""
"""
Stores results that are no successes yet, and tells those who wait for them.

Returns the number of each result that was not stored, from 0, and the error; an empty one if there is something that is
not in the form of these results. Done twice it does no harm, so a step whose answer was lost is sent again.
"""

SHA = sha1(STORE.encode()).hexdigest()  # noqa: S324 # by which the server knows it

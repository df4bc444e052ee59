"""Several results on the server in one step, each as Celery stores one."""

from __future__ import annotations

from hashlib import sha1

STORE = """
-- KEYS: of each result its key.
-- ARGV: of each result how long it is kept, in seconds, 0 for ever; and its text.
local refused = {}
for number = 1, #KEYS do
  local expires, text = ARGV[2 * number - 1], ARGV[2 * number]
  local before = redis.pcall('GETRANGE', KEYS[number], 0, 31)
  -- What has succeeded stays so: a job that was lost and run again does not overwrite it.
  if type(before) ~= 'string' or not string.find(before, '^{"status":%s*"SUCCESS"') then
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
      refused[#refused + 1] = number - 1
      refused[#refused + 1] = done.err
    end
  end
end
return refused
"""
"""
Stores results that are no successes yet, and tells those who wait for them.

Returns the number of each result that was refused, from 0, and the error. Done twice it does no harm, so a step whose
answer was lost is sent again.
"""

SHA = sha1(STORE.encode()).hexdigest()  # noqa: S324 # by which the server knows it

#!/bin/sh
# healthy CHECK...: every second until CHECK has passed once, from then on every minute.
#
# Docker has this from release 25 on, as start_interval, and refuses that setting before. With an interval of one second
# and a check that waits by itself, every release does it; what waits is `sleep`, which costs nothing.
passed=/tmp/.healthy
[ ! -e "$passed" ] || sleep "${HEALTHY_EVERY_S:-60}"
if "$@"; then
  touch "$passed"
else
  rm -f "$passed"
  exit 1
fi

"""What kills, cuts, restarts, failovers and rubbish leave of the jobs of real nodes: all of them."""

import json
import signal
import subprocess
import sys

import pytest

from benchmarks.counted import PREFETCH, SLOTS
from benchmarks.kills import Kind, measure

POOLS = pytest.mark.parametrize("pool", ["threads", "prefork"])
KILLS = 5


@POOLS
@pytest.mark.parametrize(("acks", "lost"), [("late", 0), ("early", SLOTS)])
def test_a_kill_loses_and_repeats_no_more_than_it_may(pool, acks, lost):
    toll = measure(Kind(pool=pool, transport="atomic", acks=acks), kills=KILLS)
    assert toll.faults() == []
    assert toll.most("lost") <= lost
    assert toll.most("held") <= PREFETCH
    assert toll.most("repeated") <= PREFETCH
    assert all(kill.queued and kill.begun for kill in toll.ledger.kills)  # each was killed at work
    assert toll.ended == []


def test_an_interrupt_keeps_what_was_counted():
    command = [sys.executable, "-m", "benchmarks.kills", "--kills", "1000", "--pool", "threads", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert "10 kills" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        [toll] = json.loads(process.communicate(timeout=30)[0])
    assert process.returncode == 130
    assert len(toll["kills"]["lost"]) >= 10
    assert (toll["finished"], toll["faults"]) == (False, [])

"""Every message is in exactly one place, whatever consumers on either transport do."""

import json
import socket
import time
from collections import Counter
from contextlib import suppress

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from integration.test_transport import ATOMIC, STOCK, Bench

PREFETCH = 3
QUEUES = ("jobs", "more")
STEPS = (0, 5)
SETTLE_S = 5.0


def machine_on(bench):  # noqa: C901 - a rule is a method
    class Messages(RuleBasedStateMachine):
        """Consumers of the atomic transport and of kombu's, on two queues."""

        atomic, stock = Bundle("atomic"), Bundle("stock")
        either = st.one_of(atomic, atomic, stock)

        def __init__(self):
            super().__init__()
            bench.client.flushdb()
            bench.connection.default_channel.state.clear()
            bench.connection.declared_entities.clear()
            self.sent, self.done = set(), Counter()
            self.opened, self.alive = [], []

        @initialize(target=atomic)
        def begin(self):
            self.publish("jobs", 0, 2 * PREFETCH)
            return self.start(ATOMIC)

        @rule(target=atomic)
        def start_atomic(self):
            return self.start(ATOMIC)

        @rule(target=stock)
        def start_stock(self):
            return self.start(STOCK)

        def start(self, kind):
            context = bench.consumer(kind, *QUEUES, prefetch=PREFETCH)
            holder = context.__enter__()
            self.opened.append(context)
            self.alive.append(holder)
            return holder

        @rule(queue=st.sampled_from(QUEUES), priority=st.sampled_from(STEPS), count=st.integers(1, 5))
        def publish_some(self, queue, priority, count):
            self.publish(queue, priority, count)

        def publish(self, queue, priority, count):
            bodies = range(len(self.sent), len(self.sent) + count)
            bench.send(*bodies, queue=queue, priority=priority)
            self.sent.update(bodies)

        @rule(holder=either, forgotten=st.booleans())
        def fetch(self, holder, forgotten):
            """Also from a server that has lost the script."""
            if forgotten:
                bench.client.script_flush()
            holder.drain(PREFETCH, for_s=0.01)
            assert len(holder.got) <= PREFETCH

        @rule(holder=either, at=st.integers(0, PREFETCH - 1))
        def ack(self, holder, at):
            if at < len(holder.got):
                message = holder.got.pop(at)
                message.ack()
                self.done[message.decode()] += 1

        @rule(holder=atomic)
        def ack_all_at_once(self, holder):
            """As an event loop does: gathered, then in one step with the next fetch."""
            self.gather_acks(holder)
            holder.drain(PREFETCH, for_s=0.01)

        def gather_acks(self, holder):
            while holder.got:
                message = holder.got.pop()
                message._state = "ACK"
                holder.channel.acks.add(message.delivery_tag)
                holder.channel.qos._dirty.add(message.delivery_tag)
                self.done[message.decode()] += 1

        @rule(holder=either)
        def reject(self, holder):
            if holder.got:
                message = holder.got.pop()
                message.reject()
                self.done[message.decode()] += 1

        @rule(holder=either)
        def requeue(self, holder):
            if holder.got:
                holder.got.pop().requeue()

        @rule(holder=atomic, served=st.booleans())
        def cut(self, holder, served):
            """A connection ends before the server did what it was asked, or after it and before its answer is read."""
            holder.drain(PREFETCH, for_s=0.01)
            self.gather_acks(holder)
            ask_and_lose_the_answer(holder.channel, served=served)

        @rule(holder=st.one_of(consumes(atomic), consumes(stock)))
        def kill(self, holder):
            self.alive.remove(holder)
            holder.die()

        @rule(holder=st.one_of(consumes(atomic), consumes(stock)))
        def close(self, holder):
            self.alive.remove(holder)
            holder.dead = True
            holder.channel.close()

        @rule()
        def restore(self):
            """As after the visibility timeout, of what dead consumers held."""
            for holder in self.alive:
                finish_asking(holder)
            mine = {message.delivery_tag for holder in self.alive for message in holder.got}
            channel = bench.connection.default_channel
            for tag in bench.client.hkeys("unacked"):
                if tag.decode() not in mine:
                    channel.qos.restore_by_tag(tag.decode())

        @invariant()
        def each_message_is_in_one_place(self):
            # What is acknowledged and not yet sent is done for the consumer; the server learns of it later.
            for holder in self.alive:
                if hasattr(holder.channel, "acks"):
                    holder.channel.acks.flush()
            # What was asked of the server and not yet answered may not be done yet: it has a moment to settle.
            deadline = time.monotonic() + SETTLE_S
            while self.places() != Counter(self.sent) and time.monotonic() < deadline:
                time.sleep(0.01)
            assert self.places() == Counter(self.sent)
            assert bench.held() == bench.client.hlen("unacked")

        def places(self):
            """How often each message is in a queue, noted as taken, or done."""
            places = Counter(self.done)
            for entry in bench.client.hvals("unacked"):
                places[body_of(entry)] += 1
            for queue in QUEUES:
                for step in STEPS:
                    key = bench.connection.default_channel._q_for_pri(queue, step)
                    places.update(body_of(b"[" + raw + b"]") for raw in bench.client.lrange(key, 0, -1))
            return places

        def teardown(self):
            for context in reversed(self.opened):
                context.__exit__(None, None, None)

    def finish_asking(holder):
        """Read the answer that a fetch on a busy machine did not wait for: its messages are held already."""
        channel = holder.channel
        while hasattr(channel, "acks") and (channel.delivery or (channel._in_poll and not channel.is_waiting)):
            with suppress(TimeoutError):
                holder.connection.drain_events(timeout=0.05)

    def ask_and_lose_the_answer(channel, *, served):
        cycle = channel.connection.cycle
        if not cycle._client_registered(channel, channel.client, "BRPOP"):
            cycle._register_BRPOP(channel)
            while channel._in_poll:
                channel._read()
        connection = channel.client.connection
        channel._may_have_messages = True
        if not served:
            connection._sock.shutdown(socket.SHUT_RDWR)
        with suppress(channel.connection_errors):
            channel._brpop_start()
            assert connection.can_read(timeout=5)
        connection.disconnect()

    def body_of(entry):
        channel = bench.connection.default_channel
        return channel.Message(json.loads(entry)[0], channel=channel).decode()

    return Messages


@pytest.mark.timeout(120)
def test_each_message_is_in_exactly_one_place(site):
    bench = Bench(site, polling_interval=0.01, priority_steps=STEPS)  # or the close of a stock consumer takes a second
    run_state_machine_as_test(
        machine_on(bench),
        settings=settings(max_examples=50, stateful_step_count=20, deadline=None, database=None, derandomize=True),
    )
    bench.connection.release()

"""Every message is in exactly one place, whatever consumers on either transport do."""

import json
from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from integration.test_transport import ATOMIC, STOCK, Bench

PREFETCH = 3
QUEUES = ("jobs", "more")
STEPS = (0, 5)


def machine_on(bench):  # noqa: C901 - a rule is a method
    class Messages(RuleBasedStateMachine):
        """Two consumers of the atomic transport and one of kombu's, on two queues."""

        consumers = Bundle("consumers")

        def __init__(self):
            super().__init__()
            bench.client.flushdb()
            bench.connection.default_channel.state.clear()
            bench.connection.declared_entities.clear()
            self.sent, self.done = set(), Counter()
            self.opened, self.alive = [], []

        @rule(target=consumers, kind=st.sampled_from([ATOMIC, ATOMIC, STOCK]))
        def start(self, kind):
            context = bench.consumer(kind, *QUEUES, prefetch=PREFETCH)
            holder = context.__enter__()
            self.opened.append(context)
            self.alive.append(holder)
            return holder

        @rule(queue=st.sampled_from(QUEUES), priority=st.sampled_from(STEPS), count=st.integers(1, 5))
        def publish(self, queue, priority, count):
            bodies = range(len(self.sent), len(self.sent) + count)
            bench.send(*bodies, queue=queue, priority=priority)
            self.sent.update(bodies)

        @rule(holder=consumers)
        def fetch(self, holder):
            if holder in self.alive:
                holder.drain(PREFETCH, for_s=0.01)
                assert len(holder.got) <= PREFETCH

        @rule(holder=consumers, at=st.integers(0, PREFETCH - 1))
        def ack(self, holder, at):
            if holder in self.alive and at < len(holder.got):
                message = holder.got.pop(at)
                message.ack()
                self.done[message.decode()] += 1

        @rule(holder=consumers)
        def ack_all_at_once(self, holder):
            """As an event loop does: gathered, then in one step with the next fetch."""
            if holder in self.alive and hasattr(holder.channel, "_acks"):
                while holder.got:
                    message = holder.got.pop()
                    message._state = "ACK"
                    holder.channel._acks.append(message.delivery_tag)
                    holder.channel.qos._dirty.add(message.delivery_tag)
                    self.done[message.decode()] += 1
                holder.drain(PREFETCH, for_s=0.01)

        @rule(holder=consumers)
        def reject(self, holder):
            if holder in self.alive and holder.got:
                message = holder.got.pop()
                message.reject()
                self.done[message.decode()] += 1

        @rule(holder=consumers)
        def requeue(self, holder):
            if holder in self.alive and holder.got:
                holder.got.pop().requeue()

        @rule(holder=consumers)
        def kill(self, holder):
            if holder in self.alive:
                self.alive.remove(holder)
                holder.die()

        @rule(holder=consumers)
        def close(self, holder):
            if holder in self.alive:
                self.alive.remove(holder)
                holder.dead = True
                holder.channel.close()

        @rule()
        def restore(self):
            """As after the visibility timeout, of what dead consumers held."""
            mine = {message.delivery_tag for holder in self.alive for message in holder.got}
            channel = bench.connection.default_channel
            for tag in bench.client.hkeys("unacked"):
                if tag.decode() not in mine:
                    channel.qos.restore_by_tag(tag.decode())

        @invariant()
        def each_message_is_in_one_place(self):
            # What is acknowledged and not yet sent is done for the consumer; the server learns of it later.
            for holder in self.alive:
                if hasattr(holder.channel, "flush"):
                    holder.channel.flush()
            places = Counter(self.done)
            for entry in bench.client.hvals("unacked"):
                places[body_of(entry)] += 1
            for queue in QUEUES:
                for step in STEPS:
                    key = bench.connection.default_channel._q_for_pri(queue, step)
                    places.update(body_of(b"[" + raw + b"]") for raw in bench.client.lrange(key, 0, -1))
            assert places == Counter(self.sent)
            assert bench.held() == bench.client.hlen("unacked")

        def teardown(self):
            for context in reversed(self.opened):
                context.__exit__(None, None, None)

    def body_of(entry):
        channel = bench.connection.default_channel
        return channel.Message(json.loads(entry)[0], channel=channel).decode()

    return Messages


@pytest.mark.timeout(30)
def test_each_message_is_in_exactly_one_place(site):
    bench = Bench(site, polling_interval=0.01, priority_steps=STEPS)  # or the close of a stock consumer takes a second
    run_state_machine_as_test(
        machine_on(bench),
        settings=settings(max_examples=50, stateful_step_count=20, deadline=None, database=None, derandomize=True),
    )
    bench.connection.release()

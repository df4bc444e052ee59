"""What the transport's speed rests on: an exact window, and acknowledgements that are gathered but never kept."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier

import pytest
import redis
from integration.commands import until
from integration.test_transport import ATOMIC, Bench

from benchmarks.account import Account
from benchmarks.busy import QUEUE, SLOTS, command, environment, make_app, send

PREFORK = pytest.param("prefork", marks=pytest.mark.heavy)
POOLS = pytest.mark.parametrize("pool", ["threads", PREFORK, pytest.param("solo", marks=pytest.mark.heavy)])
CONCURRENT = pytest.mark.parametrize("pool", ["threads", PREFORK])


class Post:
    """A broker, an app that sends to it, and one atomic node."""

    def __init__(self, site, node):
        self.client, self.node = site.client, node
        self.app = make_app(site.broker.url)

    def start_job(self, key, name="busy.until"):
        """A job that has begun, and ends when told."""
        self.app.send_task(name, args=(key,))
        assert self.client.blpop(f"{key}.begun", 20)

    def end_job(self, key):
        self.client.rpush(key, 1)

    def left(self):
        """Jobs that are queued or held."""
        return self.client.llen(QUEUE) + self.client.hlen("unacked")


@contextmanager
def post_with(site, tmp_path, pool, *flags):
    site.client.flushdb()
    with (tmp_path / "log").open("wb") as log:
        node = subprocess.Popen(
            [*command(pool), *flags],
            env=environment(site.broker.url, "atomic"),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    post = Post(site, node)
    try:
        until(lambda: node.poll() or post.app.control.ping(timeout=0.25))
        yield post
    finally:
        for key in "ab":
            post.end_job(key)
        node.terminate()
        node.wait(30)
    assert b"Traceback" not in (tmp_path / "log").read_bytes()


@CONCURRENT
def test_a_node_never_holds_more_than_its_slots_without_prefetch(site, tmp_path, pool):
    """Looked at as often as the server answers, while it is as busy as it can be."""
    with post_with(site, tmp_path, pool, "--prefetch-multiplier", "1") as post:
        send(post.app, "busy.noop", range(1500))
        held = []
        with site.client.pipeline() as pipe:
            while not held or pipe.llen(QUEUE).execute()[0]:
                held += pipe.hlen("unacked").zcard("unacked_index").execute()
        until(lambda: not post.left())
    assert max(held) == SLOTS


@POOLS
def test_an_acknowledgement_does_not_wait_for_the_next_message(site, tmp_path, pool):
    """Two jobs are held and nothing else is there to be fetched; one has ended."""
    with post_with(site, tmp_path, pool) as post:
        post.app.send_task("busy.noop")
        post.start_job("a")
        until(lambda: post.left() == 1)
        assert post.client.hlen("unacked") == 1


def test_what_came_together_is_acknowledged_one_by_one_where_jobs_run_in_the_loop(site, tmp_path):
    """Three jobs were fetched at once; two have ended, and the last one runs."""
    with post_with(site, tmp_path, "solo", "--prefetch-multiplier", "8") as post:
        with post.app.producer_pool.acquire() as producer, producer.batch(3):
            for name, args in (("busy.noop", ()), ("busy.noop", ()), ("busy.until", ("a",))):
                post.app.send_task(name, args=args, producer=producer)
        assert post.client.blpop("a.begun", 20)
        assert post.client.hlen("unacked") == 1


@CONCURRENT
def test_an_early_acknowledgement_is_there_while_the_job_runs(site, tmp_path, pool):
    with post_with(site, tmp_path, pool) as post:
        post.start_job("a", "busy.until_early")
        until(lambda: post.left() == 0)


def test_an_acknowledgement_does_not_wait_for_the_end_of_a_node_that_stops(site, tmp_path):
    """The loop has ended, and one job still runs. On threads Celery itself hands acknowledgements over at the end."""
    with post_with(site, tmp_path, "prefork") as post:
        post.start_job("a")
        post.start_job("b")
        post.node.terminate()
        until(lambda: not post.app.control.ping(timeout=0.5))
        post.end_job("a")
        until(lambda: post.left() == 1)
        assert post.node.poll() is None
    assert post.left() == 0


def test_what_ended_while_a_node_stopped_is_acknowledged_in_the_end(site, tmp_path):
    with post_with(site, tmp_path, "threads") as post:
        post.start_job("a")
        post.start_job("b")
        post.node.terminate()
    assert post.left() == 0


def test_where_no_loop_turns_each_acknowledgement_is_sent_at_once(site):
    bench = Bench(site)
    bench.send(1, 2, 3)
    with bench.consumer(ATOMIC) as holder:
        holder.drain(3)
        for left in (2, 1, 0):
            holder.got.pop().ack()
            assert bench.held() == left
    bench.connection.release()


def test_many_acknowledge_at_once_with_few_connections_where_no_loop_turns(site):
    bench = Bench(site)
    bench.send(*range(100))
    with bench.consumer(ATOMIC, prefetch=50, max_connections=2) as holder, ThreadPoolExecutor(50) as together:
        assert len(holder.drain(50)) == 50
        all_there = Barrier(50)

        def ack(message):
            all_there.wait()
            message.ack()

        list(together.map(ack, holder.got))
        assert bench.held() == 0
        holder.got.clear()
        assert len(holder.drain(50)) == 50
        holder.ack()
    bench.connection.release()


def test_an_acknowledgement_that_could_not_be_sent_leaves_the_window_and_goes_with_the_next(site, monkeypatch):
    bench = Bench(site)
    bench.send(1, 2, 3)
    with bench.consumer(ATOMIC, prefetch=1) as holder:
        holder.drain(1)
        with monkeypatch.context() as broken:
            broken.setattr(holder.channel, "_create_client", lose_connection)
            with pytest.raises(redis.ConnectionError):
                holder.got[0].ack()
        holder.got.clear()
        assert holder.drain(1) == [2]
        assert bench.held() == 1
        holder.ack()
    bench.connection.release()


def lose_connection():
    raise redis.ConnectionError


@CONCURRENT
def test_a_backlog_costs_the_broker_less_than_three_commands_a_job(site, tmp_path, pool):
    """Those within scripts too; publishing is one more."""
    jobs = 1000
    with post_with(site, tmp_path, pool) as post:
        before = Account.of(site.client, atomic=True)
        send(post.app, "busy.noop", range(jobs))
        until(lambda: not post.left())
        spent = Account.of(site.client, atomic=True).since(before)
    assert jobs < spent.commands < jobs + 3 * jobs

"""Lines of a ledger come from a list on a real broker into a file, each once, whatever happens to the broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from celery import Celery

from poolrace import effects
from poolrace.effects_queue import effects_list
from producer.deadlines import until
from producer.fleet.embedded import EmbeddedServer
from producer.fleet.processes import Processes
from producer.measure.effects_collector import EffectsCollector

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "0a1b2c3d"


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    with Processes() as processes:
        yield EmbeddedServer(processes, processes.folder(), aof=True)


@pytest.fixture
def collector(server: EmbeddedServer, tmp_path: Path) -> Iterator[EffectsCollector]:
    with Celery("drill", broker=server.broker.url, set_as_current=False) as app:
        yield EffectsCollector(TOKEN, tmp_path / "effects", app.connection_for_read)


def push(server: EmbeddedServer, *lines: str) -> None:
    with server.client() as client:
        client.rpush(effects_list(TOKEN), *lines)


def jobs(tmp_path: Path) -> list[str]:
    return [note.job for note in effects.Ledger(tmp_path / "effects").notes()]


def test_a_line_is_kept_once_though_it_was_sent_twice(
    server: EmbeddedServer, collector: EffectsCollector, tmp_path: Path
) -> None:
    first, second = (effects.line(f"job-{number}", effects.DONE, "a@one") for number in (1, 2))
    with collector:
        push(server, first, first)
        assert until(lambda: jobs(tmp_path), 10)
        push(server, first, second)
        assert until(lambda: len(jobs(tmp_path)) > 1, 10)
    assert jobs(tmp_path) == ["job-1", "job-2"]


def test_what_came_last_is_taken_when_it_is_left_and_nothing_stays_on_the_broker(
    server: EmbeddedServer, collector: EffectsCollector, tmp_path: Path
) -> None:
    with collector:
        push(server, *(effects.line(f"job-{number}", effects.DONE, "a@one") for number in range(300)))
    assert len(jobs(tmp_path)) == 300
    with server.client() as client:
        assert client.exists(effects_list(TOKEN)) == 0


def test_it_goes_on_after_the_broker_was_away(
    server: EmbeddedServer, collector: EffectsCollector, tmp_path: Path
) -> None:
    with collector:
        push(server, effects.line("job-1", effects.BEGUN, "a@one"))
        assert until(lambda: jobs(tmp_path), 10)
        server.kill()
        server.start_again()
        push(server, effects.line("job-1", effects.DONE, "a@one"))
        assert until(lambda: len(jobs(tmp_path)) > 1, 30)

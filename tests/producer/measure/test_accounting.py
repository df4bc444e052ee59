"""What a drill takes of the logs of its nodes."""

from __future__ import annotations

from producer.measure.accounting import MAX_SAID, warnings_in


def test_warnings_and_errors_are_taken_once_and_without_the_folders_of_a_machine() -> None:
    lines = [
        "[2026-01-31 12:00:00,000: WARNING/MainProcess] Connection lost: /home/me/app/redis.py",
        "[2026-01-31 12:00:01,000: INFO/MainProcess] All is well",
        "[2026-01-31 12:00:02,000: WARNING/MainProcess] Connection lost: /home/me/app/redis.py",
        "redis.exceptions.ConnectionError: gone",
    ]
    assert warnings_in(lines) == ["Connection lost: …/redis.py", "redis.exceptions.ConnectionError: gone"]


def test_a_warning_without_a_word_is_left_out() -> None:
    assert warnings_in(["[2026-01-31 12:00:00,000: WARNING/MainProcess]", "[…: ERROR/MainProcess] "]) == []


def test_a_few_are_enough() -> None:
    assert len(warnings_in(f"[…: ERROR/MainProcess] number {number}" for number in range(9))) == MAX_SAID

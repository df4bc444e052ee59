"""One interrupt, at a moment that leaves nothing half done."""

import signal

import pytest

from producer.interrupts import SIGNALS, held, install

pytestmark = pytest.mark.usefixtures("interrupts_installed")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_interrupts(number):
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_within_a_held_block_waits_for_its_end(number):
    steps = []

    def two_steps():
        with held():
            signal.raise_signal(number)
            steps.append("taken note of what was started")
        steps.append("unreachable")

    with pytest.raises(KeyboardInterrupt):
        two_steps()
    assert steps == ["taken note of what was started"]


def test_blocks_within_blocks_hold_until_the_outermost_ends():
    steps = []

    def nested():
        with held():
            with held():
                signal.raise_signal(signal.SIGINT)
            steps.append("after the inner")

    with pytest.raises(KeyboardInterrupt):
        nested()
    assert steps == ["after the inner"]


def test_an_error_in_a_held_block_stays_with_the_interrupt():
    def fail():
        with held():
            signal.raise_signal(signal.SIGINT)
            raise ValueError("also this")

    with pytest.raises(KeyboardInterrupt) as raised:
        fail()
    assert str(raised.value.__context__) == "also this"


def test_a_second_signal_does_not_disturb_the_clearing_up():
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGTERM)


def test_after_a_block_without_a_signal_the_next_one_interrupts_at_once():
    with held():
        pass
    steps = []
    with pytest.raises(KeyboardInterrupt):
        interrupted(steps)
    assert steps == ["before"]


def test_after_a_block_with_an_error_the_next_signal_interrupts_at_once():
    with pytest.raises(ValueError, match="of a block"), held():
        raise ValueError("of a block")
    steps = []
    with pytest.raises(KeyboardInterrupt):
        interrupted(steps)
    assert steps == ["before"]


def interrupted(steps):
    steps.append("before")
    signal.raise_signal(signal.SIGINT)
    steps.append("after")


def test_a_command_under_nohup_outlives_its_terminal():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    install()
    signal.raise_signal(signal.SIGHUP)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)

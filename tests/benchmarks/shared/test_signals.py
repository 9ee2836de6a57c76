"""Being told to stop is Ctrl-C, by whatever signal."""

import contextlib
import signal
import threading

import pytest

from lbt_dspy.benchmarks.shared.signals import stops_as_interrupts


def told(number):
    with stops_as_interrupts():
        signal.raise_signal(number)


@contextlib.contextmanager
def handled(number, how):
    """Whatever it is for these tests themselves: under `nohup` SIGHUP is ignored."""
    before = signal.signal(number, how)
    try:
        yield
        assert signal.getsignal(number) is how
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_stop_is_an_interrupt_and_handlers_are_as_before(number):
    with handled(number, signal.SIG_DFL), pytest.raises(KeyboardInterrupt):
        told(number)


def test_what_is_ignored_stays_ignored():
    with handled(signal.SIGHUP, signal.SIG_IGN):
        told(signal.SIGHUP)


def test_in_another_thread_nothing_is_set():
    seen = []

    def work():
        with stops_as_interrupts():
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]

"""Being told to stop is Ctrl-C, by whatever signal."""

import signal
import threading

import pytest

from lbt_dspy.benchmarks.shared.signals import stops_as_interrupts


def told(number):
    with stops_as_interrupts():
        signal.raise_signal(number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_stop_is_an_interrupt_and_handlers_are_as_before(number):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        told(number)
    assert signal.getsignal(number) is before


def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        told(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


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

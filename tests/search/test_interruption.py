"""Signals: the first asks, the second insists, and nobody asks where nobody listens."""

import signal
import threading

import pytest

from search.runner.interruption import SIGNALS, Interrupted, Interruption, catch_signals


@pytest.mark.parametrize("signum", SIGNALS)
def test_the_first_signal_is_noted_and_the_second_raises(signum: int) -> None:
    with catch_signals() as interruption, interruption.patience():
        signal.raise_signal(signum)
        assert interruption.signum == signum
        with pytest.raises(Interrupted) as caught:
            signal.raise_signal(signum)
    assert caught.value.signum == signum
    with pytest.raises(Interrupted, match=signal.Signals(signum).name):
        interruption.check()


def test_without_patience_a_signal_raises_at_once() -> None:
    with pytest.raises(Interrupted) as caught, catch_signals():
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.signum == signal.SIGTERM
    Interruption().check()  # no signal, no end


def test_ray_may_turn_an_interruption_into_a_plain_one() -> None:
    def call_ray(interruption: Interruption) -> None:
        interruption.signum = signal.SIGTERM
        raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught, catch_signals() as interruption:
        call_ray(interruption)
    assert caught.value.signum == signal.SIGTERM


def test_the_handlers_of_before_come_back() -> None:
    before = [signal.getsignal(signum) for signum in SIGNALS]
    with catch_signals():
        assert [signal.getsignal(signum) for signum in SIGNALS] != before
    assert [signal.getsignal(signum) for signum in SIGNALS] == before


def test_an_interruption_is_no_error_that_somebody_might_swallow() -> None:
    assert not issubclass(Interrupted, Exception)


def test_another_thread_leaves_signals_alone() -> None:
    found: list[Interruption] = []

    def run() -> None:
        with catch_signals() as interruption:
            found.append(interruption)

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found[0].signum is None
    assert signal.getsignal(signal.SIGTERM) == before

"""Workers that die during a lease and between two, and a signal, on real Ray."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from search.runner import tune as runner_tune
from search.runner.interruption import Interrupted, Interruption, catch_signals
from search.study import Study
from tests.search.scenario import Scenario, ray_session, small_study

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[None]:
    with ray_session(cpus=3):
        yield


def test_a_trial_that_hangs_loses_its_worker_and_goes_on(tmp_path: Path) -> None:
    scenario = Scenario(tmp_path, small_study(3), {1: "long"})
    scenario.run(slots=1, watchdog_seconds=1.0)
    assert scenario.states() == ["complete"] * 3
    (loss,) = scenario.of("interrupted")
    assert (loss["trial"], loss["epoch"]) == (1, 2)
    assert loss["cause"] == "hung: nothing was reported for 1 s"
    scenario.assert_nothing_was_trained_twice()


def test_a_worker_killed_in_a_lease_costs_its_trial_nothing_but_time(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    scenario = Scenario(tmp_path, small_study(3), {1: "kill"})
    scenario.run(slots=1)
    assert capfd.readouterr() == ("", "")
    assert scenario.states() == ["complete"] * 3
    (loss,) = scenario.of("interrupted")
    assert (loss["trial"], loss["epoch"]) == (1, 2)
    assert loss["cause"].startswith("worker died: ")
    assert "\n" not in loss["cause"]
    scenario.assert_nothing_was_trained_twice()
    assert not scenario.of("aborted")


def test_a_worker_killed_between_leases_costs_nothing_either(tmp_path: Path) -> None:
    scenario = Scenario(tmp_path, small_study(4))

    def kill_after_second(event: dict[str, Any]) -> None:
        if event["event"] == "ended" and event["trial"] == 1:
            os.kill(scenario.of("reported")[-1]["pid"], signal.SIGKILL)

    scenario.watch = kill_after_second
    scenario.run(slots=1)
    assert scenario.states() == ["complete"] * 4
    (loss,) = scenario.of("interrupted")
    assert (loss["trial"], loss["epoch"]) == (2, 0)  # found dead when it got the next lease
    scenario.assert_nothing_was_trained_twice()


def test_a_trial_that_takes_worker_after_worker_with_it_fails(tmp_path: Path) -> None:
    scenario = Scenario(tmp_path, small_study(3), {1: "always kill"})
    scenario.run(slots=1)
    assert scenario.states() == ["complete", "failed", "complete"]
    assert scenario.conductor.state.commonest_cause().startswith("lost 3 workers: worker died: ")


def test_an_error_of_the_driver_itself_is_told_as_it_is(tmp_path: Path) -> None:
    scenario = Scenario(tmp_path, small_study(3))

    def fill_disk(event: dict[str, Any]) -> None:
        if event["event"] == "reported":
            raise OSError("no space left")

    scenario.watch = fill_disk
    with pytest.raises(OSError, match=r"^no space left$"):
        scenario.run(slots=1)
    assert not scenario.of("aborted")


def test_a_signal_ends_the_run_with_everything_saved(tmp_path: Path) -> None:
    scenario = Scenario(tmp_path, small_study(3, epochs=1000))
    interruption = Interruption()

    def interrupt_at_tenth(event: dict[str, Any]) -> None:
        if event["event"] == "reported" and event["epoch"] == 10 and event["trial"] == 0:
            interruption.handle(signal.SIGTERM, None)

    scenario.watch = interrupt_at_tenth
    with pytest.raises(Interrupted) as caught:
        scenario.run(slots=1, interruption=interruption)
    assert caught.value.signum == signal.SIGTERM
    (stop,) = scenario.of("interrupted")
    assert stop["lost"] is False
    # the process was told to end, and saved what it had reported
    assert (tmp_path / "0.put_down").read_text() == str(stop["epoch"])
    assert scenario.states() == ["interrupted"]


def test_a_worker_in_a_long_epoch_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_tune, "GRACE_SECONDS", 0.2)
    scenario = Scenario(tmp_path, small_study(1), {0: "long"})
    begun = interrupt_in_third_epoch(scenario, [signal.SIGUSR1])
    assert time.monotonic() - begun < 40.0  # the epoch takes a minute; Tune waits ten seconds
    assert scenario.of("interrupted") == []  # the next driver finds it in flight
    assert (tmp_path / "0").read_text() == "2"


def interrupt_in_third_epoch(scenario: Scenario, signals: list[int]) -> float:
    """Run until signals to this process, a second apart, end it; when it was told of epoch 2."""
    at: list[float] = []

    def watch(event: dict[str, Any]) -> None:
        if event["event"] == "reported" and event["epoch"] == 2:
            at.append(time.monotonic())
            for place, signum in enumerate(signals):
                threading.Timer(1.0 + place, os.kill, (os.getpid(), signum)).start()

    scenario.watch = watch
    with pytest.raises(Interrupted) as caught, catch_signals() as interruption:
        scenario.run(slots=1, interruption=interruption)
    assert caught.value.signum == signals[-1]
    return at[0]


def test_workers_that_died_idle_are_not_held_against_the_next_trial(tmp_path: Path) -> None:
    confirmed = {"confirm": {"top_per_family": 1, "seeds": 1}}
    study = small_study(3).model_dump(mode="json", exclude_none=True) | confirmed
    scenario = Scenario(tmp_path, Study.from_mapping(study), dict.fromkeys(range(3), "meet 3"))

    def kill_all(event: dict[str, Any]) -> None:
        if event["event"] == "searched":  # all three wait for a lease
            for pid in {report["pid"] for report in scenario.of("reported")}:
                os.kill(pid, signal.SIGKILL)

    scenario.watch = kill_all
    scenario.run(slots=3)
    assert len({report["pid"] for report in scenario.of("reported")}) == 4
    assert scenario.states() == ["complete"] * 4
    assert {loss["lost"] for loss in scenario.of("interrupted")} == {False}


# the last, as Tune had no time to give its slot back to this session
def test_a_second_signal_ends_the_run_at_once(tmp_path: Path) -> None:
    scenario = Scenario(tmp_path, small_study(1), {0: "long"})
    begun = interrupt_in_third_epoch(scenario, [signal.SIGINT, signal.SIGTERM])
    assert time.monotonic() - begun < 8.0

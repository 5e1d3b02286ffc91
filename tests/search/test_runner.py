"""The runner on real Ray, with a worker on a script."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from search.runner import tune as runner_tune
from search.runner.desk import Desk
from search.runner.tune import LeaseSearcher, cause_of_death
from tests.search.scenario import Scenario, ray_session, small_study

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[None]:
    with ray_session(cpus=2):
        yield


def test_one_process_carries_many_leases_and_survives_trials_that_fail(tmp_path: Path) -> None:
    scenario = Scenario(tmp_path, small_study(12), {1: "raise", 2: "nan"})
    scenario.run(slots=1)
    assert scenario.states() == ["complete", "failed", "failed"] + ["complete"] * 9
    reports = scenario.of("reported")
    assert len({report["pid"] for report in reports}) == 1
    assert reports[-1]["leases"] == 12  # the worker was made once
    assert not any(report["writeable"] for report in reports)
    raised, diverged = (next(e for e in scenario.of("ended") if e["trial"] == n) for n in (1, 2))
    assert raised["cause"] == "ValueError: the script says so"
    assert "in perform" in raised["traceback"]
    assert diverged["cause"].startswith("diverged: ")
    assert not scenario.of("aborted")


def test_a_trial_may_end_before_its_lease(tmp_path: Path) -> None:
    scenario = Scenario(tmp_path, small_study(3, epochs=6), {1: "settle"})
    scenario.run(slots=1)
    assert scenario.states() == ["complete"] * 3
    assert [(e["epoch"], e["early"]) for e in scenario.of("ended")] == [
        (6, False),
        (3, True),
        (6, False),
    ]
    assert not scenario.of("interrupted")
    assert not scenario.of("aborted")


def test_short_leases_do_not_keep_the_second_worker_from_coming_up(tmp_path: Path) -> None:
    # a lease takes 0.25 s, and a process some seconds to start
    study = small_study(60, epochs=3)
    scenario = Scenario(tmp_path, study, dict.fromkeys(range(60), "sleep"))
    scenario.run(slots=2)
    assert scenario.states() == ["complete"] * 60
    assert len({report["pid"] for report in scenario.of("reported")}) == 2


def test_a_study_in_which_everything_fails_comes_to_its_end(tmp_path: Path) -> None:
    script = dict.fromkeys(range(4), "raise")
    scenario = Scenario(tmp_path, small_study(4), script)
    scenario.run(slots=1)
    assert scenario.states() == ["failed"] * 4
    assert scenario.conductor.state.commonest_cause() == "ValueError: the script says so"
    assert not scenario.of("aborted")


def test_tune_forgets_what_has_ended_and_workers_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_tune, "FORGET_EVERY", 5)
    kept: list[int] = []

    def look(callback: Any, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        kept.append(len(trials))

    monkeypatch.setattr(runner_tune.LeaseCallback, "on_trial_complete", look, raising=False)
    script = {7: "raise", 11: "kill"}
    scenario = Scenario(tmp_path, small_study(40), script)
    scenario.run(slots=2)
    assert sorted(scenario.states()) == ["complete"] * 39 + ["failed"]
    assert len(kept) >= 39
    assert max(kept) < 5 + 2 + 2
    assert len({report["pid"] for report in scenario.of("reported")}) <= 3
    assert not scenario.of("aborted")


def test_promotions_go_on_where_the_trial_stopped_whatever_tune_calls_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = iter(f"{number // 3:08x}" for number in range(10_000))  # each identifier three times
    monkeypatch.setattr("ray.tune.experiment.Trial.generate_id", lambda: next(ids))
    scenario = Scenario(tmp_path, small_study(9, epochs=9, scheduler="asha"))
    scenario.run(slots=2)
    states = scenario.states()
    assert len(states) == 9
    assert set(states) == {"complete", "pruned"}
    scenario.assert_nothing_was_trained_twice()
    assert not scenario.of("aborted")


def test_a_repeated_identifier_of_tune_gets_no_second_lease(tmp_path: Path) -> None:
    scenario = Scenario(tmp_path, small_study(3))
    searcher = LeaseSearcher(Desk(scenario.conductor), lambda trial: tmp_path / str(trial))
    searcher.set_max_concurrency(2)
    assert isinstance(searcher.suggest("aaaa0000"), dict)
    assert searcher.suggest("aaaa0000") is None
    assert isinstance(searcher.suggest("bbbb0000"), dict)
    assert len(scenario.of("leased")) == 2
    assert searcher.suggest("cccc0000") is None  # both slots are taken


def test_what_ray_says_of_a_death_becomes_one_cause() -> None:
    died = (
        "Failure # 1 (occurred at 2026-11-22_14-00-00)\n"
        "The actor died unexpectedly before finishing this task.\n\tclass_name: X\n\tpid: 17\n"
        "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR "
        "Worker exit detail: Worker unexpectedly exits with a connection error code 2. "
        "End of file. There are some potential root causes.\n"
    )
    cause = "worker died: Worker unexpectedly exits with a connection error code 2"
    assert cause_of_death(died) == cause
    killed = "Failure # 1 (occurred at now)\nOutOfMemoryError: Task was killed due to the node ..."
    assert cause_of_death(killed) == "out of memory: Ray's memory monitor killed the worker"
    assert cause_of_death("Failure # 1\nActor unavailable") == "worker died: Actor unavailable"

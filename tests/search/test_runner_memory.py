"""Workers that Ray's memory monitor kills, and runs of Tune that give up, on real Ray."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from search.runner import leases as runner_leases
from tests.search.scenario import Scenario, ray_session, small_study

pytestmark = pytest.mark.slow


def memory_bytes(name: str) -> int:
    """A line of /proc/meminfo."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


HOARD_BYTES = min(6 << 30, memory_bytes("MemAvailable") // 2)


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[None]:
    """Ray whose memory monitor steps in when most of a hoard more is in use than now."""
    used = memory_bytes("MemTotal") - memory_bytes("MemAvailable") + HOARD_BYTES * 3 // 4
    with ray_session(cpus=2, RAY_memory_usage_threshold=str(used / memory_bytes("MemTotal"))):
        yield


def test_a_worker_killed_by_the_memory_monitor_is_one_lost_worker(tmp_path: Path) -> None:
    scenario = Scenario(tmp_path, small_study(3), {1: f"hog {HOARD_BYTES}"})
    scenario.run(slots=2)
    assert scenario.states() == ["complete"] * 3
    losses = {(loss["trial"], loss["cause"]) for loss in scenario.of("interrupted")}
    assert losses == {(1, "out of memory: Ray's memory monitor killed the worker")}
    scenario.assert_nothing_was_trained_twice()
    assert not scenario.of("aborted")


def test_an_aborted_tuner_is_followed_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_leases, "mended_tune", lambda **_: nullcontext())
    scenario = Scenario(tmp_path, small_study(3), {1: f"hog {HOARD_BYTES}"})
    scenario.run(slots=1)
    assert scenario.states() == ["complete"] * 3
    (abort,) = scenario.of("aborted")
    assert abort["cause"].startswith("RuntimeError: Caught unexpected exception: ")
    assert [loss["trial"] for loss in scenario.of("interrupted")] == [1]
    scenario.assert_nothing_was_trained_twice()


def test_aborts_without_progress_come_to_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(tuner: Any) -> None:
        raise RuntimeError("the cluster is gone")

    monkeypatch.setattr("ray.tune.Tuner.fit", fit)
    scenario = Scenario(tmp_path, small_study(3))
    with pytest.raises(RuntimeError, match=r"gave up 3 times in a row.*the cluster is gone"):
        scenario.run(slots=1)
    assert len(scenario.of("aborted")) == 3

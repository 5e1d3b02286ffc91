"""The private parts of Ray that the runner touches are where they were."""

import inspect
import signal
from importlib.metadata import version

import pytest
import ray.tune.tune as tune_run
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.tune.execution import class_cache
from ray.tune.execution.class_cache import _ActorClassCache
from ray.tune.execution.tune_controller import TrialRunnerWrapper, TuneController
from ray.tune.search import ConcurrencyLimiter
from ray.tune.utils.object_cache import _ObjectCache

from search.runner.private import mended_tune


def parameters(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)  # type: ignore[arg-type]


def test_ray_is_the_release_that_the_mends_were_made_for() -> None:
    assert version("ray").startswith("2.60.")


def test_what_is_mended_is_there_and_is_put_back() -> None:
    before = (RayActorManager._actor_task_failed, TuneController._maybe_reuse_cached_actor)
    assert parameters(before[0]) == ["self", "tracked_actor_task", "exception"]
    assert parameters(before[1]) == ["self", "trial"]
    with mended_tune():
        during = (RayActorManager._actor_task_failed, TuneController._maybe_reuse_cached_actor)
        assert not set(before) & set(during)
    assert before == (RayActorManager._actor_task_failed, TuneController._maybe_reuse_cached_actor)


def test_workers_are_given_variables_of_the_driver_unless_they_have_them() -> None:
    class Anything:
        """Made a remote class of."""

    before = _ActorClassCache.get
    assert "runtime_env" in inspect.getsource(before)
    assert parameters(before) == ["self", "trainable_cls"]
    with mended_tune():
        assert _ActorClassCache.get == before
    with mended_tune(started_workers=True):
        cache = _ActorClassCache()
        remote = cache.get(Anything)
        assert not remote._default_options.get("runtime_env")
        assert cache.get(Anything) is remote
    assert _ActorClassCache.get == before


def test_tune_takes_no_signals_meanwhile() -> None:
    before, handler = tune_run._setup_signal_catching, signal.getsignal(signal.SIGUSR1)
    with mended_tune():
        interrupted = tune_run._setup_signal_catching()
        assert not interrupted.is_set()
        assert signal.getsignal(signal.SIGUSR1) == handler
    assert tune_run._setup_signal_catching == before
    assert "_setup_signal_catching()" in inspect.getsource(tune_run.run)


def test_what_the_mends_look_at_is_there() -> None:
    source = inspect.getsource(TuneController.__init__)
    for name in ("_trial_to_actor", "_actor_manager", "_resetting_trials", "_actor_cache"):
        assert f"self.{name}" in source
    for name in (
        "_trials",
        "_live_trials",
        "_stopped_trials",
        "_failed_trials",
        "_trials_to_cache",
    ):
        assert f"self.{name}" in source
    assert "_tune_controller" in inspect.getsource(TrialRunnerWrapper.__init__)
    assert parameters(_ObjectCache.increase_max) == ["self", "key", "by"]
    assert parameters(RayActorManager.is_actor_started) == ["self", "tracked_actor"]
    assert "set_max_concurrency" in inspect.getsource(ConcurrencyLimiter)


def test_tune_hands_no_keys_to_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would stand in Ray's logs: it writes down each runtime environment."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    monkeypatch.setenv("RAY_CHDIR_TO_TRIAL_DIR", "0")

    def handed_on() -> dict[str, str]:
        worker = class_cache._ActorClassCache().get(type("Trainable", (), {}))
        return dict(worker._default_options["runtime_env"]["env_vars"])

    assert "a secret" in handed_on().values(), "Tune hands them on no more: let the mend go"
    with mended_tune():
        assert "a secret" not in handed_on().values()
        assert handed_on()["RAY_CHDIR_TO_TRIAL_DIR"] == "0"
    assert "a secret" in handed_on().values()

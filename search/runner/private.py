"""What of Ray's private parts the runner touches, all of it; it holds for Ray 2.60.

`tests/search/test_runner_private.py` fails when one of them moves.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
import ray.tune.tune as tune_run
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import RayActorError, RayTaskError
from ray.tune.execution import class_cache
from ray.tune.execution.class_cache import _ActorClassCache
from ray.tune.execution.tune_controller import TuneController


@contextmanager
def mended_tune(*, started_workers: bool = False) -> Iterator[None]:
    """Tune with two faults mended for a while, without signal handlers of its own.

    And without handing keys to workers: it puts what `AWS_SECRET_ACCESS_KEY` says into their
    runtime environment, which Ray writes into its logs, and shows on its dashboard.

    Args:
        started_workers: Let processes that Ray has started in advance become workers. Tune gives
            its workers environment variables of the driver's, which such a process cannot take,
            and so another one is started; they may be used where it has inherited them anyway.
    """
    task_failed = RayActorManager._actor_task_failed
    reuse = TuneController._maybe_reuse_cached_actor
    handed_on = class_cache.ENV_VARS_TO_PROPAGATE

    def lose_one_worker(manager: Any, tracked_actor_task: Any, exception: Exception) -> None:
        """Lose one worker, where Tune would give up the whole run.

        Ray's memory monitor, and the loss of a node with an object on it, raise errors of other
        kinds than a worker that died, and Tune gives up at any kind that it does not know.
        """
        if not isinstance(exception, RayActorError | RayTaskError):
            said = f"{type(exception).__name__}: {exception}"
            exception = RayActorError(error_msg=said)
        task_failed(manager, tracked_actor_task, exception)

    def wait_for_own_worker(controller: Any, trial: Any) -> bool:
        """Leave an idle worker to a new trial, where one waits for a worker that is starting.

        Tune gives it to the waiting one and ends the process that starts for that. With leases
        shorter than the start of a process, a second worker would never come up.
        """
        own = controller._trial_to_actor.get(trial)
        starting = own is not None and controller._actor_manager.is_actor_started(own)
        if starting and trial not in controller._resetting_trials:
            return False
        return bool(reuse(controller, trial))

    def without_environment(cache: Any, trainable: type) -> Any:
        """The remote class of a trainable, without variables of its own."""
        if trainable not in cache._cache:
            cache._cache[trainable] = ray.remote(trainable)
        return cache._cache[trainable]

    remote_class = without_environment if started_workers else _ActorClassCache.get
    without_keys = {name for name in handed_on if not name.startswith("AWS_")}
    with (
        _instead(RayActorManager, "_actor_task_failed", lose_one_worker),
        _instead(TuneController, "_maybe_reuse_cached_actor", wait_for_own_worker),
        _instead(_ActorClassCache, "get", remote_class),
        # it takes SIGUSR1 whatever it is told
        _instead(tune_run, "_setup_signal_catching", threading.Event),
        _instead(class_cache, "ENV_VARS_TO_PROPAGATE", without_keys),
    ):
        yield


@contextmanager
def _instead(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Another value of an attribute for a while."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def keep_idle_workers(tune_controller: Any, resources: Any, workers: int) -> None:
    """Keep so many workers that have no lease; Tune ends all but one, and new ones take seconds.

    Args:
        tune_controller: As a scheduler gets it.
        resources: What one worker is given: `trial.placement_group_factory`.
    """
    tune_controller._tune_controller._actor_cache.increase_max(resources, by=workers)


def forget_ended(tune_controller: Any) -> None:
    """Have Tune forget the trials that have ended; it looks at all it has in each of its steps.

    Args:
        tune_controller: As a scheduler gets it.
    """
    controller = tune_controller._tune_controller
    ended = {trial for trial in controller._trials if trial.is_finished()}
    controller._trials = [trial for trial in controller._trials if trial not in ended]
    for known in (
        controller._live_trials,
        controller._stopped_trials,
        controller._failed_trials,
        controller._trials_to_cache,
    ):
        known.difference_update(ended)

"""Ray Tune carries the leases of a study: one `Tuner` after another, until nothing is left."""

import logging
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import ray
from ray import tune

from cluster.connect import environment
from search.runner.desk import Desk, Leases
from search.runner.interruption import Interruption
from search.runner.message import LeaseWorker, one_line
from search.runner.private import mended_tune
from search.runner.tune import (
    Arrays,
    LeaseCallback,
    LeaseScheduler,
    LeaseSearcher,
    LeaseTrainable,
    Patience,
)
from search.trial import Lease

Answer = TypeVar("Answer")

MOST_BARREN_ABORTS = 3  # aborts in a row without a lease ended between them
LEAST_UNBEGUN = 10  # workers in a row that died before they began, however few slots there are

ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no files for each trial
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # no snapshots: the study's log is the only state
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # they are told in the log
    "TUNE_WARN_THRESHOLD_S": "3600",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # the old reporter is silent at verbosity 0
}


@dataclass(frozen=True, slots=True)
class Crew:
    """Who carries the leases.

    Args:
        hire: Makes a worker in its process, out of the arrays; it travels there, and so must be
            importable there.
        arrays: What all workers on a node share, mapped and read-only.
        slots: Workers at a time.
        cpus: CPUs of one worker.
        gpus: GPUs of one worker; a fraction shares one.
        labels: Of Ray's, that its machine must carry.
        watchdog_seconds: A worker that says nothing for so long hangs, and is ended.
        started_workers: Whether processes that Ray has started in advance may be the workers: where
            they have this process's environment anyway, having been started from here.
    """

    hire: Callable[[Arrays], LeaseWorker]
    arrays: Arrays
    slots: int
    cpus: float
    gpus: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)
    watchdog_seconds: float = 3600.0
    started_workers: bool = False

    @property
    def shares(self) -> bool:
        """Whether several of them are on one GPU."""
        return 0 < self.gpus < 1


def run_leases(
    leases: Leases,
    crews: Callable[[bool], Crew],
    *,
    mates: Callable[[Lease], list[Lease]] = lambda lease: [],
    checkpoint_path: Callable[[int], Path],
    aborted: Callable[[str], None],
    interruption: Interruption,
    attend: Callable[[], None] = lambda: None,
) -> None:
    """Have all leases carried; the connected Ray session stays as it is.

    Args:
        crews: Who carries the next leases, asked before each `Tuner`: with True, workers that have
            a GPU each, for a while, as a lease waits that needs one of its own.
        mates: What trains together with a lease that has just been handed out, as one array.
        checkpoint_path: Where the checkpoint of a trial of that number lies or goes.
        aborted: Told the cause each time Tune gives up; the leases in flight then go out again.
        attend: Does what people have asked of the running study; called several times a second.

    Raises:
        Interrupted: A signal came; what was being trained is saved.
        RuntimeError: Tune gives up again and again.
        Exception: Whatever `leases` raised.
    """
    crew = crews(False)
    desk = Desk(
        leases,
        mates=mates,
        attend=attend,
        watchdog_seconds=crew.watchdog_seconds,
        most_unbegun=max(LEAST_UNBEGUN, MOST_BARREN_ABORTS * crew.slots),
    )
    arrays = [ray.put(crew.arrays)]
    barren = 0
    while not desk.finished:
        crew = crews(desk.waiting)
        desk.change_workers(shared=crew.shares, workers=crew.slots)
        ended = desk.ended
        cause = _fit(desk, crew, arrays, checkpoint_path, interruption)
        interruption.check()
        if desk.fault is not None:
            raise desk.fault
        if desk.in_flight == 0 and cause is None:
            continue  # this Tuner had its share of leases, or other workers must come
        cause = cause or "Ray Tune ended while leases were in flight"
        aborted(cause)
        desk.lose_all(cause)
        barren = 0 if desk.ended > ended else barren + 1
        if barren == MOST_BARREN_ABORTS:
            raise RuntimeError(f"Ray Tune gave up {barren} times in a row, the last time: {cause}")


def on_gpu(ask: Callable[[Arrays], Answer], arrays: Arrays, *, labels: Mapping[str, str]) -> Answer:
    """What a function says in a process that has a GPU to itself; waits until one is free.

    Args:
        labels: Of Ray's, that the machine must carry.

    Raises:
        RuntimeError: The process is gone.
        Exception: Whatever the function raised.
    """
    task = ray.remote(num_cpus=0, num_gpus=1, max_retries=0)(_answer)
    try:
        answer: Answer = ray.get(task.options(label_selector=dict(labels)).remote(ask, arrays))
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        said = one_line(str(error))
        raise RuntimeError(f"models could not be measured on a GPU: {said}") from None
    return answer


def _answer(ask: Callable[[Arrays], Answer], arrays: Arrays) -> Answer:
    return ask(arrays)


def _fit(
    desk: Desk,
    crew: Crew,
    arrays: list[ray.ObjectRef],
    checkpoint_path: Callable[[int], Path],
    interruption: Interruption,
) -> str | None:
    """Run one `Tuner`; why it gave up, None if it did not."""
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    with (
        tempfile.TemporaryDirectory(prefix="seqtune-tune-") as folder,
        environment(ENVIRONMENT),
        mended_tune(started_workers=crew.started_workers),
        interruption.patience(),
    ):
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(
                    LeaseTrainable,
                    hire=crew.hire,
                    arrays=arrays,
                    watchdog_seconds=crew.watchdog_seconds,
                ),
                tune.PlacementGroupFactory(
                    [{"CPU": crew.cpus, "GPU": crew.gpus}],
                    bundle_label_selector=[dict(crew.labels)] if crew.labels else None,
                ),
            ),
            tune_config=tune.TuneConfig(
                search_alg=LeaseSearcher(desk, checkpoint_path),
                scheduler=LeaseScheduler(desk, crew.slots),
                num_samples=-1,
                max_concurrent_trials=crew.slots,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: str(trial.trial_id),
            ),
            run_config=tune.RunConfig(
                name="leases",
                storage_path=folder,
                callbacks=[LeaseCallback(desk)],
                stop=Patience(desk, interruption),
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                verbose=0,
            ),
        )
        try:
            tuner.fit()
        except Exception as error:
            return one_line(f"{type(error).__name__}: {error}")
    return None

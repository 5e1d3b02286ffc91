"""A study from its first lease to its last, or from where an earlier driver left off."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from cluster.connect import Session, connect
from cluster.findings import judge, mends
from cluster.preflight import ask_nodes, living_nodes
from search.earlier import earlier_trials
from search.motion.conductor import Conductor
from search.motion.events import Event
from search.problem import Problem
from search.runner.attendant import Attendant
from search.runner.copies import Starts
from search.runner.interruption import Interruption, catch_signals
from search.runner.leases import Crew, run_leases
from search.runner.packages import ROOT, check_packages
from search.runner.retention import Retention
from search.runner.worker import Duty, Worker
from search.store.example_losses import read_losses
from search.store.ranges import write_ranges
from search.store.sources import store_sources, unchanged_sources
from search.store.store import CHECKPOINTS, Store, checkpoint_path
from search.study import Resources, Study
from search.trial import State
from trainers.device import describe_devices
from trainers.trivial.baselines import baseline


@dataclass(frozen=True, slots=True)
class StudyEnd:
    """How a study ended.

    Args:
        complete: Trials that trained to the end.
        commonest_cause: What most of the failed ones failed of; None if none failed.
    """

    complete: int
    commonest_cause: str | None


def run_study(
    study: Study,
    directory: str | Path,
    *,
    resume: bool = False,
    address: str | None = None,
    see: Callable[[Event], None] = lambda event: None,
) -> StudyEnd:
    """Run a study to its end: the search, and its finalists on their seeds.

    Args:
        directory: The study's own folder of results; there already to `resume`, and else not.
        resume: Go on with the study in `directory`. `study` may differ from what it was: more
            budget, another family, another range.
        address: Where Ray is, see `connect`.
        see: Told of each event, right after it was written to the log.

    Raises:
        Interrupted: A signal came; everything is saved, and the study can be resumed.
        ValueError: Something in the study does not exist or does not fit.
        OSError: A file cannot be had or written, another process runs the study, or no Ray.
        RuntimeError: Ray Tune gave up again and again.
    """
    check_packages()
    directory = Path(directory).absolute()
    with catch_signals() as interruption:
        if resume:
            with Store.open(directory) as store:
                problem = Problem.of(study, unchanged_sources(directory))
                return _run(study, problem, store, address, see, interruption)
        problem = Problem.of(study)
        with Store.create(directory, study, devices=describe_devices()) as store:
            store_sources(directory, problem.sources)
            with _removed_if_nothing_began(store):
                return _run(study, problem, store, address, see, interruption)


def crew_of(study: Study, problem: Problem, session: Session) -> Crew:
    """Who carries the leases of a study, and how many at a time.

    Raises:
        ValueError: The cluster does not hold a single trial, or not the data set.
    """
    resources = study.resources
    gpus = _gpus(resources, session)
    description, arrays = problem.dataset.to_parts()
    _check_store(sum(array.nbytes for array in arrays.values()), session.object_store_bytes)
    duty = Duty(
        description=description,
        sources=problem.sources,
        metric=problem.metric.name,
        epochs=study.budget.epochs,
        patience=study.budget.patience,
        device="cuda" if gpus else "cpu",
        threads=resources.cpus_per_trial,
    )
    return Crew(
        hire=partial(Worker, duty),
        arrays=arrays,
        slots=_slots(resources, gpus, session),
        cpus=resources.cpus_per_trial,
        gpus=gpus,
        watchdog_seconds=resources.watchdog_seconds,
    )


def _run(
    study: Study,
    problem: Problem,
    store: Store,
    address: str | None,
    see: Callable[[Event], None],
    interruption: Interruption,
) -> StudyEnd:
    """Connect to Ray and have all leases carried."""
    log = list(store.events())
    journal = Journal(store, problem, [see])
    journal.has_baseline = any(event["event"] == "baseline" for event in log)
    conductor = Conductor(
        spaces=problem.spaces,
        maximize=problem.metric.maximize,
        metric=problem.metric.name,
        study=study,
        record=journal.record,
        example_losses=lambda number, loss: read_losses(
            checkpoint_path(store.directory, number), loss
        ),
        sizings=problem.sizings,
    )
    conductor.learn_from(earlier_trials(study, problem, log))
    conductor.replay(log)
    retention = Retention(store.directory / CHECKPOINTS, conductor.state)
    starts = Starts(store.checkpoint_path)
    starts.complete(conductor.state)
    journal.readers += [retention.see, starts.see]
    with connect(address, code=ROOT) as session:
        check_machines(store.directory)
        crew = crew_of(study, problem, session)
        store.replace_study(study)  # not before all is found to be right
        write_ranges(store.directory, problem.spaces)
        try:
            run_leases(
                conductor,
                crew,
                checkpoint_path=store.checkpoint_path,
                aborted=journal.record_abort,
                interruption=interruption,
                attend=Attendant(store.directory, conductor, interruption),
            )
        finally:
            retention.sweep()
            journal.record({"event": "closed"})
    complete = sum(trial.state == State.complete for trial in conductor.state.trials)
    return StudyEnd(complete, conductor.state.commonest_cause())


def check_machines(directory: Path) -> None:
    """Where there are several machines, ask each whether it can work for this study.

    Raises:
        ValueError: One cannot: other versions, or it does not share the study's folder.
    """
    if len(living_nodes()) > 1:
        wrong = mends(judge(ask_nodes(directory)))
        if wrong:
            raise ValueError("; ".join(wrong))


@contextmanager
def _removed_if_nothing_began(store: Store) -> Iterator[None]:
    """Leave no folder of a new study that could not begin: no Ray, or too little of it."""
    try:
        yield
    except (ValueError, OSError):
        if not any("trial" in event for event in store.events()):
            store.close()
            shutil.rmtree(store.directory)
        raise


class Journal:
    """Writes events to the log, adds what the conductor cannot know, and tells who wants to know.

    Args:
        readers: Told of each event, right after it was written.

    Attributes:
        has_baseline: Whether the log says what a trivial predictor reaches.
    """

    def __init__(
        self, store: Store, problem: Problem, readers: list[Callable[[Event], None]]
    ) -> None:
        self.readers = readers
        self.has_baseline = False
        self._store = store
        self._problem = problem

    def record(self, event: Event) -> None:
        """Write one event; to the opening of a study belongs what is measured."""
        opening = event["event"] == "opened"
        if opening:
            metric = self._problem.metric
            event |= {"metric": metric.name, "maximize": metric.maximize}
        self._store.append(event)
        for reader in self.readers:
            reader(event)
        if opening and not self.has_baseline:
            self.has_baseline = True
            if self._problem.account:
                self.record({"event": "data", "account": self._problem.account})
            with suppress(ValueError):  # there is none for this kind of task
                self.record({"event": "baseline", **asdict(baseline(self._problem.dataset))})

    def record_abort(self, cause: str) -> None:
        """Write that Ray Tune gave up."""
        self.record({"event": "aborted", "cause": cause})


def _check_store(needed: int, there: float) -> None:
    """Refuse a data set that Ray could not share among the trials."""
    if needed > there:
        raise ValueError(
            f"the data set's arrays must fit into Ray's object store, got {needed / 1e6:,.1f} MB "
            f"of arrays and a store of {there / 1e6:,.1f} MB; give the machine more memory, or the "
            f"study less data"
        )


def _gpus(resources: Resources, session: Session) -> float:
    """GPUs of one trial."""
    if isinstance(resources.gpus_per_trial, str):  # "auto"
        return 1.0 if session.gpus >= 1 else 0.0
    return float(resources.gpus_per_trial)


def _slots(resources: Resources, gpus: float, session: Session) -> int:
    """Trials at a time."""
    room = int(session.cpus // resources.cpus_per_trial)
    if room < 1:
        raise ValueError(
            f"`resources.cpus_per_trial` must be at most the {session.cpus:g} CPUs there are, "
            f"got {resources.cpus_per_trial}"
        )
    if gpus:
        room = min(room, int(session.gpus / gpus))
    if room < 1:
        raise ValueError(
            f"`resources.gpus_per_trial` must be at most the {session.gpus:g} GPUs there are, "
            f"got {resources.gpus_per_trial}"
        )
    return min(room, resources.max_concurrent or room)

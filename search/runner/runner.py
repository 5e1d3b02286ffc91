"""A study from its first lease to its last, or from where an earlier driver left off."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.connect import connect
from cluster.findings import judge, mends
from cluster.preflight import ask_nodes, living_nodes
from search.earlier import earlier_trials
from search.motion.conductor import Conductor
from search.motion.events import Event
from search.problem import Problem
from search.runner.attendant import Attendant
from search.runner.crews import Crews
from search.runner.interruption import Interruption, catch_signals
from search.runner.journal import Journal
from search.runner.leases import run_leases
from search.runner.packages import ROOT, check_packages
from search.runner.refitting import check_same_rule
from search.runner.retention import Retention
from search.runner.starts import Starts
from search.store.copies import CHECKPOINTS, origin_of, workplace
from search.store.example_losses import read_losses
from search.store.ranges import write_ranges
from search.store.sources import store_sources, unchanged_sources
from search.store.store import Store, checkpoint_path
from search.study import Study
from search.trial import State
from trainers.device import describe_devices


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
        directory: The study's own folder of results, or its URL in an object store; there already
            to `resume`, and else not.
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
    directory = workplace(directory, resume=resume).absolute()
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
    check_same_rule(study, log)
    journal = Journal(store, problem, [see], interruption)
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
    retention = Retention(store.directory / CHECKPOINTS, conductor.state, store.discard_sent)
    url = origin_of(store.directory)
    starts = Starts(store.checkpoint_path, url)
    starts.complete(conductor.state)
    journal.readers += [retention.see, starts.see]
    with connect(address, code=ROOT) as session:
        check_machines(url or store.directory)
        crews = Crews(study, problem, session, record=journal.record, url=url)
        for event in log:
            crews.see(event)
        journal.readers.append(crews.see)
        store.replace_study(study)  # not before all is found to be right
        write_ranges(store.directory, problem.spaces)
        try:
            run_leases(
                conductor,
                crews,
                checkpoint_path=store.checkpoint_path,
                aborted=journal.record_abort,
                interruption=interruption,
                attend=Attendant(store.directory, conductor, interruption, session.check_head),
            )
        finally:
            retention.sweep()
            journal.close()
    complete = sum(trial.state == State.complete for trial in conductor.state.trials)
    return StudyEnd(complete, conductor.state.commonest_cause())


def check_machines(place: Path | str) -> None:
    """Where there are several machines, ask each whether it can work for this study.

    Args:
        place: The study's folder, or its URL.

    Raises:
        ValueError: One cannot: other versions, or it does not share the study's folder.
    """
    if len(living_nodes()) > 1:
        wrong = mends(judge(ask_nodes(place)))
        if wrong:
            raise ValueError("; ".join(wrong))


@contextmanager
def _removed_if_nothing_began(store: Store) -> Iterator[None]:
    """Leave no folder of a new study that could not begin: no Ray, or too little of it."""
    try:
        yield
    except (ValueError, OSError):
        if not any("trial" in event for event in store.events()):
            store.remove()
        raise

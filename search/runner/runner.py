"""A study from its first lease to its last, or from where an earlier driver left off."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.connect import connect
from cluster.findings import judge, mends
from cluster.preflight import ask_nodes, living_nodes
from search.motion.events import Event
from search.problem import Problem
from search.runner.attendant import Attendant
from search.runner.driver import Driver
from search.runner.interruption import Interruption, Paused, catch_signals
from search.runner.packages import ROOT, check_packages
from search.store.copies import origin_of, workplace
from search.store.sources import unchanged_sources
from search.store.store import Store
from search.study import Study
from search.trial import State
from trainers.device import describe_devices

PRELOADED = ("torch", "ray.tune")
"""What takes workers seconds to import; they begin before the first configuration is proposed."""


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
        with (
            Store.create(directory, study, devices=describe_devices()) as store,
            _removed_if_nothing_began(store),
        ):
            return _run(study, problem, store, address, see, interruption)


def _run(
    study: Study,
    problem: Problem,
    store: Store,
    address: str | None,
    see: Callable[[Event], None],
    interruption: Interruption,
) -> StudyEnd:
    """Connect to Ray and have all leases carried, also of a study that is extended meanwhile."""
    driver = Driver(study, problem, store, see, interruption)
    attendant = Attendant(store.directory, driver.conductor, interruption)
    with connect(address, code=ROOT, preload=PRELOADED) as session:
        check_machines(origin_of(store.directory) or store.directory)
        driver.staff(session)
        attendant.check = session.check_head
        while True:
            try:
                driver.drive(attendant)
                break
            except Paused:
                interruption.go_on()
                driver = driver.successor(attendant.take_extensions(), session)
                attendant.conductor = driver.conductor
    state = driver.conductor.state
    complete = sum(trial.state == State.complete for trial in state.trials)
    return StudyEnd(complete, state.commonest_cause())


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

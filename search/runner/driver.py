"""One driver of a study: the log replayed, the leases carried; an extended study gets another."""

from collections.abc import Callable, Iterable

from cluster.connect import Session
from search.earlier import earlier_trials
from search.extension import Extension
from search.motion.conductor import Conductor
from search.motion.confirm import check_same_length
from search.motion.events import Event
from search.motion.starting_points import offer
from search.problem import Problem
from search.runner.arrays import ArraySizes
from search.runner.crews import Crews
from search.runner.interruption import Interruption
from search.runner.journal import Journal
from search.runner.leases import run_leases
from search.runner.refitting import check_same_rule
from search.runner.retention import Retention
from search.runner.starts import Starts
from search.store.copies import CHECKPOINTS, origin_of
from search.store.example_losses import read_losses
from search.store.ranges import write_ranges
from search.store.sources import store_sources, unchanged_sources
from search.store.store import Store, checkpoint_path
from search.study import Study


class Driver:
    """Carries a study on from where its log ends.

    Args:
        see: Told of each event, right after it was written to the log.

    Attributes:
        conductor: That of the study, with the log replayed.

    Raises:
        ValueError: The study does not go on from its log.
    """

    def __init__(
        self,
        study: Study,
        problem: Problem,
        store: Store,
        see: Callable[[Event], None],
        interruption: Interruption,
    ) -> None:
        self._study, self._problem, self._store = study, problem, store
        self._see, self._interruption = see, interruption
        self._log = list(store.events())
        check_same_rule(study, self._log)
        check_same_length(study, self._log)
        self.journal = Journal(store, problem, [see], interruption)
        self.journal.has_baseline = any(event["event"] == "baseline" for event in self._log)
        self.conductor = Conductor(
            spaces=problem.spaces,
            maximize=problem.metric.maximize,
            metric=problem.metric.name,
            study=study,
            record=self.journal.record,
            example_losses=lambda number, loss: read_losses(
                checkpoint_path(store.directory, number), loss
            ),
            sizings=problem.sizings,
        )
        points = study.search.starting_points
        offer(self.conductor.state.families, problem.task.name, points)
        self.conductor.learn_from(earlier_trials(study, problem, self._log))
        self.conductor.replay(self._log)

    def staff(self, session: Session) -> None:
        """Settle who will carry the leases; from here on the folder has the study as it is.

        Raises:
            ValueError: The cluster does not hold a single trial, or not the data set.
        """
        url = origin_of(self._store.directory)
        self._crews = Crews(
            self._study, self._problem, session, record=self.journal.record, url=url
        )
        for event in self._log:
            self._crews.see(event)
        self._store.replace_study(self._study)  # not before all is found to be right
        store_sources(self._store.directory, self._problem.sources)
        write_ranges(self._store.directory, self._problem.spaces)
        arrays = ArraySizes(
            self._study,
            self._problem,
            device=self._crews.device,
            slots=self._crews.slots,
            record=self.journal.record,
            config_of=lambda number: self.conductor.state.trials[number].trial.config,
        )
        arrays.begin(self._log)
        self.journal.readers.append(arrays.see)
        self.conductor.array_sizes = arrays.sizes
        self._crews.arrays = any(size.search > 1 for size in arrays.sizes.values())

    def drive(self, attend: Callable[[], None]) -> None:
        """Have all leases carried.

        Raises:
            Interrupted, RuntimeError: As `run_leases`.
        """
        store, state = self._store, self.conductor.state
        retention = Retention(store.directory / CHECKPOINTS, state, store.discard_sent)
        starts = Starts(store.checkpoint_path, origin_of(store.directory))
        starts.complete(state.trials)
        self.journal.readers += [retention.see, starts.see, self._crews.see]
        try:
            run_leases(
                self.conductor,
                self._crews,
                mates=self.conductor.mates,
                checkpoint_path=self._store.checkpoint_path,
                aborted=self.journal.record_abort,
                interruption=self._interruption,
                attend=attend,
            )
        finally:
            retention.sweep()
            self.journal.close()

    def successor(self, extensions: Iterable[Extension], session: Session) -> "Driver":
        """Who goes on with the study as extended; an extension that cannot be is refused."""
        driver = None
        for extension in extensions:
            refused = None
            try:
                driver = self._extended(extension, session)
            except (ValueError, OSError) as error:
                refused = str(error)
            answer = {"event": "extension", "request": extension.id, "refused": refused}
            self.journal.record(answer)
        return driver or self._followed_by(self._study, self._problem, session)

    def _extended(self, extension: Extension, session: Session) -> "Driver":
        folder = self._store.directory
        study = extension.of(folder)
        texts = unchanged_sources(folder) | dict(extension.sources)
        return self._followed_by(study, Problem.of(study, texts), session)

    def _followed_by(self, study: Study, problem: Problem, session: Session) -> "Driver":
        driver = Driver(study, problem, self._store, self._see, self._interruption)
        driver.staff(session)
        return driver

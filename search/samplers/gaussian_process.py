"""A Gaussian process, by Optuna, whose suggestions are computed before they are needed."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import cast

from optuna.samplers import GPSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from search.samplers.optuna_records import leaf_name, open_study, quiet, record, suggest
from search.samplers.results import Result, Results, best_and_even_sample, child
from search.samplers.sampler import Sampler
from search.trial import State
from spaces import Config, Parameter, SearchSpace, Value, build, flatten, sample

STARTUP = 8  # results before the first suggestion; until then draws are random
BEST, OTHERS = 30, 70  # results that it looks at; time grows with their number
PARENTS = 20  # the latest results, of which come the settings inside branches
RATE = 0.2  # of those that change
WORKER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="gaussian-process")


class GaussianProcessSampler(Sampler):
    """Models the loss as a Gaussian process and suggests where it expects the largest improvement.

    A suggestion takes a good part of a second, so it is computed while others train, from what was
    known when the family's previous trial began. Trials in flight count with the result that is
    expected of them. The process models losses at one epoch, the furthest that enough trials
    reached (Falkner et al. 2018 choose likewise), and looks at `BEST` + `OTHERS` results at most.
    Settings inside branches come from a good earlier trial, one in five changed.

    Reference:
        Snoek et al., "Practical Bayesian optimization of machine learning algorithms", NIPS 2012,
        in the implementation of Optuna. Falkner et al., "BOHB", ICML 2018, section 3.
    """

    def __init__(self, space: SearchSpace, *, seed: int, family: str) -> None:
        super().__init__(space, seed=seed, family=family)
        self._results = Results()
        self._in_flight: dict[int, Config] = {}
        self._begun: set[int] = set()
        self._view = View((), ())
        self._ahead: tuple[int, Future[Config]] | None = None

    def _draw(self, rng: Random) -> Config:
        seed = rng.randrange(2**32)
        if self._ahead is not None and self._ahead[0] == seed:
            return self._ahead[1].result()
        return Suggestion(self.space, self._view, seed).compute()

    def _learn(
        self, number: int, config: Config, history: Sequence[tuple[int, float]], state: State
    ) -> None:
        self._results.learn(number, config, history, state)
        if state == State.running:
            self._in_flight[number] = config
        else:
            self._in_flight.pop(number, None)
        if number not in self._begun:
            self._begun.add(number)
            self._look_ahead(number + 1)

    def _look_ahead(self, number: int) -> None:
        """Begin to compute the first draw of a proposal from what is known now."""
        self._view = View(tuple(self._results), tuple(self._in_flight.items()))
        if self._ahead is not None:
            self._ahead[1].cancel()
        seed = self.randomness(number, 0).randrange(2**32)
        coming = Suggestion(self.space, self._view, seed)
        self._ahead = seed, WORKER.submit(coming.compute)


@dataclass(frozen=True)
class View:
    """What the family knew at one time."""

    results: tuple[Result, ...]
    in_flight: tuple[tuple[int, Config], ...]


class Suggestion:
    """One suggestion, which depends on its seed and on what was known, not on when it is computed.

    Optuna's study is opened at once, as that changes settings of the whole process for a moment;
    `compute` may then run in a thread.
    """

    def __init__(self, space: SearchSpace, view: View, seed: int) -> None:
        self._space = space
        self._view = view
        self._rng = Random(seed)
        self._records: list[FrozenTrial] = []
        self._study: Study | None = None
        if len(view.results) >= STARTUP:
            with quiet():
                method = GPSampler(seed=seed, n_startup_trials=1, warn_independent_sampling=False)
                self._study = open_study(method, self._records)

    def compute(self) -> Config:
        """The configuration; a draw at random while too little is known."""
        if self._study is None:
            return sample(self._space, self._rng)
        self._records += self._known()
        trial = self._study.ask()
        parents = sorted(self._view.results, key=lambda each: each.number)[-PARENTS:]
        parent = flatten(self._space, child(self._space, parents, self._rng, rate=RATE))

        def choose(path: str, leaf: Parameter) -> Value:
            if leaf_name(path, leaf) in trial.relative_params:
                return suggest(trial, path, leaf)
            value = parent.get(path)
            return leaf.sample(self._rng) if not leaf.contains(value) else cast(Value, value)

        return cast(Config, build(self._space, choose))

    def _known(self) -> list[FrozenTrial]:
        """The results at one epoch, and the trials in flight, as Optuna has them."""
        epoch = self._epoch()
        reached = {
            each.number: (loss, each.config)
            for each in self._view.results
            if (loss := each.at(epoch)) is not None
        }
        losses = {number: loss for number, (loss, _) in reached.items()}
        shown = []
        for number in best_and_even_sample(losses, best=BEST, others=OTHERS):
            made = record(self._space, number, reached[number][1])
            made.state, made.value = TrialState.COMPLETE, losses[number]
            shown.append(made)
        waiting = (pair for pair in self._view.in_flight if pair[0] not in reached)
        shown += [record(self._space, number, config) for number, config in waiting]
        return sorted(shown, key=lambda each: each.number)

    def _epoch(self) -> int:
        """The furthest epoch at which there are `STARTUP` results; the first if there is none."""
        epochs = sorted({epoch for each in self._view.results for epoch, _ in each.best})
        for epoch in reversed(epochs):
            if sum(each.at(epoch) is not None for each in self._view.results) >= STARTUP:
                return epoch
        return epochs[0]

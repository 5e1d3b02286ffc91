"""Covariance matrix adaptation."""

from collections.abc import Sequence
from random import Random

import numpy as np
from cmaes import CMA

from search.samplers.results import Results, child
from search.samplers.sampler import Sampler
from search.samplers.unit_cube import UnitCube
from search.trial import State
from spaces import Config, SearchSpace, default

STEP = 0.2  # the first standard deviation, as a share of every range
PARENTS = 20  # the latest results, of which come the settings that are no numbers
RATE = 0.2  # of those that change


class CmaEsSampler(Sampler):
    """Fits a normal distribution to the best of each generation, and draws from it.

    The distribution is over the numbers that every configuration has; it begins at the default.
    Options and all that lies inside branches come from a good earlier trial, one in five changed;
    so there are no dead settings. A generation is over as soon as enough trials have a result,
    drawn from this one or from an earlier one, so that no slot waits; those that were pruned or are
    paused rank behind those that went further, and failed ones last.

    Reference:
        Hansen, "The CMA evolution strategy: a tutorial", arXiv 1604.00772, by the package `cmaes`.
    """

    def __init__(self, space: SearchSpace, *, seed: int, family: str) -> None:
        super().__init__(space, seed=seed, family=family)
        self._cube = UnitCube(space)
        self._results = Results()
        self._generation: dict[int, Config] = {}
        """Trials with a result that the distribution has not been fitted to yet."""
        self._used: set[int] = set()
        self._generations: list[list[list[float]]] = []
        """Of those before, the places, best first."""
        self._size = self._strategy(0).population_size if self._cube.leaves else 0

    def _strategy(self, seed: int) -> CMA:
        """The distribution as all generations have made it."""
        start = np.array(self._cube.place(default(self.space)))
        bounds = np.tile([0.0, 1.0], (len(start), 1))
        strategy = CMA(mean=start, sigma=STEP, bounds=bounds, seed=seed)
        for ranking in self._generations:
            strategy.tell([(np.array(place), float(rank)) for rank, place in enumerate(ranking)])
        return strategy

    def _draw(self, rng: Random) -> Config:
        config = child(self.space, self._results.latest(PARENTS), rng, rate=RATE)
        if not self._cube.leaves:
            return config
        place = self._strategy(rng.randrange(2**32)).ask()
        return self._cube.config(place.tolist(), config)

    def _learn(
        self, number: int, config: Config, history: Sequence[tuple[int, float]], state: State
    ) -> None:
        self._results.learn(number, config, history, state)
        over = state.final or state == State.paused
        if not over or number in self._used or not self._cube.leaves:
            return
        self._used.add(number)
        self._generation[number] = config
        if len(self._generation) == self._size:
            ranking = sorted(self._generation, key=self._rank)
            self._generations.append([self._cube.place(self._generation[n]) for n in ranking])
            self._generation.clear()

    def _rank(self, number: int) -> tuple[bool, int, float, int]:
        if number in self._results:
            return self._results[number].rank
        return True, 1, float("inf"), number

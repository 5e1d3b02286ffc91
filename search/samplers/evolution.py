"""Regularised evolution."""

from collections.abc import Sequence
from random import Random

from search.samplers.results import Results, child
from search.samplers.sampler import Sampler
from search.trial import State
from spaces import Config, SearchSpace, sample

POPULATION = 20  # trials with a result that may have children; older ones have died
STARTUP = 8  # results before the first child


class EvolutionSampler(Sampler):
    """Mutates the best of five trials drawn from the latest twenty; age removes, not rank.

    For any family, and meant for `stack`, where a mutation replaces a layer as a whole. A trial
    that went further ranks before one that was pruned earlier. Failed trials have no children.

    Reference:
        Real et al., "Regularized evolution for image classifier architecture search", AAAI 2019.
        Theirs has 100 and draws 25; searches here have a few dozen trials.
    """

    def __init__(self, space: SearchSpace, *, seed: int, family: str) -> None:
        super().__init__(space, seed=seed, family=family)
        self._results = Results()

    def _draw(self, rng: Random) -> Config:
        if len(self._results) < STARTUP:
            return sample(self.space, rng)
        return child(self.space, self._results.latest(POPULATION), rng)

    def _learn(
        self, number: int, config: Config, history: Sequence[tuple[int, float]], state: State
    ) -> None:
        self._results.learn(number, config, history, state)

"""Random search."""

from collections.abc import Sequence
from random import Random

from search.samplers.sampler import Sampler
from search.trial import State
from spaces import Config, sample


class RandomSampler(Sampler):
    """Draws every setting on its own and learns nothing.

    Reference:
        Bergstra and Bengio, "Random search for hyper-parameter optimization", JMLR 2012.
    """

    def _draw(self, rng: Random) -> Config:
        return sample(self.space, rng)

    def _learn(
        self, number: int, config: Config, history: Sequence[tuple[int, float]], state: State
    ) -> None:
        """Random search has no use for results."""

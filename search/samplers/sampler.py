"""The interface of all samplers."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from random import Random

from search.motion.randomness import key
from search.trial import State
from spaces import Config, SearchSpace, contains, default, sample

OWN_DRAWS = 4  # a method that proposes known configurations four times over has converged on them
MOST_OWN_DRAWS = 16  # where what it proposes does not suit
RANDOM_DRAWS = 256  # misses the last of ten configurations once in 5e11 times


class Sampler(ABC):
    """Proposes configurations of one family and learns from what became of them.

    The life of a proposal: ``propose(number)`` gives a configuration; ``tell(..., running)`` once
    it is a trial; ``tell`` again whenever the trial pauses or ends. A sampler hears of trials
    through `tell` alone, so that telling the same in the same order makes the same sampler. It
    holds no random state: a draw is keyed by seed, family and number.
    """

    def __init__(self, space: SearchSpace, *, seed: int, family: str) -> None:
        self.space = space
        self.outside: set[int] = set()
        """Numbers of told configurations that lie outside `space`; they teach nothing."""
        self.costs: dict[int, tuple[float, ...]] = {}
        """By number, the objectives besides the loss."""
        self._seed = seed
        self._family = family
        self._known: dict[int, str] = {}
        self._taken: set[str] = set()

    def propose(
        self, number: int, suits: Callable[[Config], bool] = lambda config: True
    ) -> Config | None:
        """A configuration that was never told before; number 0 is the default of the space.

        Args:
            suits: What a configuration must pass, or another is drawn.

        Returns:
            None if the space seems to be exhausted: hundreds of draws gave known ones only, or
            such as do not suit.
        """
        if number == 0 and not self.knows(start := default(self.space)) and suits(start):
            return start
        own = OWN_DRAWS
        for draw in range(OWN_DRAWS + RANDOM_DRAWS):
            rng = self.randomness(number, draw)
            config = self._draw(rng) if draw < own else sample(self.space, rng)
            if self.knows(config):
                continue
            if suits(config):
                return config
            own = min(own + 1, MOST_OWN_DRAWS)
        return None

    def tell(
        self,
        number: int,
        config: Config,
        history: Sequence[tuple[int, float]],
        state: State,
        costs: Sequence[float] = (),
    ) -> None:
        """Take note of what is known of a proposal now; it replaces what was told of it before.

        Args:
            number: As given to `propose`.
            history: Each epoch with its loss (finite, smaller is better), ascending.
            state: `paused` counts as pruned at the last epoch until more is told.
            costs: What is to become small besides the loss, where there are several objectives.
        """
        self.costs[number] = tuple(costs)
        if number not in self._known:
            self._known[number] = _text(config)
            self._taken.add(self._known[number])
            if not contains(self.space, config):
                self.outside.add(number)
        if number not in self.outside:
            self._learn(number, config, history, state)

    def randomness(self, number: int, draw: int) -> Random:
        """What a proposal's first, second, ... draw is made with."""
        return Random(key(self._seed, "proposal", self._family, number, draw))

    def knows(self, config: Config) -> bool:
        """Whether a configuration was told before."""
        return _text(config) in self._taken

    @abstractmethod
    def _draw(self, rng: Random) -> Config:
        """A configuration in the space; all its randomness comes from `rng`."""

    @abstractmethod
    def _learn(
        self, number: int, config: Config, history: Sequence[tuple[int, float]], state: State
    ) -> None:
        """Take note of a proposal that lies in the space."""


def _text(config: Config) -> str:
    return json.dumps(config, sort_keys=True)

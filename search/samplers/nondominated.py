"""Evolution towards a whole front of configurations, for several objectives."""

from collections.abc import Sequence
from random import Random

from search.domination import Point, crowding, layers
from search.samplers.sampler import Sampler
from search.trial import State
from spaces import Choice, Config, SearchSpace, crossover, mutate, parameters, sample

POPULATION = 20
CROSSOVER = 0.9  # of proposals have two parents; as in the paper


class NondominatedSorting(Sampler):
    """NSGA-II, one child at a time, so that no slot waits for a generation to end.

    The population are the best by layer of domination, then by distance from neighbours. A child
    has two parents, each the better of two; where they took different branches, a value comes from
    the one that has it, so that settings of a branch are inherited as well. One value in a child is
    drawn anew, on average. Only trials that are complete have children.

    Reference:
        Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE
        Transactions on Evolutionary Computation 2002; Durillo et al., "On the effect of the
        steady-state selection scheme in multi-objective genetic algorithms", EMO 2009.
    """

    def __init__(self, space: SearchSpace, *, seed: int, family: str) -> None:
        super().__init__(space, seed=seed, family=family)
        self._points: dict[int, Point] = {}
        self._population: dict[int, Config] = {}
        self._merit: dict[int, tuple[int, float]] = {}

    def _draw(self, rng: Random) -> Config:
        if len(self._population) < POPULATION:
            return sample(self.space, rng)
        mother, father = self._parent(rng), self._parent(rng)
        child = crossover(self.space, mother, father, rng) if rng.random() < CROSSOVER else mother
        return mutate(self.space, child, rng, rate=1 / self._varied(child))

    def _learn(
        self, number: int, config: Config, history: Sequence[tuple[int, float]], state: State
    ) -> None:
        if state != State.complete or not history or number in self._points:
            return
        self._points[number] = (min(loss for _, loss in history), *self.costs[number])
        self._population[number] = config
        self._select()

    def _varied(self, config: Config) -> int:
        """How many values of a configuration could be others; at least one."""
        leaves = parameters(self.space, config).values()
        several = [
            len(leaf.options) > 1 if isinstance(leaf, Choice) else leaf.low < leaf.high
            for leaf in leaves
        ]
        return max(sum(several), 1)

    def _parent(self, rng: Random) -> Config:
        """The better of two."""
        rivals = [rng.choice(sorted(self._population)) for _ in range(2)]
        return self._population[min(rivals, key=self._merit.__getitem__)]

    def _select(self) -> None:
        """Keep the best, and say how good they are."""
        numbers = list(self._population)
        points = [self._points[number] for number in numbers]
        self._merit = {}
        for rank, layer in enumerate(layers(points)):
            distances = crowding([points[place] for place in layer])
            for place, distance in zip(layer, distances, strict=True):
                self._merit[numbers[place]] = (rank, -distance)
        best = sorted(numbers, key=self._merit.__getitem__)[:POPULATION]
        self._population = {number: self._population[number] for number in best}

"""Population-based training: members train side by side, and the worst go on as copies of the best.

A member is a line of training from the first epoch to the last. A trial keeps one configuration for
its life, so that a member which takes another's weights and settings goes on as a new trial.
"""

import math
from collections.abc import Iterator

from search.motion.scheduler import Replacement, Rung, Scheduler
from search.study import SearchSettings

QUARTERS = (
    4  # of the members at a rung, the worst quarter is replaced by copies of the best quarter
)
INTERVALS = 10  # perturbations in a training, unless the study says how many epochs lie between two


class Population:
    """Members that are compared with each other, at rungs which lie equally far apart.

    Args:
        size: Its members, those to come included.
    """

    def __init__(self, size: int, epochs: list[int]) -> None:
        self.size = size
        self.begun = 0
        self.rungs = [Rung(epoch) for epoch in epochs]
        self.copies: dict[int, int] = {}
        """By trial, the copy that goes on in its place."""
        self._withdrawn: set[int] = set()

    def enter(self, number: int, epoch: int, loss: float) -> None:
        """A member stands at a rung; one that failed on the way has an infinite loss."""
        rung = [rung for rung in self.rungs[1:] if rung.epoch <= epoch][-1:] or self.rungs[:1]
        rung[0].enter(number, loss, waits=rung[0] is not self.rungs[-1] and loss < math.inf)

    def leave(self, number: int) -> None:
        """A trial goes on, or is over."""
        for rung in self.rungs:
            rung.leave(number)

    def withdraw(self, number: int) -> None:
        """A trial ended without having been compared, and nothing goes on in its place."""
        self.leave(number)
        if number not in self.copies:
            self._withdrawn.add(number)

    def replacements(self) -> Iterator[Replacement]:
        """The members that are to go on as copies, once all have come to a rung."""
        for rung in self.rungs[:-1]:
            ranking = self._ranking(rung)
            if len(ranking) < self._coming:
                continue
            most = _quarter(len(ranking))
            worst = {number for _, number in ranking[len(ranking) - most :]}
            fit = [number for _, number in ranking if number in rung.waiting - worst]
            for loss, number in ranking:
                failed = loss == math.inf
                to_go = failed or number in worst & rung.waiting
                if to_go and fit and number not in self.copies:
                    yield Replacement(number, tuple(fit[: max(most, 1)]), rung.epoch, failed)

    def replaced(self) -> Iterator[int]:
        """Trials that still wait although a copy goes on in their place."""
        return (number for rung in self.rungs for number in rung.waiting & self.copies.keys())

    def promotion(self) -> int | None:
        """The best of those that wait to go on as they are, at the highest rung with any.

        Before all have come to a rung, they are those that will be neither among the worst quarter
        there nor among the best, whose checkpoints must not go on until they have been copied.
        """
        for rung in reversed(self.rungs[:-1]):
            if not rung.waiting:
                continue
            ranking = self._ranking(rung)
            most = _quarter(self._coming) if len(ranking) < self._coming else 0
            for _, number in ranking[most : len(ranking) - most]:
                if number in rung.waiting:
                    return number
        return None

    def _ranking(self, rung: Rung) -> list[tuple[float, int]]:
        return [each for each in rung.ranking if each[1] not in self._withdrawn]

    @property
    def _coming(self) -> int:
        """How many a rung will have seen once all have come to it that have not withdrawn."""
        return self.size - len(self._withdrawn)


class PopulationTraining(Scheduler):
    """Population-based training of the numbers in the training section.

    The trials of a family's budget are the members of its population, and each of them trains for
    as many epochs as a trial may: a family spends what its trials would without a scheduler. At a
    rung, the worst quarter goes on with weights and settings of the best, the settings perturbed.
    Members are compared by their latest value at the same epoch. None waits that will be in neither
    quarter, whatever the others do.

    More budget adds a population of the additional trials.

    Reference:
        Jaderberg et al., "Population based training of neural networks", arXiv 1711.09846, 2017:
        truncation selection, with their 20 % rounded to a quarter as Liaw et al., "Tune", 2018.
    """

    latest = True

    def __init__(self, epochs: int, settings: SearchSettings) -> None:
        super().__init__(epochs, settings)
        self.populations: list[Population] = []
        self._population_of: dict[int, Population] = {}

    @staticmethod
    def ladder(epochs: int, settings: SearchSettings) -> list[int]:
        """Every `perturbation_epochs`, and the end: 30 epochs give 3, 6, ..., 27, 30."""
        step = settings.perturbation_epochs or -(-epochs // INTERVALS)
        return [*range(step, epochs, step), epochs]

    def expect(self, trials: int | None) -> None:
        """So many members in all; those of an earlier, smaller budget are among themselves."""
        more = (trials or 0) - sum(population.size for population in self.populations)
        if more > 0:
            self.populations.append(Population(more, self._epochs))
        for population in reversed(self.populations):
            kept = max(population.size + min(more, 0), population.begun)
            more += population.size - kept
            population.size = kept
        rungs = [rung for population in self.populations for rung in population.rungs]
        self.rungs = sorted(rungs, key=lambda rung: rung.epoch)

    def close(self) -> None:
        """No more members will come."""
        for population in self.populations:
            population.size = population.begun

    def begin(self, number: int) -> None:
        """A member begins."""
        open_ones = (each for each in self.populations if each.begun < each.size)
        population = next(open_ones, None)
        assert population is not None
        population.begun += 1
        self._population_of[number] = population

    def replace(self, number: int, copy: int) -> None:
        """A member goes on as trial `copy`."""
        population = self._population_of[copy] = self._population_of[number]
        population.copies[number] = copy

    def enter(self, number: int, epoch: int, loss: float) -> None:
        """In the trial's own population."""
        self._population_of[number].enter(number, epoch, loss)

    def leave(self, number: int) -> None:
        """The trial goes on, or is over."""
        self._population_of[number].leave(number)

    def give_up(self, number: int) -> None:
        """The trial is over, and unless a copy is in its place, its member is, too."""
        self._population_of[number].withdraw(number)

    def replacements(self) -> list[Replacement]:
        """What `Population.replacements` says of all."""
        return [each for population in self.populations for each in population.replacements()]

    def replaced(self) -> list[int]:
        """What `Population.replaced` says of all."""
        return sorted(number for each in self.populations for number in each.replaced())

    def promotion(self) -> int | None:
        """That of the first population that has one."""
        found = (population.promotion() for population in self.populations)
        return next((number for number in found if number is not None), None)

    def closing_promotion(self) -> int | None:
        """As `promotion`; else the best of the furthest where none is complete."""
        number = self.promotion()
        return self.completion() if number is None else number


def _quarter(members: int) -> int:
    """A quarter of them, at least one where there is another to copy."""
    return max(members // QUARTERS, min(members // 2, 1))

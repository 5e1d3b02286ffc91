"""Successive halving: most trials train for few epochs, and the best of them go on."""

import math

from search.motion.scheduler import Rung, Scheduler
from search.study import SearchSettings

MOST_RUNGS = 4  # with a factor of 3 the first is at a 27th; earlier, a curve says little of its end


class FullTraining(Scheduler):
    """Trains every trial to the end; none ever waits."""

    @staticmethod
    def ladder(epochs: int, settings: SearchSettings) -> list[int]:
        """The end of the training alone."""
        return [epochs]

    def promotion(self) -> int | None:
        """None."""
        return None

    def closing_promotion(self) -> int | None:
        """None."""
        return None


class Asha(Scheduler):
    """Asynchronous successive halving with promotion.

    A trial goes on from a rung while it is among the best 1/eta of all that ever reached it; the
    higher rungs are asked first. One that was passed over can still be promoted when more arrive.
    Nothing waits for a rung to fill up, so that every slot is busy. At the close, the best of every
    rung goes on, as synchronous halving would have it.

    Args:
        epochs: R of the paper, the most that one trial may train.
        settings: `reduction_factor` is its eta and `first_rung_epochs` its r, the least epochs of
            a trial. Its s, the rungs left out at the bottom, leaves `MOST_RUNGS` at most.

    Reference:
        Li et al., "A system for massively parallel hyperparameter tuning", MLSys 2020, Algorithm 2.
    """

    def __init__(self, epochs: int, settings: SearchSettings) -> None:
        super().__init__(epochs, settings)
        self._eta = settings.reduction_factor

    @staticmethod
    def ladder(epochs: int, settings: SearchSettings) -> list[int]:
        """`epochs` divided by eta again and again: 81 gives 3, 9, 27, 81; 30 gives 1, 3, 10, 30."""
        rungs = [epochs]
        while len(rungs) < MOST_RUNGS:
            below = epochs // settings.reduction_factor ** len(rungs)
            if below < settings.first_rung_epochs:
                break
            rungs.append(below)
        return rungs[::-1]

    def promotion(self) -> int | None:
        """The best waiting trial of the highest rung on which it is among the best 1/eta."""
        return next((r.best_waiting() for r in reversed(self.rungs) if self._deserves(r)), None)

    def closing_promotion(self) -> int | None:
        """As `promotion`, where at least one of each rung goes on; else `completion`."""
        for rung in reversed(self.rungs):
            if rung.best_waiting() not in self._settled and self._deserves(rung, at_least=1):
                return rung.best_waiting()
        return self.completion()

    def _deserves(self, rung: Rung, at_least: int = 0) -> bool:
        """Whether it is among the best 1/eta, or among the best so many."""
        most = max(len(rung) // self._eta, at_least)
        return bool(rung.waiting) and rung.rank_of_best_waiting() < most


class Hyperband(Scheduler):
    """Several successive halvings side by side, from one with many short trainings to full ones.

    How much early epochs say of late ones is not known beforehand, so that the brackets differ in
    the rung at which they begin: the first has all rungs of `Asha`, the last the end alone. A new
    trial goes to the bracket that is farthest behind its share of the trials, the paper's n. In a
    bracket trials go on as under `Asha`, without waiting for a rung to fill up; at the close, the
    best of each bracket is trained to the end.

    Reference:
        Li et al., "Hyperband: a novel bandit-based approach to hyperparameter optimization", JMLR
        18, 2018, Algorithm 1; with the promotion of Li et al. 2020, section 3.2.
    """

    def __init__(self, epochs: int, settings: SearchSettings) -> None:
        super().__init__(epochs, settings)
        brackets = [
            Asha(epochs, settings.model_copy(update={"first_rung_epochs": first}))
            for first in self._epochs
        ]
        halvings = len(brackets) - 1
        eta = settings.reduction_factor
        self.brackets = brackets
        self.shares = [
            math.ceil((halvings + 1) / (left + 1) * eta**left) for left in range(halvings, -1, -1)
        ]
        """By bracket, its trials in one round."""
        self.begun = [0] * len(brackets)
        for bracket in brackets:
            bracket._settled = self._settled
        self._bracket_of: dict[int, int] = {}
        self.rungs = sorted(
            (rung for bracket in brackets for rung in bracket.rungs), key=lambda rung: rung.epoch
        )

    @staticmethod
    def ladder(epochs: int, settings: SearchSettings) -> list[int]:
        """That of the first bracket, which is that of `Asha`; each begins one of the brackets."""
        return Asha.ladder(epochs, settings)

    def begin(self, number: int) -> None:
        """Give the trial to a bracket; of those equally far behind, to that with more rungs."""
        behind = range(len(self.brackets))
        bracket = min(behind, key=lambda index: (self.begun[index] + 0.5) / self.shares[index])
        self.begun[bracket] += 1
        self._bracket_of[number] = bracket

    def next_stop(self, number: int, epoch: int) -> int:
        """In the trial's own bracket."""
        return self._bracket(number).next_stop(number, epoch)

    def enter(self, number: int, epoch: int, loss: float) -> None:
        """In the trial's own bracket."""
        self._bracket(number).enter(number, epoch, loss)

    def settle(self, number: int, epoch: int, loss: float) -> bool:
        """In the trial's own bracket."""
        return self._bracket(number).settle(number, epoch, loss)

    def leave(self, number: int) -> None:
        """The trial leaves its own bracket."""
        self._bracket(number).leave(number)

    def promotion(self) -> int | None:
        """That of the first bracket that has one."""
        found = (bracket.promotion() for bracket in self.brackets)
        return next((number for number in found if number is not None), None)

    def closing_promotion(self) -> int | None:
        """As `promotion`, where the best of each rung goes on."""
        found = (bracket.closing_promotion() for bracket in self.brackets)
        return next((number for number in found if number is not None), None)

    def _bracket(self, number: int) -> Asha:
        return self.brackets[self._bracket_of[number]]

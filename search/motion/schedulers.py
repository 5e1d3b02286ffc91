"""Which trials train on: one scheduler for each family, so that no family can end another's."""

import math
from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right, insort
from heapq import heappop, heappush

from search.study import SearchSettings

MOST_RUNGS = 4  # with a factor of 3 the first is at a 27th; earlier, a curve says little of its end


class Rung:
    """An epoch, with all trials of a family that ever reached it and those that wait there."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.waiting: set[int] = set()
        self._ranking: list[tuple[float, int]] = []
        self._queue: list[tuple[float, int]] = []

    def __len__(self) -> int:
        return len(self._ranking)

    def enter(self, number: int, loss: float, *, waits: bool) -> None:
        """Rank a trial; equal losses rank in the order of their numbers."""
        insort(self._ranking, (loss, number))
        if waits:
            heappush(self._queue, (loss, number))
            self.waiting.add(number)

    def leave(self, number: int) -> None:
        """The trial waits no longer; its rank stays."""
        self.waiting.discard(number)
        while self._queue and self._queue[0][1] not in self.waiting:
            heappop(self._queue)

    def best_waiting(self) -> int | None:
        """The best of the trials that wait here."""
        return self._queue[0][1] if self._queue else None

    def best_loss_waiting(self) -> float:
        """The loss of `best_waiting`."""
        return self._queue[0][0]

    def rank_of_best_waiting(self) -> int:
        """How many trials, waiting or not, rank before `best_waiting`."""
        return bisect_left(self._ranking, self._queue[0])

    def has_result(self) -> bool:
        """Whether a trial arrived here with a finite loss."""
        return bool(self._ranking) and self._ranking[0][0] < math.inf


class Scheduler(ABC):
    """A ladder of rungs at which the trials of one family are judged.

    A trial is told of by `begin`, trains to its `next_stop` and is entered there with its best loss
    so far; then it waits. `promotion` names a waiting trial that deserves to go on; `leave`
    confirms that it does. One that has settled (its value no longer improves) waits, too, and goes
    on without training.

    Args:
        epochs: The most that one trial may train.
    """

    def __init__(self, epochs: int, settings: SearchSettings) -> None:
        self._epochs = self.ladder(epochs, settings)
        self.rungs = [Rung(epoch) for epoch in self._epochs]
        self._settled: set[int] = set()

    @staticmethod
    @abstractmethod
    def ladder(epochs: int, settings: SearchSettings) -> list[int]:
        """The epochs of the rungs, ascending; the last is `epochs`."""

    def begin(self, number: int) -> None:  # noqa: B027 - a single ladder treats all alike
        """Trial `number` is new."""

    def next_stop(self, number: int, epoch: int) -> int:
        """The epoch to which trial `number`, having trained `epoch` epochs, trains next."""
        return self._epochs[min(bisect_right(self._epochs, epoch), len(self._epochs) - 1)]

    def enter(self, number: int, epoch: int, loss: float) -> None:
        """Trial `number` stands at `epoch`; one that failed on the way has an infinite loss."""
        index = max(bisect_right(self._epochs, epoch) - 1, 0)
        waits = index < len(self.rungs) - 1 and loss < math.inf
        self.rungs[index].enter(number, loss, waits=waits)
        self._climb()

    def settle(self, number: int, epoch: int, loss: float) -> bool:
        """Trial `number` is over at `epoch`, before its last, for it had ceased to improve.

        Its best loss competes at the rung that it was on its way to. Whenever it deserves to go on
        from there, it is at the next one at once.

        Returns:
            Whether it already stands with those that have trained to the end.
        """
        self._settled.add(number)
        self._place(min(bisect_left(self._epochs, epoch), len(self.rungs) - 1), number, loss)
        self._climb()
        return not any(number in rung.waiting for rung in self.rungs)

    def leave(self, number: int) -> None:
        """Trial `number` goes on or has ended: it waits no longer, but its rank stays."""
        for rung in self.rungs:
            rung.leave(number)
        self._climb()

    def _place(self, index: int, number: int, loss: float) -> None:
        self.rungs[index].enter(number, loss, waits=index < len(self.rungs) - 1)

    def _climb(self) -> None:
        """Settled trials that deserve to go on from a rung are at the next one."""
        for index, rung in enumerate(self.rungs[:-1]):
            while (number := rung.best_waiting()) in self._settled and self._deserves(rung):
                assert number is not None
                loss = rung.best_loss_waiting()
                rung.leave(number)
                self._place(index + 1, number, loss)

    def waiting(self) -> list[int]:
        """The trials that wait and have not settled, in the order of their numbers."""
        return sorted(number for rung in self.rungs for number in rung.waiting - self._settled)

    def _deserves(self, rung: Rung) -> bool:
        """Whether the best that waits at a rung, if any does, is to go on; where none waits, no."""
        return False

    @abstractmethod
    def promotion(self) -> int | None:
        """The waiting trial that deserves to go on, if any."""

    @abstractmethod
    def closing_promotion(self) -> int | None:
        """As `promotion`, now that no more trials will come and none is in flight."""

    def completion(self) -> int | None:
        """The trial to complete if none is: the best of the furthest."""
        furthest = self._furthest()
        return None if furthest is None else furthest.best_waiting()

    def missing_epochs(self) -> int:
        """The epochs that `completion` would take; 0 where nothing needs to be completed."""
        furthest = self._furthest()
        return 0 if furthest is None else self._epochs[-1] - furthest.epoch

    def _furthest(self) -> Rung | None:
        """The highest rung with trials that wait; None where a complete one is as good as they."""
        if any(rung.has_result() for rung in self.rungs if rung.epoch == self._epochs[-1]):
            return None
        furthest = next((rung for rung in reversed(self.rungs) if rung.waiting), None)
        if furthest is None or furthest.best_waiting() in self._settled:
            return None
        return furthest


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


SCHEDULERS: dict[str, type[Scheduler]] = {
    "none": FullTraining,
    "asha": Asha,
    "hyperband": Hyperband,
}

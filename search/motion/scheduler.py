"""The interface of all schedulers: a ladder of rungs, at which the trials of a family wait."""

import math
from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import ClassVar

from search.study import SearchSettings


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

    @property
    def ranking(self) -> list[tuple[float, int]]:
        """The loss and number of each trial that ever came here, best first."""
        return self._ranking

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


@dataclass(frozen=True, slots=True)
class Replacement:
    """A trial that another is to go on in place of, as a copy of a third.

    Args:
        number: The trial whose place is taken.
        donors: Those that may be copied, as good as each other; all wait at the same epoch.
        epoch: That epoch.
        ended: Whether the trial is over already, since it failed on the way there.
    """

    number: int
    donors: tuple[int, ...]
    epoch: int
    ended: bool


class Scheduler(ABC):
    """A ladder of rungs at which the trials of one family are judged.

    A trial is told of by `begin`, trains to its `next_stop` and is entered there with its best loss
    so far; then it waits. `promotion` names a waiting trial that deserves to go on; `leave`
    confirms that it does. One that has settled (its value no longer improves) waits, too, and goes
    on without training.

    Args:
        epochs: The most that one trial may train.

    Attributes:
        latest: Whether trials are compared by their latest loss instead of the best so far.
    """

    latest: ClassVar[bool] = False

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

    def expect(self, trials: int | None) -> None:  # noqa: B027 - a ladder has room for any number
        """The study's budget is so many trials of the family; None if it is another."""

    def close(self) -> None:  # noqa: B027 - nothing waits for others
        """No more trials will begin, though the budget may allow them."""

    def replacements(self) -> Sequence[Replacement]:
        """The trials whose places copies of others are to take."""
        return ()

    def replace(self, number: int, copy: int) -> None:  # noqa: B027 - only where there are copies
        """Trial `copy` goes on in the place of trial `number`."""

    def replaced(self) -> Sequence[int]:
        """Trials that still wait although a copy goes on in their place."""
        return ()

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

    def give_up(self, number: int) -> None:
        """Trial `number` has ended without a result."""
        self.leave(number)

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

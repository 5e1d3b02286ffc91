"""What became of a family's proposals, for samplers that keep their own account of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from random import Random
from typing import Any

from search.trial import USELESS, State
from spaces import Config, SearchSpace, flatten, mutate, sample

RIVALS = 5  # of whom the best becomes a parent
TRIES = 16  # to draw a child that differs from its parent


@dataclass(frozen=True, slots=True)
class Result:
    """What is known of a trial that has a result.

    Attributes:
        best: The best loss so far at each epoch that was told, ascending.
        complete: Whether it trained to its end.
    """

    number: int
    config: Config
    best: tuple[tuple[int, float], ...]
    complete: bool

    @property
    def rank(self) -> tuple[bool, int, float, int]:
        """Smaller is better: complete ones by their loss, then the others, the furthest first."""
        epoch, loss = self.best[-1]
        return not self.complete, 0 if self.complete else -epoch, loss, self.number

    def at(self, epoch: int) -> float | None:
        """The best loss up to an epoch; None for a trial that did not come so far."""
        if self.best[-1][0] < epoch and not self.complete:
            return None
        return min((loss for known, loss in self.best if known <= epoch), default=None)


class Results:
    """The results of one family, by number of the proposal; failed trials have none."""

    def __init__(self) -> None:
        self._by_number: dict[int, Result] = {}

    def __len__(self) -> int:
        return len(self._by_number)

    def __iter__(self) -> Iterator[Result]:
        return iter(self._by_number.values())

    def __contains__(self, number: int) -> bool:
        return number in self._by_number

    def __getitem__(self, number: int) -> Result:
        return self._by_number[number]

    def learn(
        self, number: int, config: Config, history: Sequence[tuple[int, float]], state: State
    ) -> None:
        """Take note of what `Sampler.tell` was told."""
        if state in USELESS or not history:
            self._by_number.pop(number, None)
            return
        best, curve = float("inf"), []
        for epoch, loss in history:
            best = min(best, loss)
            curve.append((epoch, best))
        self._by_number[number] = Result(number, config, tuple(curve), state == State.complete)

    def latest(self, count: int) -> list[Result]:
        """Those with the highest numbers, in the order of their numbers."""
        return [self._by_number[number] for number in sorted(self._by_number)[-count:]]


def child(
    space: SearchSpace, parents: Sequence[Result], rng: Random, *, rate: float | None = None
) -> Config:
    """A mutation of the best of a few of `parents`; a random draw if there are none.

    Args:
        rate: The share of settings that change; without it one on average, and one at least if
            that can be had.
    """
    if not parents:
        return sample(space, rng)
    rivals = rng.sample(parents, min(RIVALS, len(parents)))
    parent = min(rivals, key=lambda each: each.rank).config
    if rate is not None:
        return mutate(space, parent, rng, rate=rate)
    one = 1 / max(len(flatten(space, parent)), 1)
    drawn = parent
    for _ in range(TRIES):
        drawn = mutate(space, parent, rng, rate=one)
        if drawn != parent:
            break
    return drawn


def best_and_even_sample(ranks: Mapping[int, Any], *, best: int, others: int) -> list[int]:
    """The numbers with the smallest ranks and an even sample, over time, of the rest."""
    numbers = sorted(ranks)
    if len(numbers) <= best + others:
        return numbers
    first = set(nsmallest(best, numbers, key=ranks.__getitem__))
    rest = [number for number in numbers if number not in first]
    spread = [rest[place * len(rest) // others] for place in range(others)]
    return sorted([*first, *spread])

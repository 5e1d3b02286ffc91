"""Which example is train, which valid and which test; every rule can be said in a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from trainers.benchmarks.draws import Draws
from trainers.own_data.description import OwnData
from trainers.own_data.table import DATA, TEST, VALID

NAMES: Final = ("train", "valid", "test")


@dataclass(frozen=True, slots=True)
class Division:
    """The split of every example, (examples,), and the rule in words."""

    splits: np.ndarray
    rule: str

    @property
    def is_train(self) -> np.ndarray:
        """(examples,) bool."""
        train: np.ndarray = self.splits == DATA
        return train


def divide(
    own: OwnData,
    parts: np.ndarray,
    *,
    classes: tuple[np.ndarray, Sequence[str]] | None = None,
    groups: np.ndarray | None = None,
) -> Division:
    """Hold out of the examples of `data` what no files give.

    Args:
        parts: (examples,) what the file of each example was given as.
        classes: (examples,) codes, and what the classes are called; as much of each is held out.
        groups: (examples,) codes; no group comes into two splits.

    Raises:
        ValueError: There are too few examples, groups, or examples of a class.
    """
    if own.valid:
        return Division(parts, "train, valid and test are files of their own")
    shares = {VALID: own.valid_share} | ({} if own.test else {TEST: own.test_share})
    inside = np.flatnonzero(parts == DATA)
    order = Draws(own.seed).permutation(len(inside))
    if groups is not None:
        drawn = _by_group(groups[inside], order, shares)
        how = f"whole groups of {own.group!r} at random"
    elif classes is not None:
        drawn = _by_class(classes[0][inside], classes[1], order, shares)
        how = "the same share of every class at random"
    else:
        drawn = _at_random(order, shares)
        how = "at random"
    splits = parts.copy()
    splits[inside] = drawn
    held = " and ".join(f"{share:.0%} as {NAMES[part]}" for part, share in shares.items())
    rule = f"{held} held out, {how}, with seed {own.seed}"
    return Division(splits, rule + ("; test is a file of its own" if own.test else ""))


def _at_random(order: np.ndarray, shares: dict[int, float]) -> np.ndarray:
    splits = np.full(len(order), DATA)
    if len(order) <= len(shares):
        raise ValueError(
            f"there must be at least {len(shares) + 1} examples, one for each split, "
            f"got {len(order)}"
        )
    for others, (part, share) in zip(range(len(shares))[::-1], shares.items(), strict=True):
        free = order[splits[order] == DATA]
        count = max(1, int(share * len(order) + 0.5))
        splits[free[: min(count, len(free) - 1 - others)]] = part
    return splits


def _by_class(
    codes: np.ndarray, names: Sequence[str], order: np.ndarray, shares: dict[int, float]
) -> np.ndarray:
    splits = np.full(len(codes), DATA)
    for code in np.unique(codes):
        members = order[codes[order] == code]
        if len(members) <= len(shares):
            raise ValueError(
                f"every class must have at least {len(shares) + 1} examples, one for each split, "
                f"but {names[code]!r} has {len(members)}; leave it out, merge it with another, or "
                f"give `valid` and `test` files (for numbers the task is regression)"
            )
        splits[members] = _at_random(np.arange(len(members)), shares)
    return splits


def _by_group(groups: np.ndarray, order: np.ndarray, shares: dict[int, float]) -> np.ndarray:
    """Groups as they come in `order` until a share is reached; the largest is always train."""
    codes, sizes = np.unique(groups, return_counts=True)
    if len(codes) <= len(shares):
        raise ValueError(
            f"`group` must name a column of at least {len(shares) + 1} groups, one for each split, "
            f"got {len(codes)}"
        )
    sizes_of = dict(zip(codes.tolist(), sizes.tolist(), strict=True))
    largest = int(codes[sizes.argmax()])
    met = [group for group in dict.fromkeys(groups[order].tolist()) if group != largest]
    splits = np.full(len(groups), DATA)
    for others, (part, share) in zip(range(len(shares))[::-1], shares.items(), strict=True):
        count = 0
        while not count or (len(met) > others and count < share * len(groups)):
            group = met.pop()
            count += sizes_of[group]
            splits[groups == group] = part
    return splits

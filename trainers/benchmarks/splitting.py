"""Rules by which examples come to train, valid and test where a benchmark does not fix them."""

import numpy as np

from trainers.benchmarks.draws import Draws

SEED = 0


def hold_out(classes: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Split examples into kept and held-out ones, the same share of every class.

    Args:
        classes: (examples,) class numbers.
        share: Of every class this share is held out, rounded to whole examples, half upwards.

    Returns:
        The places of the kept and of the held-out examples, in their order.

    Raises:
        ValueError: A class would be left without a kept or without a held-out example.
    """
    held = np.zeros(len(classes), dtype=bool)
    order = Draws(SEED).permutation(len(classes))
    for label in np.unique(classes):
        members = order[classes[order] == label]
        count = int(share * len(members) + 0.5)
        if not 0 < count < len(members):
            raise ValueError(
                f"every class needs examples on both sides of a split, but {share:.0%} of the "
                f"{len(members)} of class {label} are {count}"
            )
        held[members[:count]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def deal_folds(classes: np.ndarray, count: int) -> np.ndarray:
    """(examples,) a fold from 0 to `count` - 1 for each; folds are even within every class."""
    folds = np.empty(len(classes), dtype=np.int64)
    order = Draws(SEED).permutation(len(classes))
    for label in np.unique(classes):
        members = order[classes[order] == label]
        folds[members] = np.arange(len(members)) % count
    return folds

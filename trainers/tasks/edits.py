"""How many edits lie between two sequences of labels."""

from collections.abc import Sequence

import numpy as np


def edit_distance(found: Sequence[int], expected: Sequence[int]) -> int:
    """The fewest labels put in, left out or replaced that make one sequence of the other.

    Reference:
        Wagner & Fischer, "The string-to-string correction problem", 1974, row by row.
    """
    wanted, places = np.asarray(expected), np.arange(len(expected) + 1)
    row = places
    for count, label in enumerate(found, 1):
        begun = np.empty_like(row)
        begun[0] = count
        begun[1:] = np.minimum(row[1:] + 1, row[:-1] + (wanted != label))
        # putting labels in costs 1 each, so that the best way here comes from any place before
        row = np.minimum.accumulate(begun - places) + places
    return int(row[-1])

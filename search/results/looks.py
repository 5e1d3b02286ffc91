"""When a race of finalists is judged, and how sure a claim must be each time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import ndtr, ndtri

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Look:
    """One time at which families are compared; those not told apart get more seeds.

    Attributes:
        seeds: All those that finalists were trained on by then.
        new: Those of them that came since the look before, in order.
        level: The share of studies with equal families that may make a false claim at this look.
    """

    seeds: frozenset[int]
    new: tuple[int, ...]
    level: float


def looks(seeds: Sequence[int], *, first: int, most: int) -> list[Look]:
    """The looks of a race, as far as it has come: after `first` seeds, twice as many, and so on.

    What may go wrong at each look adds up to `ALPHA` over all of them, whatever depends on what,
    and whoever was left out of the later ones. Early looks get little of it, so that the last is
    nearly as sharp as a single one.

    Args:
        seeds: In the order in which they are trained on, `most` of them or fewer.

    Reference:
        Lan and DeMets, "Discrete sequential boundaries for clinical trials", Biometrika 70, 1983:
        their spending function alpha*_1, of O'Brien and Fleming's type. The levels are used as
        they are, without their correction for correlated looks, which is on the safe side.
    """
    found = []
    for start in range(0, min(len(seeds), most), first):
        end = min(start + first, most)
        level = _spent(end / most) - _spent(start / most)
        found.append(Look(frozenset(seeds[:end]), tuple(seeds[start:end]), level))
    return found


def _spent(share: float) -> float:
    """What of `ALPHA` may be spent by the time a share of the seeds is there."""
    if share == 0:
        return 0.0
    return float(2 * (1 - ndtr(ndtri(1 - ALPHA / 2) / math.sqrt(share))))

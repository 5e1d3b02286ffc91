"""Several objectives at once: what is better in all of them, and what is on the front."""

from collections.abc import Sequence

Point = Sequence[float]
"""Values that are all to become small."""


def dominates(one: Point, other: Point) -> bool:
    """Whether `one` is nowhere worse than `other`, and somewhere better."""
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def front(points: Sequence[Point]) -> set[int]:
    """The places of the points that no other dominates (the Pareto front); equal ones all are."""
    kept: list[int] = []
    # in this order nothing is dominated by what comes later
    for place in sorted(range(len(points)), key=lambda place: tuple(points[place])):
        if not any(dominates(points[other], points[place]) for other in kept):
            kept.append(place)
    return set(kept)


def layers(points: Sequence[Point]) -> list[list[int]]:
    """The places, front after front: each is the front of what the ones before have left.

    Reference:
        Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE
        Transactions on Evolutionary Computation 2002, section III A.
    """
    left, found = list(range(len(points))), []
    while left:
        best = front([points[place] for place in left])
        found.append([left[index] for index in sorted(best)])
        left = [place for index, place in enumerate(left) if index not in best]
    return found


def crowding(points: Sequence[Point]) -> list[float]:
    """How far apart the neighbours of each point are; the ends of an objective are infinitely so.

    Reference:
        As `layers`, section III B.
    """
    distances = [0.0] * len(points)
    for objective in range(len(points[0]) if points else 0):
        order = sorted(range(len(points)), key=lambda place: points[place][objective])
        low, high = points[order[0]][objective], points[order[-1]][objective]
        distances[order[0]] = distances[order[-1]] = float("inf")
        if high == low:
            continue
        for before, place, after in zip(order, order[1:], order[2:], strict=False):
            gap = points[after][objective] - points[before][objective]
            distances[place] += gap / (high - low)
    return distances

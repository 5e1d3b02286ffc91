"""Configurations near another one, for where a width alone does not bring a model to its size."""

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, combinations, islice

from spaces import Choice, Config, Int, Parameter, SearchSpace, Value, build, flatten, parameters
from spaces.parameters import is_number

MOST_NEIGHBOURS = 80


def neighbours(
    space: SearchSpace, config: Config, width: str, count: Callable[[Config], float | None]
) -> Iterator[Config]:
    """`config` with one whole number of its model changed, or two; the nearest first.

    Args:
        width: The path of the setting that is fitted, and not changed here.
        count: The parameters of a model. Settings that do not change it stay as they are.
    """
    values = flatten(space, config)

    def changed(*moves: tuple[float, str, int]) -> Config:
        others: Mapping[str, Value] = {path: value for _, path, value in moves}
        made: Config = build(space, lambda path, _: others.get(path, values[path]))
        return made

    here = count(config)
    single = []
    for path, leaf in parameters(space, config).items():
        if path.startswith("model/") and path != width and not path.endswith("/count"):
            moves = [(_distance(values[path], to), path, to) for to in _whole_numbers(leaf)]
            moves = sorted(move for move in moves if move[2] != values[path])
            if moves and any(count(changed(move)) != here for move in (moves[0], moves[-1])):
                single += moves
    pairs = (pair for pair in combinations(sorted(single), 2) if pair[0][1] != pair[1][1])
    nearest = sorted(pairs, key=lambda pair: pair[0][0] + pair[1][0])
    ways = chain(((move,) for move in sorted(single)), nearest)
    return (changed(*moves) for moves in islice(ways, MOST_NEIGHBOURS))


def _whole_numbers(leaf: Parameter) -> list[int]:
    """The values of a leaf that decides on shapes: all, or the powers of two of a long range."""
    if leaf.kind != "shape":
        return []
    if isinstance(leaf, Choice):
        numbers = [each for each in leaf.options if isinstance(each, int) and is_number(each)]
        return numbers if len(numbers) == len(leaf.options) else []
    if not isinstance(leaf, Int):
        return []
    if leaf.high - leaf.low < 8:
        return [*range(leaf.low, leaf.high + 1)]
    powers = (2**power for power in range(leaf.high.bit_length()))
    return [each for each in powers if leaf.contains(each)]


def _distance(one: object, other: object) -> float:
    """How many times larger, in the logarithm."""
    assert isinstance(one, int)
    assert isinstance(other, int)
    return abs(math.log1p(max(one, 0)) - math.log1p(max(other, 0)))

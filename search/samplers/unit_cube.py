"""The numbers that every configuration of a space has, as a point in the unit cube."""

import math
from collections.abc import Sequence
from typing import cast

from spaces import (
    Config,
    Float,
    Int,
    Node,
    OneOf,
    Repeat,
    SearchSpace,
    Value,
    build,
    flatten,
    join,
)

Number = Float | Int


class UnitCube:
    """The ranges of a space that do not depend on any choice, each stretched to [0, 1].

    A number inside a branch or a repeated part that some configurations lack is not among them,
    nor is one that cannot vary.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.leaves = dict(_numbers(space, ""))

    def place(self, config: Config) -> list[float]:
        """Where a configuration lies."""
        values = flatten(self.space, config)
        return [_to_unit(leaf, values[path]) for path, leaf in self.leaves.items()]

    def config(self, place: Sequence[float], others: Config) -> Config:
        """The configuration at a point; what is not in the cube is as in `others`."""
        values = flatten(self.space, others)
        for (path, leaf), unit in zip(self.leaves.items(), place, strict=True):
            values[path] = _from_unit(leaf, float(unit))
        return cast(Config, build(self.space, lambda path, _: values[path]))


def _numbers(node: Node, path: str) -> list[tuple[str, Number]]:
    parts: list[tuple[Node, str]]
    match node:
        case SearchSpace():
            parts = [(child, join(path, name)) for name, child in node.children.items()]
        case OneOf():
            parts = [(each, path) for each in node.options.values() if len(node.options) == 1]
        case Repeat():
            fixed = node.count.high if node.count.low == node.count.high else 0
            parts = [(node.child, join(path, str(index))) for index in range(fixed)]
        case Float() | Int():
            return [(path, node)] if node.low < node.high else []
        case _:
            return []
    return [number for child, below in parts for number in _numbers(child, below)]


def _ends(leaf: Number) -> tuple[float, float]:
    """The ends of the range, in the logarithm where it has one; a whole number has a width."""
    half = 0.5 if isinstance(leaf, Int) else 0.0
    low, high = leaf.low - half, leaf.high + half
    return (math.log(low), math.log(high)) if leaf.log else (low, high)


def _to_unit(leaf: Number, value: Value) -> float:
    low, high = _ends(leaf)
    number = float(value)
    return ((math.log(number) if leaf.log else number) - low) / (high - low)


def _from_unit(leaf: Number, unit: float) -> Value:
    low, high = _ends(leaf)
    number = low + unit * (high - low)
    number = math.exp(number) if leaf.log else number
    if isinstance(leaf, Int):
        return min(max(round(number), leaf.low), leaf.high)
    return min(max(number, leaf.low), leaf.high)

"""How large a model may be: proposals get a width that fits, or are drawn again."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from search.motion.randomness import key
from search.study import SearchSettings
from spaces import (
    Choice,
    Config,
    Int,
    Node,
    OneOf,
    Parameter,
    SearchSpace,
    default,
    largest,
    sample,
    smallest,
)

TOLERANCE = 0.05
"""How far a model may be from `match_parameters`, as a share of it."""
TRIES = 256  # random configurations, before a family is said to be out of reach

Count = Callable[[Config], int]
"""The parameters of a configuration's model; ValueError if there is no such model."""


@dataclass(frozen=True, slots=True)
class Width:
    """The one setting that makes the models of a family wider.

    Args:
        path: Where it is in a configuration, such as ``model/hidden_size``.
        step: The number that it must be a multiple of, given the rest of the configuration.
    """

    path: str
    step: Callable[[Config], int] = lambda config: 1


class Sizing:
    """Holds the proposals of one family to `match_parameters` and `max_parameters`.

    Where models are matched, the width is not searched: it follows from the other settings, and
    may be any whole number from the lowest to the highest that the space has for it.

    Args:
        space: What may vary in the family, the width included.
        width: What is fitted; without matching, nothing is.

    Attributes:
        space: Where the configurations that are trained lie.
        drawn: Where a sampler draws; a matched width stays at its default there.

    Raises:
        ValueError: The space has no such width, or it is no number.
    """

    def __init__(
        self, space: SearchSpace, settings: SearchSettings, count: Count, width: Width
    ) -> None:
        self.space = self.drawn = space
        self.match, self.most = settings.match_parameters, settings.max_parameters
        self._count = count
        self._width = width
        self._place = width.path.split("/")
        self._counts: dict[str, int | None] = {}
        if self.match is not None:
            self.space = _changed(space, self._place, _between)
            self.drawn = _changed(self.space, self._place, _pinned)

    def fit(self, config: Config) -> Config | None:
        """The configuration that is trained where a sampler drew `config`; None to draw again."""
        fitted = config if self.match is None else self._nearest(config)
        return fitted if fitted is not None and self.admits(fitted) else None

    def admits(self, config: Config) -> bool:
        """Whether a model is of a size that the limits allow."""
        count = self.count(config)
        if count is None or (self.most is not None and count > self.most):
            return False
        return self.match is None or abs(count - self.match) <= TOLERANCE * self.match

    def as_drawn(self, config: Config) -> Config:
        """What a sampler drew where `config` was trained."""
        if self.match is None:
            return config
        pinned = _leaf(self.drawn, config, self._place)
        return _with(config, self._place, pinned.default)

    def count(self, config: Config) -> int | None:
        """The parameters of a configuration; None if its settings do not fit one another."""
        text = json.dumps([config.get("model"), config.get("head")], sort_keys=True)
        if text not in self._counts:
            try:
                self._counts[text] = self._count(config)
            except ValueError:
                self._counts[text] = None
        return self._counts[text]

    def check(self, family: str) -> None:
        """Refuse limits that the family cannot meet, as far as some hundred draws can tell.

        Raises:
            ValueError: None of the draws meets them.
        """
        corners = [default(self.drawn), smallest(self.drawn), largest(self.drawn)]
        found = []
        for draw in range(len(corners) + TRIES):
            rng = Random(key(0, "reach", draw))
            config = corners[draw] if draw < len(corners) else sample(self.drawn, rng)
            if self.fit(config) is not None:
                return
            sized = self._nearest(config) if self.match is not None else config
            count = None if sized is None else self.count(sized)
            found += [] if count is None else [count]
        raise ValueError(self._out_of_reach(family, len(corners) + TRIES, found))

    @property
    def limits(self) -> str:
        """The limits as the study file has them."""
        limits = {"search.match_parameters": self.match, "search.max_parameters": self.most}
        return " and ".join(
            f"`{name} = {value}`" for name, value in limits.items() if value is not None
        )

    def _nearest(self, config: Config) -> Config | None:
        """`config` at the width that brings it nearest to the wanted count.

        Counts grow with the square of the width, more or less: a straight line through their
        roots leads to it in a few steps.
        """
        assert self.match is not None
        range_ = _leaf(self.space, config, self._place)
        assert isinstance(range_, Int)
        step = self._width.step(config)
        low, high = -(-range_.low // step), range_.high // step
        if low > high:
            return None
        ends = [self._at(config, low * step), self._at(config, high * step)]
        if ends[0] is None or ends[1] is None:
            return None
        below, above = ends[0], ends[1]
        while high - low > 1 and below < self.match < above:
            share = (self.match**0.5 - below**0.5) / (above**0.5 - below**0.5)
            middle = min(max(low + round(share * (high - low)), low + 1), high - 1)
            count = self._at(config, middle * step)
            if count is None:
                return None
            if count < self.match:
                low, below = middle, count
            else:
                high, above = middle, count
        lower_is_nearer = abs(below - self.match) <= abs(above - self.match)
        return _with(config, self._place, (low if lower_is_nearer else high) * step)

    def _at(self, config: Config, width: int) -> int | None:
        return self.count(_with(config, self._place, width))

    def _out_of_reach(self, family: str, tried: int, found: Sequence[int]) -> str:
        if self.match is None:
            nearest = f"; the smallest has {min(found):,}" if found else ""
            return (
                f"`search.max_parameters` must be within the reach of {family}, got {self.most}: "
                f"each of the {tried} configurations tried has more parameters{nearest}"
            )
        wanted = self.match
        near = min(found, key=lambda count: abs(count - wanted)) if found else None
        nearest = "" if near is None else f"; the nearest has {near:,}"
        return (
            f"`search.match_parameters` must be within the reach of {family}, got {wanted}: "
            f"{self._width.path.rpartition('/')[2]} can be fitted for none of the {tried} "
            f"configurations tried to within {TOLERANCE:.0%} of so many parameters{nearest}"
        )


def _between(leaf: Parameter) -> Int:
    """All whole numbers from the lowest to the highest value of a leaf."""
    if isinstance(leaf, Int):
        return leaf
    values = leaf.options if isinstance(leaf, Choice) else ()
    sizes = [each for each in values if isinstance(each, int) and not isinstance(each, bool)]
    if not sizes or len(sizes) < len(values):
        raise ValueError(f"a width must be a whole number, got {leaf.describe()}")
    start = leaf.default if isinstance(leaf.default, int) else None
    return Int(min(sizes), max(sizes), default=start, kind=leaf.kind)


def _pinned(leaf: Parameter) -> Choice:
    assert leaf.default is not None
    return Choice((leaf.default,), kind=leaf.kind)


def _changed(
    space: SearchSpace, place: Sequence[str], change: Callable[[Parameter], Parameter]
) -> SearchSpace:
    """`space` with another leaf at a place; of branches, in each that has it."""
    name, *rest = place
    if name not in space.children:
        raise ValueError(f"there is no setting {name!r} for the width")
    return SearchSpace({**space.children, name: _deeper(space.children[name], rest, change)})


def _deeper(node: Node, place: Sequence[str], change: Callable[[Parameter], Parameter]) -> Node:
    match node:
        case SearchSpace():
            return _changed(node, place, change)
        case OneOf():
            options = {name: _changed(one, place, change) for name, one in node.options.items()}
            return OneOf(options, node.default)
        case Int() | Choice() if not place:
            return change(node)
        case _:
            raise ValueError("a width must be a whole number, and not one of many")


def _leaf(space: SearchSpace, config: Config, place: Sequence[str]) -> Parameter:
    """The leaf at a place, along the branches that `config` takes."""
    node: Node = space
    inner: Any = config
    for name in place:
        branch = node.options[inner["name"]] if isinstance(node, OneOf) else node
        assert isinstance(branch, SearchSpace)
        node, inner = branch.children[name], inner[name]
    assert isinstance(node, Int | Choice)
    return node


def _with(config: Config, place: Sequence[str], value: Any) -> Config:
    """A copy of `config` with another value at a place."""
    name, *rest = place
    return {**config, name: _with(config[name], rest, value) if rest else value}

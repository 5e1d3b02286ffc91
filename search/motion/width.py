"""The one setting that makes the models of a family wider, and its place in a space."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from spaces import Choice, Config, Int, Node, OneOf, Parameter, SearchSpace


@dataclass(frozen=True, slots=True)
class Width:
    """The setting by which models are brought to a wanted size.

    Args:
        path: Where it is in a configuration, such as ``model/hidden_size``.
        step: The number that it must be a multiple of, given the rest of the configuration.
    """

    path: str
    step: Callable[[Config], int] = lambda config: 1

    @property
    def place(self) -> list[str]:
        """The path, part by part."""
        return self.path.split("/")

    @property
    def name(self) -> str:
        """What the setting is called."""
        return self.place[-1]

    def freed(self, space: SearchSpace) -> SearchSpace:
        """`space` with all whole numbers from the lowest width to the highest.

        Raises:
            ValueError: The space has no such width, or it is no number.
        """
        return _changed(space, self.place, _between)

    def pinned(self, space: SearchSpace) -> SearchSpace:
        """`space` with the width at its default."""
        return _changed(space, self.place, _pinned)

    def range(self, space: SearchSpace, config: Config) -> Int:
        """The widths of a space that is `freed`, along the branches that `config` takes."""
        found = _leaf(space, config, self.place)
        assert isinstance(found, Int)
        return found

    def at_default(self, space: SearchSpace, config: Config) -> Config:
        """`config` with the width at the default of `space`."""
        return _with(config, self.place, _leaf(space, config, self.place).default)

    def at(self, config: Config, width: int) -> Config:
        """`config` with another width."""
        return _with(config, self.place, width)


def _between(leaf: Parameter) -> Int:
    """All whole numbers from the lowest to the highest value of a leaf; held, as not searched."""
    if isinstance(leaf, Int):
        return replace(leaf, held=True)
    values = leaf.options if isinstance(leaf, Choice) else ()
    sizes = [each for each in values if isinstance(each, int) and not isinstance(each, bool)]
    if not sizes or len(sizes) < len(values):
        raise ValueError(f"a width must be a whole number, got {leaf.describe()}")
    start = leaf.default if isinstance(leaf.default, int) else None
    return Int(min(sizes), max(sizes), default=start, kind=leaf.kind, held=True)


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

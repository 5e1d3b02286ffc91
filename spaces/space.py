"""The tree of what may vary, and the one walk through it.

A configuration is one walk: plain JSON in which a `SearchSpace` is an object, a `OneOf` an object
with a ``name``, a `Repeat` a list, and a leaf a value.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, cast

from spaces.parameters import Choice, Int, Parameter, Value

Config = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """Named parts that all vary at once."""

    children: Mapping[str, "Node"]

    def __post_init__(self) -> None:
        object.__setattr__(self, "children", dict(self.children))
        for name in self.children:
            if not name or "/" in name:
                raise ValueError(f"a name must be a word without '/', got {name!r}")


@dataclass(frozen=True, slots=True)
class OneOf:
    """One branch out of several; only the chosen branch has parameters.

    Args:
        default: The branch a search starts with; the first unless given.
    """

    options: Mapping[str, SearchSpace]
    default: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", dict(self.options))
        for name, space in self.options.items():
            if "name" in space.children:
                raise ValueError(f"branch {name!r} has a child called 'name', which names branches")
        object.__setattr__(self, "default", self.choice.default)

    @property
    def choice(self) -> Choice:
        """The choice between the branches, as a leaf."""
        return Choice(tuple(self.options), self.default)


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same kind of part several times over, each drawn on its own."""

    child: "Node"
    count: Int

    def __post_init__(self) -> None:
        if self.count.low < 1:
            raise ValueError(f"a repeat needs at least one part, got low={self.count.low}")


Node = SearchSpace | OneOf | Repeat | Parameter
Choose = Callable[[str, Parameter], Value]


def build(node: Node, choose: Choose, path: str = "") -> Any:
    """Walk `node` once, asking ``choose(path, parameter)`` for each active leaf."""
    match node:
        case SearchSpace():
            return {
                name: build(child, choose, join(path, name))
                for name, child in node.children.items()
            }
        case OneOf():
            name = cast(str, choose(join(path, "name"), node.choice))
            return {"name": name, **build(node.options[name], choose, path)}
        case Repeat():
            count = cast(int, choose(join(path, "count"), node.count))
            return [build(node.child, choose, join(path, str(index))) for index in range(count)]
        case _:
            return choose(path, node)


def flatten(node: Node, config: Any) -> dict[str, Value]:
    """The values of `config` by path, such as ``{"model/hidden_size": 64}``.

    ``build(node, lambda path, _: flat[path])`` gives `config` back.

    Raises:
        ValueError: `config` is not a walk through `node`; the message says where.
    """
    values: dict[str, Value] = {}

    def keep(path: str, parameter: Parameter, value: Any) -> None:
        if not parameter.contains(value):
            raise ValueError(f"`{path}` must be in {parameter.describe()}, got {value!r}")
        values[path] = value

    _visit(node, config, "", keep)
    return values


def parameters(node: Node, config: Any) -> dict[str, Parameter]:
    """The leaves that are active in `config`, by path.

    Raises:
        ValueError: As `flatten`.
    """
    found: dict[str, Parameter] = {}

    def keep(path: str, parameter: Parameter, _value: Any) -> None:
        found[path] = parameter

    _visit(node, config, "", keep)
    return found


def contains(node: Node, config: Any) -> bool:
    """Whether `config` is a walk through `node` with every value in its range."""
    try:
        flatten(node, config)
    except ValueError:
        return False
    return True


def _visit(node: Node, config: Any, path: str, keep: Callable[[str, Parameter, Any], None]) -> None:
    match node:
        case SearchSpace():
            _same_keys(config, set(node.children), path)
            for name, child in node.children.items():
                _visit(child, config[name], join(path, name), keep)
        case OneOf():
            taken = config.get("name") if isinstance(config, dict) else config
            if not isinstance(taken, str) or taken not in node.options:
                here = join(path, "name")
                raise ValueError(f"`{here}` must be in {node.choice.describe()}, got {taken!r}")
            keep(join(path, "name"), node.choice, taken)
            rest = {key: value for key, value in config.items() if key != "name"}
            _visit(node.options[taken], rest, path, keep)
        case Repeat():
            if not isinstance(config, list):
                raise ValueError(f"`{path}` must be a list, got {config!r}")
            keep(join(path, "count"), node.count, len(config))
            for index, part in enumerate(config):
                _visit(node.child, part, join(path, str(index)), keep)
        case _:
            keep(path, node, config)


def _same_keys(config: Any, expected: set[str], path: str) -> None:
    where = f"`{path}`" if path else "the configuration"
    if not isinstance(config, dict):
        raise ValueError(f"{where} must be a table, got {config!r}")
    for key in config:
        if key not in expected:
            raise ValueError(f"{where} has no setting {key!r}{did_you_mean(key, expected)}")
    for key in sorted(expected - set(config)):
        raise ValueError(f"{where} lacks the setting {key!r}")


def join(path: str, name: str) -> str:
    """`name` below `path`; the root is the empty path."""
    return f"{path}/{name}" if path else name


def did_you_mean(word: str, known: set[str]) -> str:
    """A hint such as ``; did you mean 'dropout'?``, else what there is to choose from."""
    near = get_close_matches(word, sorted(known), n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; it has: {', '.join(sorted(known))}" if known else "; it has none"

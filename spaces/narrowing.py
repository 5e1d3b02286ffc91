"""Narrowing a space by what a study file says: never wider than its author declared it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from spaces.parameters import Choice, Int, Parameter
from spaces.space import Node, OneOf, Repeat, SearchSpace, did_you_mean, join


def narrow(space: SearchSpace, changes: Mapping[str, Any], path: str = "") -> SearchSpace:
    """`space` under `changes`.

    A plain value fixes a leaf or a branch, a list keeps some options, ``{low, high, log}`` narrows
    a range. Of branches, ``name`` keeps some, a branch's own name narrows inside it, and any other
    key goes to every branch that has it. A parameter that is named is held no longer.

    Args:
        path: Where `space` stands in the whole, for messages.

    Raises:
        ValueError: An unknown setting, a value outside its range, or a range that would get wider.
    """
    children = dict(space.children)
    for name, change in changes.items():
        if name not in children:
            where = f"`{path}`" if path else "the space"
            raise ValueError(f"{where} has no setting {name!r}{did_you_mean(name, set(children))}")
        children[name] = _narrow(children[name], change, join(path, name))
    return SearchSpace(children)


def searched(space: SearchSpace) -> SearchSpace:
    """`space` with every parameter that is still held fixed at its default."""
    return SearchSpace({name: _settle(child) for name, child in space.children.items()})


def _settle(node: Node) -> Node:
    match node:
        case SearchSpace():
            return searched(node)
        case OneOf():
            options = {name: searched(option) for name, option in node.options.items()}
            return OneOf(options, node.default)
        case Repeat():
            return Repeat(_settle(node.child), node.count)
        case _:
            assert node.default is not None
            return Choice((node.default,), kind=node.kind) if node.held else node


def _narrow(node: Node, change: Any, path: str) -> Node:
    match node:
        case SearchSpace():
            return narrow(node, _table(change, path), path)
        case OneOf():
            return _narrow_branches(node, change, path)
        case Repeat():
            changes = dict(_table(change, path))
            count = _narrow_leaf(node.count, changes.pop("count", {}), join(path, "count"))
            assert isinstance(count, Int)
            return Repeat(_narrow(node.child, changes, path) if changes else node.child, count)
        case _:
            return _narrow_leaf(node, change, path)


def _table(change: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(change, Mapping):
        raise ValueError(f"`{path}` must be a table of settings, got {change!r}")
    return change


def _narrow_branches(node: OneOf, change: Any, path: str) -> OneOf:
    changes = dict(change) if isinstance(change, Mapping) else {"name": change}
    choice = _narrow_leaf(node.choice, changes.pop("name", {}), join(path, "name"))
    assert isinstance(choice, Choice)
    options = {str(name): node.options[str(name)] for name in choice.options}
    for key, inner in changes.items():
        if key in options:
            options[key] = narrow(options[key], _table(inner, join(path, key)), join(path, key))
            continue
        having = [name for name, space in options.items() if key in space.children]
        if not having:
            known = set(options).union(*(space.children for space in options.values()))
            raise ValueError(f"`{path}` has no setting {key!r}{did_you_mean(key, known)}")
        for name in having:
            options[name] = narrow(options[name], {key: inner}, path)
    return OneOf(options, str(choice.default))


def _narrow_leaf(leaf: Parameter, change: Any, path: str) -> Parameter:
    if isinstance(change, Mapping):
        return leaf if not change else _narrow_range(leaf, change, path)
    options = list(change) if isinstance(change, list | tuple) else [change]
    for option in options:
        if not leaf.contains(option):
            raise ValueError(f"`{path}` must be in {leaf.describe()}, got {option!r}")
    if not options:
        raise ValueError(f"`{path}` must keep at least one of {leaf.describe()}, got none")
    kept = Choice(options, kind=leaf.kind)
    return replace(kept, default=leaf.default) if kept.contains(leaf.default) else kept


def _narrow_range(leaf: Parameter, change: Mapping[str, Any], path: str) -> Parameter:
    if isinstance(leaf, Choice):
        raise ValueError(f"`{path}` takes one or a list of {leaf.describe()}, got {dict(change)!r}")
    for key, value in change.items():
        if key not in ("low", "high", "log"):
            hint = did_you_mean(key, {"low", "high", "log"})
            raise ValueError(f"`{path}` has no key {key!r}{hint}")
        if key == "log" and not isinstance(value, bool):
            raise ValueError(f"`{path}` needs log = true or false, got {value!r}")
        if key != "log" and not leaf.contains(value):
            raise ValueError(f"`{path}` must stay within {leaf.describe()}, got {key}={value!r}")
    low, high = change.get("low", leaf.low), change.get("high", leaf.high)
    log = change.get("log", leaf.log)
    assert leaf.default is not None
    start = min(max(leaf.default, low), high)
    try:
        return replace(leaf, low=low, high=high, log=log, default=start, held=False)
    except ValueError as error:
        raise ValueError(f"`{path}`: {error}") from error

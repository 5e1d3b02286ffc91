"""Search spaces as JSON, so that a study can be read back by a program that lacks its models."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from spaces.parameters import Choice, Float, Int
from spaces.space import Node, OneOf, Repeat, SearchSpace

LEAVES: dict[str, type[Float] | type[Int] | type[Choice]] = {
    "float": Float,
    "int": Int,
    "choice": Choice,
}


def to_json(node: Node) -> dict[str, Any]:
    """`node` as plain JSON, each node with its ``type``."""
    match node:
        case SearchSpace():
            children = {name: to_json(child) for name, child in node.children.items()}
            return {"type": "space", "children": children}
        case OneOf():
            options = {name: to_json(option) for name, option in node.options.items()}
            return {"type": "one_of", "options": options, "default": node.default}
        case Repeat():
            return {"type": "repeat", "child": to_json(node.child), "count": to_json(node.count)}
        case Choice():
            return {"type": "choice", **asdict(node), "options": list(node.options)}
        case _:
            return {"type": type(node).__name__.lower(), **asdict(node)}


def from_json(tree: Mapping[str, Any]) -> Node:
    """The node that `to_json` wrote.

    Raises:
        ValueError: A node has no known ``type``.
    """
    kind, fields = tree.get("type"), {key: tree[key] for key in tree if key != "type"}
    if kind == "space":
        return SearchSpace({name: from_json(child) for name, child in fields["children"].items()})
    if kind == "one_of":
        options = {name: _space(option) for name, option in fields["options"].items()}
        return OneOf(options, fields["default"])
    if kind == "repeat":
        count = from_json(fields["count"])
        if not isinstance(count, Int):
            raise ValueError(f"the count of a repeat must be an int, got {fields['count']!r}")
        return Repeat(from_json(fields["child"]), count)
    if kind not in LEAVES:
        raise ValueError(
            f"a node needs a type out of space, one_of, repeat, {', '.join(LEAVES)}, got {kind!r}"
        )
    return LEAVES[kind](**fields)


def _space(tree: Mapping[str, Any]) -> SearchSpace:
    node = from_json(tree)
    if not isinstance(node, SearchSpace):
        raise ValueError(f"a branch must be a space, got {tree.get('type')!r}")
    return node

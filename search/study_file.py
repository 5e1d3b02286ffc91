"""A study file as tables, and changes to them from the command line."""

import tomllib
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from cluster.bucket import Bucket, url_of
from search.complaint import StudyError, dotted


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file, which may lie in an object store.

    Raises:
        OSError: The file cannot be read.
        StudyError: The file is not TOML.
    """
    try:
        url = url_of(path)
        if url is None:
            return tomllib.loads(path.read_text(encoding="utf-8"))
        folder, _, name = url.rpartition("/")
        return tomllib.loads(Bucket(folder).read(name).decode())
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no study file {path}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StudyError([f"{path} must be a TOML file: {error}"]) from None


def override(mapping: Mapping[str, Any], changes: Iterable[str]) -> dict[str, Any]:
    """A copy of `mapping` with changes such as `budget.epochs=5` or `space.gru.dropout=0.2`.

    Values are read as TOML, and as text where they are not TOML: `search.sampler=random`.

    Raises:
        StudyError: A change is not of the form `key=value`, or its key lies inside a plain value.
    """
    changed = deepcopy(dict(mapping))
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise StudyError([f"an override must be of the form key=value, got {change!r}"])
        _assign(changed, _key_path(key), _value(text))
    return changed


def merge(mapping: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """`mapping` with the options that were given in their places."""
    merged = dict(mapping)
    for key, value in options.items():
        table, _, name = key.rpartition(".")
        if value is not None and table:
            inner = merged.get(table, {})
            merged[table] = {**inner, name: value} if isinstance(inner, Mapping) else inner
        elif value is not None:
            merged[name] = value
    return merged


def _assign(tree: dict[str, Any], path: list[str], value: object) -> None:
    for depth, part in enumerate(path[:-1], 1):
        inner = tree.setdefault(part, {})
        if not isinstance(inner, dict):
            outer = dotted(path[:depth])
            raise StudyError([f"`{dotted(path)}` cannot be set: `{outer}` is not a table"])
        tree = inner
    tree[path[-1]] = value


def _key_path(key: str) -> list[str]:
    """The parts of a dotted TOML key; a part with dots in it is written in quotes."""
    try:
        inner: Any = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError:
        raise StudyError([f"an override needs a key such as budget.epochs, got {key!r}"]) from None
    path = []
    while isinstance(inner, dict):
        part = next(iter(inner))
        path.append(part)
        inner = inner[part]
    return path


def _value(text: str) -> object:
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()
    return value if isinstance(value, str | bool | int | float | list | dict) else text.strip()

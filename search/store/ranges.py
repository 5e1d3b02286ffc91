"""The search spaces of a study, kept as JSON beside its log, so that results need no models."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from spaces import SearchSpace, from_json, to_json

RANGES = "spaces.json"


def write_ranges(directory: Path, spaces: Mapping[str, SearchSpace]) -> None:
    """Write what each family may vary, in full or not at all.

    Raises:
        OSError: It cannot be written.
    """
    draft = directory / f".{RANGES}.{os.getpid()}.part"
    tree = {family: to_json(space) for family, space in spaces.items()}
    draft.write_text(json.dumps(tree, indent=1), encoding="utf-8")
    draft.replace(directory / RANGES)


def read_ranges(directory: Path) -> dict[str, SearchSpace]:
    """What each family may vary, as of the newest run; nothing where it was not kept."""
    try:
        tree = json.loads((directory / RANGES).read_text("utf-8"))
        spaces = {family: from_json(node) for family, node in tree.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none, or damaged
        return {}
    return {family: space for family, space in spaces.items() if isinstance(space, SearchSpace)}

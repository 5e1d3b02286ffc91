"""Where the search of a family starts: configurations that did well on small benchmarks of ours.

The table beside this file was learnt by `python -m perf.starting_points`, from trainings that it
tells of itself under `made`; `search.insight.portfolio` says how.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from search.motion.family import FamilySearch
from spaces import Value

TABLE = Path(__file__).with_name("starting_points.json")
ANY_TASK = "any"
"""What the table calls tasks that none of its benchmarks has."""

Point = Mapping[str, Value]
"""Values by path, as `spaces.flatten` gives them; a search space need not have them all."""


def starting_points(family: str, task: str) -> list[Point]:
    """The points of a family, best first; none for a family of a user's own."""
    known = read_table()["families"].get(family)
    if known is None:
        return []
    places = known["first"].get(task, known["first"][ANY_TASK])
    return [known["points"][place] for place in places]


def offer(families: Mapping[str, FamilySearch], task: str, count: int) -> None:
    """Have each family propose its first `count` points of the table before anything else."""
    for name, family in families.items():
        family.starts = starting_points(name, task)[:count]


@cache
def read_table() -> dict[str, Any]:
    """`made`, how it was learnt; and by family `points`, and which come `first` for each task."""
    table: dict[str, Any] = json.loads(TABLE.read_text("utf-8"))
    return table

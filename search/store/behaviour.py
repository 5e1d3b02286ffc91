"""What the winner does over the time of one example, kept beside the log for the report."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BEHAVIOUR = "behaviour.json"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One example of the validation split through the winner, part by part.

    Attributes:
        family: The winner's.
        example: Its place in the split, from 0.
        steps: How long it is.
        hidden: Units by parts, what the backbone puts out.
        gradient: Of each part, how much it moves the example's loss, as a share of the most.
    """

    family: str
    example: int
    steps: int
    hidden: list[list[float]]
    gradient: list[float]


def write_behaviour(directory: Path, family: str, tree: dict[str, Any]) -> None:
    """Keep what `trainers.behaviour` found.

    Raises:
        OSError: It cannot be written.
    """
    text = json.dumps({"family": family, **tree})
    (directory / BEHAVIOUR).write_text(text, encoding="utf-8")


def read_behaviour(directory: Path) -> Behaviour | None:
    """What was kept; None where there is nothing whole."""
    try:
        found = Behaviour(**json.loads((directory / BEHAVIOUR).read_text("utf-8")))
        parts = {len(found.gradient), *map(len, found.hidden)}
        finite = all(
            math.isfinite(value) for row in (found.gradient, *found.hidden) for value in row
        )
    except (OSError, ValueError, TypeError):
        return None
    return found if finite and len(parts) == 1 and found.hidden and found.gradient else None

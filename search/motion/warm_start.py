"""What an earlier study found, told to the samplers of a new one before its first proposal."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from search.motion import events
from search.motion.events import Event
from search.motion.family import FamilySearch
from spaces import Config


@dataclass(frozen=True, slots=True)
class Past:
    """A trial of an earlier study.

    Args:
        history: Each epoch with its loss (finite, smaller is better), ascending; as far as trials
            train today.
        complete: Whether it trained as far as trials do today.
        costs: What was known of the model before it was trained.
    """

    config: Config
    history: list[tuple[int, float]]
    complete: bool
    costs: dict[str, float] = field(default_factory=dict)
    train_seconds: float = 0.0


def warm_starts(
    families: Mapping[str, FamilySearch], earlier: Mapping[str, Sequence[Past]]
) -> Iterator[Event]:
    """An event for each family that has trials to learn from and none of its own yet."""
    for name, past in earlier.items():
        family = families[name]
        if family.trials or family.warm:
            continue
        inside = [each for each in past if family.takes(each.config)]
        told = [asdict(each) for each in inside]
        yield events.warm_started(name, told, outside=len(past) - len(told))

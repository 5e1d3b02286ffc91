"""Training settings that change on the way, at epochs that are known beforehand.

A phase is JSON: `{"until": 8, "training": {...}}`, the training section that held up to the end of
epoch 8. The section of the configuration itself holds after the last phase.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spaces import Config

Phase = Mapping[str, Any]

FIXED = ("batch_size", "bptt_steps", "class_weights")
BRANCHES = ("optimizer", "schedule")
SWITCHES = ("weight_averaging",)


class Phases:
    """Which training section holds in which epoch.

    Args:
        training: The one that holds in the end.
        earlier: Those before it, in their order.

    Raises:
        ValueError: They do not follow one another, or differ in more than numbers that may change
            while a model is trained.

    Reference:
        Jaderberg et al., "Population based training of neural networks", arXiv 1711.09846, 2017: it
        is a schedule of settings that is found, not a setting.
    """

    def __init__(self, training: Config, earlier: Sequence[Phase] = ()) -> None:
        self.earlier = [dict(phase) for phase in earlier]
        self._training = training
        last = 0
        for phase in earlier:
            if set(phase) != {"until", "training"} or not last < phase["until"]:
                raise ValueError(
                    f"phases of a training must have `until`, one above that of the other, and "
                    f"`training`, got {dict(phase)} after epoch {last}"
                )
            last = phase["until"]
            for name, value in frame(training).items():
                if (other := frame(phase["training"])[name]) != value:
                    raise ValueError(
                        f"`{name}` must stay the same in all phases of a training, got {other!r} "
                        f"until epoch {last} and {value!r} in the end"
                    )

    def at(self, epochs: int) -> Config:
        """The section that holds after so many epochs, in the next one."""
        for phase in self.earlier:
            if epochs < phase["until"]:
                held: Config = phase["training"]
                return held
        return self._training


def frame(training: Config) -> dict[str, Any]:
    """What of a training section decides on shapes, steps and slots, and so stays as it is."""
    kept: dict[str, Any] = {name: training.get(name) for name in FIXED}
    kept |= {f"{name}.name": training.get(name, {}).get("name") for name in BRANCHES}
    return kept | {name: bool(training.get(name)) for name in SWITCHES}


def check_begins(
    saved: Mapping[str, Any], mine: Mapping[str, Any], epochs: int, path: Path
) -> None:
    """Refuse a saved training that is not the beginning of another one.

    Numbers of the training section may differ in epochs that the saved one has not come to.

    Args:
        saved: Its `config`, `earlier` and whatever else must be equal.
        mine: The same of the other one.
        epochs: How far the saved one has come.

    Raises:
        ValueError: It is the beginning of something else.
    """
    name = _difference(saved, mine, epochs)
    if name is not None:
        raise ValueError(
            f"{path} must be of this training, got another: its {name} is {saved.get(name)}, "
            f"not {mine[name]}"
        )


def _difference(saved: Mapping[str, Any], mine: Mapping[str, Any], epochs: int) -> str | None:
    for name, value in mine.items():
        if name not in ("config", "earlier") and saved.get(name) != value:
            return name
    here, there = (
        {**each["config"], "training": frame(each["config"]["training"])} for each in (mine, saved)
    )
    if here != there:
        return "config"
    ours, theirs = (
        Phases(each["config"]["training"], each.get("earlier", ())) for each in (mine, saved)
    )
    if all(ours.at(epoch) == theirs.at(epoch) for epoch in range(epochs)):
        return None
    return "earlier" if mine["config"] == saved["config"] else "config"

"""Copies of trials under other training settings: what goes on where a member is replaced."""

from collections.abc import Iterator
from random import Random
from typing import cast

from search.motion import events
from search.motion.events import Event
from search.motion.family import FamilySearch
from search.motion.randomness import key
from search.motion.scheduler import Replacement
from search.motion.state import StudyState
from search.study import Study
from search.trial import State, Trial
from spaces import Choice, Config, OneOf, Parameter, SearchSpace, Value, build, contains, flatten

FACTORS = (0.8, 1.25)
REDRAWN_SHARE = 0.25  # of the settings; as in Ray's `PopulationBasedTraining`
TRIES = 16  # before a copy is left with the settings of its donor, all at the ends of their ranges


def replacements(study: Study, state: StudyState, cause: str) -> Iterator[Event]:
    """The events that put copies in the place of others; each has to be applied before the next.

    A log that is cut between them goes on where it was cut.

    Args:
        cause: Why those end whose places are taken.
    """
    for family in state.families.values():
        while todo := family.scheduler.replacements():
            yield _copied(study, state, family, todo[0])
        for number in family.scheduler.replaced():
            at = state.trials[number]
            yield events.ended(
                number, at.attempt, at.epoch, State.pruned, cause=cause, traceback=""
            )


def explore(space: SearchSpace, config: Config, rng: Random) -> Config:
    """`config` with other numbers in its training section; all else stays, that a model is made of.

    Each is multiplied by 0.8 or by 1.25, or else drawn anew, and stays within its range. A setting
    of 0 is switched off and stays so.

    Reference:
        Jaderberg et al., "Population based training of neural networks", arXiv 1711.09846, 2017,
        section 4.1.2: perturb and resample.
    """
    section, training = space.children["training"], config["training"]
    assert isinstance(section, SearchSpace)
    if not contains(section, training):  # the study's ranges are others today
        return config
    known = flatten(section, training)

    def choose(path: str, leaf: Parameter) -> Value:
        value = known[path]
        return _other(value, leaf, rng) if _varies(leaf) and value else value

    for _ in range(TRIES):
        changed = cast(Config, build(section, choose))
        if changed != training:
            return {**config, "training": changed}
    return config


def varies(space: SearchSpace) -> bool:
    """Whether there is a training setting that copies may change."""
    section = space.children.get("training")
    return section is not None and any(_varies(leaf) for leaf in _leaves(section))


def _leaves(node: object) -> Iterator[Parameter]:
    match node:
        case SearchSpace():
            for child in node.children.values():
                yield from _leaves(child)
        case OneOf():
            for option in node.options.values():
                yield from _leaves(option)
        case _:
            yield cast(Parameter, node)


def _varies(leaf: Parameter) -> bool:
    return not isinstance(leaf, Choice) and leaf.kind == "scalar" and leaf.low < leaf.high


def _other(value: Value, leaf: Parameter, rng: Random) -> Value:
    assert not isinstance(leaf, Choice)
    assert isinstance(value, int | float)
    if rng.random() < REDRAWN_SHARE:
        return leaf.sample(rng)
    moved = min(max(value * rng.choice(FACTORS), leaf.low), leaf.high)
    return round(moved) if isinstance(leaf.low, int) else moved


def _copied(study: Study, state: StudyState, family: FamilySearch, todo: Replacement) -> Event:
    number = len(state.trials)
    rng = Random(key(study.seed, "copy", family.name, number))
    donor = state.trials[rng.choice(todo.donors)].trial
    trial = Trial(
        number=number,
        family=family.name,
        config=explore(family.space, donor.config, rng),
        seed=donor.seed,
        earlier=[*donor.earlier, {"until": todo.epoch, "training": donor.config["training"]}],
        copied_from=(donor.number, todo.epoch),
    )
    return events.copied(trial, todo.number, family.costs(donor.config))

"""Arrays: which trials are trained as one with a trial that goes out now.

They are of its family and of its shape: the same values of all parameters whose kind is "shape".
Interrupted ones come first. With a new trial go other new ones, whose scalar parameters are those
of the sampler's next proposals and whose shape is that of the array; only starting points keep
their own shape. With one that the scheduler promotes go others that it promotes, as long as the
next is of this shape. So a shape gets no new trials for having been promoted. With a finalist go
the other seeds of its configuration.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from search.motion.family import STARTING_POINT, Proposal
from search.motion.progress import TrialProgress
from search.motion.randomness import key
from search.motion.state import StudyState
from search.trial import Finalist, Lease, Trial
from spaces import Config, in_shape_of, sample, shape

DRAWS = 8  # of the scalars of a new trial, where the first are those of a trial already


@dataclass(frozen=True, slots=True)
class ArraySize:
    """How many trials of a family are trained as one: in the search, and of a finalist's seeds."""

    search: int
    finalists: int

    def of(self, trial: Trial) -> int:
        """That of an array which begins with this trial."""
        return self.search if trial.finalist_of is None else self.finalists


def other_seeds(state: StudyState, lease: Lease) -> Iterator[Finalist]:
    """Those on which the configuration of a finalist is still to be trained."""
    for finalist in list(state.finalists):
        if finalist.trial == lease.trial.finalist_of:
            yield finalist


def interrupted_alike(state: StudyState, lease: Lease) -> Iterator[TrialProgress]:
    """Interrupted trials of the lease's shape that may train on."""
    for number in sorted(state.interrupted):
        at = state.trials[number]
        if not (at.diverged or at.stop_requested or at.alone) and alike(state, lease, number):
            yield at


def is_new(lease: Lease) -> bool:
    """Whether it is the first of its trial."""
    return lease.from_epoch == 0 and lease.attempt == 1


def alike(state: StudyState, lease: Lease, number: int) -> bool:
    """Whether a trial may train in the array of a lease."""
    one, other = lease.trial, state.trials[number].trial
    if (one.family, one.finalist_of) != (other.family, other.finalist_of):
        return False
    if one.finalist_of is not None:
        return True
    space = state.families[one.family].space
    try:
        return shape(space, one.config) == shape(space, other.config)
    except ValueError:  # the study's ranges are others today
        return False


def mate(state: StudyState, made: Proposal, lease: Lease, seed: int) -> Proposal:
    """A proposal in the shape of a lease's trial; without a configuration where that cannot be.

    A starting point keeps the shape that it is good in, and waits for its turn.
    """
    config = made.config and in_this_shape(state, made.config, lease, seed)
    if config is None or config == made.config:
        return replace(made, config=config)
    if made.origin.startswith(STARTING_POINT):
        return replace(made, config=None)
    origin = f"{made.origin}, in the shape of trial {lease.trial.number}"
    return replace(made, config=config, origin=origin)


def in_this_shape(state: StudyState, proposed: Config, lease: Lease, seed: int) -> Config | None:
    """The next proposal of the family's sampler in the shape of a lease's trial.

    Where that is a trial already, its scalars are drawn; None where these are known, too, or not
    admitted.
    """
    family = state.families[lease.trial.family]
    known = [state.trials[number].trial.config for number in family.trials]
    for draw in range(DRAWS):
        rng = Random(key(seed, "mate", family.name, family.proposals, draw))
        scalars = sample(family.space, rng) if draw else proposed
        try:
            config = in_shape_of(family.space, scalars, lease.trial.config, rng)
        except ValueError:
            return None
        if config not in known:
            return config if family.takes(config) else None
    return None

"""Ways through a search space: each is a walk with a choice of its own."""

from collections.abc import Mapping
from random import Random
from typing import cast

from spaces.parameters import Choice, Int, Parameter, Value, is_number
from spaces.space import Config, SearchSpace, build, flatten


def sample(space: SearchSpace, rng: Random) -> Config:
    """A configuration drawn at random, every leaf on its own."""
    return cast(Config, build(space, lambda _, parameter: parameter.sample(rng)))


def default(space: SearchSpace) -> Config:
    """The configuration a search starts with: every leaf at its default."""
    return cast(Config, build(space, lambda _, parameter: cast(Value, parameter.default)))


def smallest(space: SearchSpace) -> Config:
    """The configuration with every number at its lowest and every other choice at its first."""

    def choose(_path: str, parameter: Parameter) -> Value:
        if isinstance(parameter, Choice):
            numbers = all(is_number(option) for option in parameter.options)
            return min(parameter.options) if numbers else parameter.options[0]
        return parameter.low

    return cast(Config, build(space, choose))


def largest(space: SearchSpace) -> Config:
    """The configuration with every number at its highest and every other choice at its last."""

    def choose(_path: str, parameter: Parameter) -> Value:
        if isinstance(parameter, Choice):
            numbers = all(is_number(option) for option in parameter.options)
            return max(parameter.options) if numbers else parameter.options[-1]
        return parameter.high

    return cast(Config, build(space, choose))


def mutate(space: SearchSpace, config: Config, rng: Random, *, rate: float) -> Config:
    """Resample each value with probability `rate`; a newly chosen branch is sampled whole.

    Args:
        rate: Expected share of values that change, in [0, 1].

    Raises:
        ValueError: `config` is not in `space`.

    Reference:
        Real et al., "Regularized evolution for image classifier architecture search", AAAI 2019.
    """
    parent = _Parent(flatten(space, config))

    def choose(path: str, parameter: Parameter) -> Value:
        known = parent.value(path)
        value = parameter.sample(rng) if known is None or rng.random() < rate else known
        parent.went(path, value)
        return value

    return cast(Config, build(space, choose))


def crossover(space: SearchSpace, mother: Config, father: Config, rng: Random) -> Config:
    """Each value from either parent; inside a branch only from parents that took that branch.

    Raises:
        ValueError: A parent is not in `space`.
    """
    parents = [_Parent(flatten(space, mother)), _Parent(flatten(space, father))]

    def choose(path: str, parameter: Parameter) -> Value:
        known = [value for parent in parents if (value := parent.value(path)) is not None]
        value = rng.choice(known) if known else parameter.sample(rng)
        for parent in parents:
            parent.went(path, value)
        return value

    return cast(Config, build(space, choose))


def project(space: SearchSpace, values: Mapping[str, Value]) -> Config:
    """The configuration of `space` nearest to values that may be of another space.

    A number out of range becomes the nearer end; what is unknown or not to be had becomes the
    default, and so does everything inside a branch that is not theirs.

    Args:
        values: By path, as `flatten` gives them.
    """
    parent = _Parent(values)

    def choose(path: str, parameter: Parameter) -> Value:
        known = parent.value(path)
        value = cast(Value, parameter.default) if known is None else _nearest(parameter, known)
        if known is not None:
            parent.went(path, value)
        return value

    return cast(Config, build(space, choose))


def _nearest(parameter: Parameter, value: Value) -> Value:
    """`value`, or what comes closest to it among those that the parameter has."""
    if parameter.contains(value):
        return value
    if isinstance(parameter, Choice):
        numbers = [option for option in parameter.options if is_number(option)]
    else:
        numbers = [parameter.low, parameter.high]
    if not is_number(value) or not numbers:
        return cast(Value, parameter.default)
    if isinstance(parameter, Choice):
        return min(numbers, key=lambda option: abs(cast(float, option) - cast(float, value)))
    inside = min(max(cast(float, value), parameter.low), parameter.high)
    return round(inside) if isinstance(parameter, Int) else inside


class _Parent:
    """The values of a configuration, as far as a walk still runs along its branches."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = values
        self._left: list[str] = []

    def value(self, path: str) -> Value | None:
        """The parent's value here, unless the walk has left the parent's branch."""
        if path.startswith(tuple(self._left)):
            return None
        return self._values.get(path)

    def went(self, path: str, value: Value) -> None:
        """Take note of the walk's choice; another branch than the parent's leaves the parent."""
        branch, _, leaf = path.rpartition("/")
        if leaf == "name" and self._values.get(path) != value:
            self._left.append(f"{branch}/")

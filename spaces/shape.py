"""The shape of a configuration: what trials must have in common to be trained as one."""

from random import Random
from typing import cast

from spaces.parameters import Parameter, Value
from spaces.space import Config, SearchSpace, build, flatten, parameters


def shape(space: SearchSpace, config: Config) -> dict[str, Value]:
    """The values of all parameters whose kind is "shape", by path.

    Raises:
        ValueError: `config` is not in `space`.
    """
    leaves = parameters(space, config)
    return {path: value for path, value in flatten(space, config).items() if _shapes(leaves[path])}


def in_shape_of(space: SearchSpace, config: Config, other: Config, rng: Random) -> Config:
    """`config` in the shape of `other`: its scalars, where they have a place there.

    A scalar that `config` has no value for is drawn.

    Raises:
        ValueError: One of them is not in `space`.
    """
    own, others = flatten(space, config), flatten(space, other)

    def choose(path: str, parameter: Parameter) -> Value:
        if _shapes(parameter):
            return others[path]
        value = own.get(path)
        return value if value is not None and parameter.contains(value) else parameter.sample(rng)

    return cast(Config, build(space, choose))


def _shapes(parameter: Parameter) -> bool:
    return parameter.kind == "shape"

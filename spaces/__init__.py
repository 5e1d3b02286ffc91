"""The language of what may vary: leaves, tree, one walk, and the moves made of it."""

from spaces.moves import crossover, default, largest, mutate, project, sample, smallest
from spaces.narrowing import narrow, searched
from spaces.parameters import Choice, Float, Int, Parameter, Value
from spaces.serialization import from_json, to_json
from spaces.shape import in_shape_of, shape
from spaces.space import (
    Config,
    Node,
    OneOf,
    Repeat,
    SearchSpace,
    build,
    contains,
    did_you_mean,
    flatten,
    join,
    parameters,
)

__all__ = [
    "Choice",
    "Config",
    "Float",
    "Int",
    "Node",
    "OneOf",
    "Parameter",
    "Repeat",
    "SearchSpace",
    "Value",
    "build",
    "contains",
    "crossover",
    "default",
    "did_you_mean",
    "flatten",
    "from_json",
    "in_shape_of",
    "join",
    "largest",
    "mutate",
    "narrow",
    "parameters",
    "project",
    "sample",
    "searched",
    "shape",
    "smallest",
    "to_json",
]

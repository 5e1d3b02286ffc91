import json
import tomllib
from random import Random
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces import (
    Choice,
    Config,
    Float,
    Int,
    Node,
    OneOf,
    Repeat,
    SearchSpace,
    build,
    contains,
    crossover,
    default,
    flatten,
    from_json,
    largest,
    mutate,
    narrow,
    parameters,
    project,
    sample,
    searched,
    smallest,
    to_json,
)

OPTIMIZER = OneOf(
    {
        "adamw": SearchSpace({"learning_rate": Float(1e-4, 1e-2, log=True)}),
        "sgd": SearchSpace({"learning_rate": Float(0.1, 1.0), "momentum": Float(0.0, 0.99)}),
    }
)
LAYER = OneOf(
    {
        "lstm": SearchSpace({"hidden_size": Int(8, 64, log=True)}),
        "conv": SearchSpace({"kernel_size": Choice((3, 5, 7)), "causal": Choice((True, False))}),
    }
)
SPACE = SearchSpace(
    {
        "model": SearchSpace({"name": Choice(("stack",)), "layers": Repeat(LAYER, Int(1, 4))}),
        "training": SearchSpace({"optimizer": OPTIMIZER, "batch_size": Choice((16, 32))}),
    }
)

leaves = st.one_of(
    st.builds(lambda low, width: Int(low, low + width), st.integers(-5, 5), st.integers(0, 9)),
    st.builds(lambda low, width: Float(low, low + width), st.floats(-5, 5), st.floats(0, 9)),
    st.lists(st.one_of(st.text("abc"), st.integers(), st.booleans()), min_size=1, max_size=4)
    .map(lambda options: {(type(option), option): option for option in options})
    .map(lambda distinct: Choice(tuple(distinct.values()))),
)
names = st.text("abcdef", min_size=1, max_size=4)


def inner(nodes: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    spaces = st.dictionaries(names, nodes, max_size=3).map(SearchSpace)
    return st.one_of(
        spaces,
        st.dictionaries(names, spaces, min_size=1, max_size=3).map(OneOf),
        st.builds(lambda node, low: Repeat(node, Int(low, low + 2)), nodes, st.integers(1, 2)),
    )


spaces = st.dictionaries(names, st.recursive(leaves, inner, max_leaves=8), max_size=3).map(
    SearchSpace
)
seeds = st.integers(0, 2**32)


@given(spaces, seeds)
def test_every_move_stays_in_the_space(space: SearchSpace, seed: int) -> None:
    rng = Random(seed)
    one, other = sample(space, rng), sample(space, rng)
    moved = [one, other, default(space), smallest(space), largest(space)]
    moved += [mutate(space, one, rng, rate=0.3), crossover(space, one, other, rng)]
    for config in moved:
        flat = flatten(space, config)
        assert contains(space, config)
        assert build(space, lambda path, _, flat=flat: flat[path]) == config
        assert parameters(space, config).keys() == flat.keys()
        assert project(space, flat) == config


@given(spaces, spaces, seeds)
def test_any_values_project_into_any_space(
    space: SearchSpace, other: SearchSpace, seed: int
) -> None:
    assert contains(space, project(space, flatten(other, sample(other, Random(seed)))))
    assert project(space, {}) == default(space)


def test_projection_takes_the_nearest_and_leaves_other_branches_at_their_defaults() -> None:
    point = {
        "training/optimizer/name": "adamw",
        "training/optimizer/learning_rate": 5e-3,
        "training/batch_size": 128,
        "model/layers/count": 2,
        "model/layers/0/name": "gru",
        "model/layers/0/hidden_size": 64,
        "model/layers/1/name": "conv",
        "model/layers/1/kernel_size": 5,
        "model/layers/1/causal": "always",
        "head/pooling": "last",
    }
    found = project(SPACE, point)
    assert found["training"] == {
        "optimizer": {"name": "adamw", "learning_rate": 5e-3},
        "batch_size": 32,
    }
    assert found["model"]["layers"] == [
        {"name": "lstm", "hidden_size": 23},
        {"name": "conv", "kernel_size": 5, "causal": True},
    ]
    narrowed = narrow(
        SPACE,
        {
            "training": {"optimizer": {"adamw": {"learning_rate": {"high": 1e-3}}}},
            "model": {"layers": {"count": {"high": 1}}},
        },
    )
    inside = project(narrowed, point)
    assert inside["training"]["optimizer"] == {"name": "adamw", "learning_rate": 1e-3}
    assert len(inside["model"]["layers"]) == 1
    other = project(narrow(SPACE, {"training": {"optimizer": "sgd"}}), point)
    assert other["training"]["optimizer"] == {
        "name": "sgd",
        "learning_rate": 0.55,
        "momentum": 0.495,
    }


@given(spaces, seeds)
def test_json_round_trip(space: SearchSpace, seed: int) -> None:
    assert from_json(json.loads(json.dumps(to_json(space)))) == space
    config = sample(space, Random(seed))
    assert json.loads(json.dumps(config)) == config


@given(seeds)
def test_toml_round_trip(seed: int) -> None:
    config = sample(SPACE, Random(seed))
    assert tomllib.loads(tomli_w.dumps(config)) == config


@given(seeds)
def test_mutation_at_its_ends(seed: int) -> None:
    rng = Random(seed)
    config = sample(SPACE, rng)
    assert mutate(SPACE, config, rng, rate=0.0) == config


def test_a_new_branch_is_sampled_whole() -> None:
    """The two optimisers share a path whose ranges exclude each other."""
    rng = Random(1)
    parent = default(SPACE)
    children = [mutate(SPACE, parent, rng, rate=0.5) for _ in range(200)]
    optimizers = [child["training"]["optimizer"] for child in children]
    assert {optimizer["name"] for optimizer in optimizers} == {"adamw", "sgd"}
    assert all(
        optimizer["learning_rate"] >= 0.1 for optimizer in optimizers if optimizer["name"] == "sgd"
    )


def test_crossover_takes_every_value_from_a_parent() -> None:
    rng = Random(2)
    for _ in range(100):
        mother, father = sample(SPACE, rng), sample(SPACE, rng)
        child = flatten(SPACE, crossover(SPACE, mother, father, rng))
        of_parents = [flatten(SPACE, mother), flatten(SPACE, father)]
        for path in ("training/optimizer/learning_rate", "training/batch_size"):
            assert child[path] in [values.get(path) for values in of_parents]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model": {}}, "lacks the setting 'training'"),
        ({"model": {}, "training": {}, "modle": {}}, "no setting 'modle'; did you mean 'model'"),
        (
            {"model": {"name": "stack", "layers": 3}, "training": {}},
            "`model/layers` must be a list",
        ),
        (
            {"model": {"name": "stack", "layers": [{"name": "gru"}]}, "training": {}},
            r"`model/layers/0/name` must be in lstm \| conv, got 'gru'",
        ),
        (
            {
                "model": {"name": "stack", "layers": [{"name": "lstm", "hidden_size": 7}]},
                "training": {},
            },
            r"`model/layers/0/hidden_size` must be in 8 .. 64 \(log\), got 7",
        ),
        (
            {"model": {"name": "stack", "layers": [[]]}, "training": {}},
            r"layers/0/name` must be in",
        ),
        ([], "the configuration must be a table"),
    ],
)
def test_flatten_names_what_is_wrong(config: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        flatten(SPACE, config)


@settings(max_examples=50)
@given(seeds)
def test_narrowing_never_widens(seed: int) -> None:
    narrowed = narrow(
        SPACE,
        {
            "model": {"layers": {"count": {"high": 2}, "conv": {"kernel_size": [3, 7]}}},
            "training": {
                "optimizer": {"name": "sgd", "learning_rate": {"low": 0.2}, "momentum": 0.9},
                "batch_size": 16,
            },
        },
    )
    config = sample(narrowed, Random(seed))
    assert contains(SPACE, config)
    assert len(config["model"]["layers"]) <= 2
    assert config["training"]["batch_size"] == 16
    assert config["training"]["optimizer"]["name"] == "sgd"
    assert config["training"]["optimizer"]["momentum"] == 0.9
    assert config["training"]["optimizer"]["learning_rate"] >= 0.2
    for layer in config["model"]["layers"]:
        assert layer.get("kernel_size") in (None, 3, 7)


def test_narrowing_keeps_kind_and_moves_the_default_inside() -> None:
    space = SearchSpace({"width": Int(16, 512, log=True, default=64), "rate": Float(0.0, 1.0)})
    narrowed = narrow(space, {"width": {"low": 128, "log": False}, "rate": 0.25})
    assert narrowed.children["width"] == Int(128, 512, default=128)
    assert narrowed.children["rate"] == Choice((0.25,), kind="scalar")


def test_a_key_goes_to_every_branch_that_has_it() -> None:
    space = SearchSpace(
        {
            "optimizer": OneOf(
                {
                    "adam": SearchSpace({"learning_rate": Float(0.0, 1.0)}),
                    "sgd": SearchSpace({"learning_rate": Float(0.0, 2.0)}),
                }
            )
        }
    )
    narrowed = narrow(space, {"optimizer": {"learning_rate": 0.5}})
    drawn: list[Config] = [sample(narrowed, Random(seed)) for seed in range(20)]
    assert {config["optimizer"]["name"] for config in drawn} == {"adam", "sgd"}
    assert {config["optimizer"]["learning_rate"] for config in drawn} == {0.5}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trainign": {}}, "no setting 'trainign'; did you mean 'training'"),
        ({"training": 3}, "`training` must be a table of settings, got 3"),
        ({"training": {"batch_size": 64}}, r"`training/batch_size` must be in 16 \| 32, got 64"),
        ({"training": {"batch_size": {"low": 1}}}, r"takes one or a list of 16 \| 32"),
        ({"training": {"batch_size": []}}, "must keep at least one"),
        ({"training": {"optimizer": "adma"}}, r"`training/optimizer/name` must be in adamw \| sgd"),
        ({"training": {"optimizer": {"learning_rat": 1}}}, "did you mean 'learning_rate'"),
        (
            {"training": {"optimizer": {"sgd": {"momentum": {"low": 0.9, "high": 0.1}}}}},
            r"`training/optimizer/sgd/momentum`: `low <= high` must hold, got low=0.9 and high=0.1",
        ),
        (
            {"training": {"optimizer": {"sgd": {"momentum": {"high": 1.5}}}}},
            r"must stay within 0 .. 0.99, got high=1.5",
        ),
        ({"training": {"optimizer": {"sgd": {"momentum": {"log": True}}}}}, "must start above 0"),
        ({"training": {"optimizer": {"sgd": {"momentum": {"log": 1}}}}}, "log = true or false"),
        ({"training": {"optimizer": {"sgd": {"momentum": {"lo": 1}}}}}, "did you mean 'low'"),
    ],
)
def test_narrowing_names_what_is_wrong(changes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        narrow(SPACE, changes)


def test_from_json_refuses_what_is_no_node() -> None:
    with pytest.raises(ValueError, match="needs a type out of space"):
        from_json({"type": "flaot"})


def test_a_held_parameter_stays_at_its_default_until_it_is_named() -> None:
    layer = OneOf({"lstm": SearchSpace({"peephole": Choice((False, True), held=True)})})
    space = SearchSpace(
        {
            "layers": Repeat(layer, Int(1, 2)),
            "bias": Float(0.0, 4.0, default=1.0, held=True),
            "width": Int(1, 8),
        }
    )
    assert searched(space).children["bias"] == Choice((1.0,), kind="scalar")
    assert searched(space).children["width"] == Int(1, 8)
    drawn = [sample(searched(space), Random(seed)) for seed in range(20)]
    assert all(layer["peephole"] is False for config in drawn for layer in config["layers"])
    opened = narrow(space, {"layers": {"peephole": [False, True]}, "bias": {"high": 2.0}})
    assert searched(opened).children["bias"] == Float(0.0, 2.0, default=1.0)
    drawn = [sample(searched(opened), Random(seed)) for seed in range(20)]
    assert {layer["peephole"] for config in drawn for layer in config["layers"]} == {False, True}

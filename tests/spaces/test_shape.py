from random import Random

import pytest

from spaces import Choice, Float, Int, OneOf, SearchSpace, contains, in_shape_of, sample, shape

SPACE = SearchSpace(
    {
        "width": Int(1, 64),
        "dropout": Float(0.0, 0.5),
        "start": Choice(("a", "b"), kind="scalar"),
        "schedule": OneOf(
            {
                "cosine": SearchSpace({"warmup": Float(0.0, 0.2, default=0.0)}),
                "cycle": SearchSpace({"warmup": Float(0.3, 0.5)}),
                "step": SearchSpace({"factor": Float(0.1, 0.9)}),
            }
        ),
    }
)


def test_a_shape_is_what_is_no_scalar() -> None:
    config = {"width": 8, "dropout": 0.1, "start": "a", "schedule": {"name": "step", "factor": 0.5}}
    assert shape(SPACE, config) == {"width": 8, "schedule/name": "step"}
    with pytest.raises(ValueError, match="`width` must be in"):
        shape(SPACE, config | {"width": 65})


def test_scalars_keep_their_values_where_they_have_a_place() -> None:
    rng = Random(0)
    for draw in range(200):
        one, other = sample(SPACE, rng), sample(SPACE, rng)
        found = in_shape_of(SPACE, one, other, Random(draw))
        assert contains(SPACE, found)
        assert shape(SPACE, found) == shape(SPACE, other)
        assert (found["dropout"], found["start"]) == (one["dropout"], one["start"])
        if one["schedule"]["name"] == other["schedule"]["name"]:
            assert found["schedule"] == one["schedule"]
        assert found == in_shape_of(SPACE, one, other, Random(draw))

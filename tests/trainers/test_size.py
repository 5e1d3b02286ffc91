"""What a step of a stream costs, against arithmetic."""

import pytest

from spaces import default, narrow
from trainers.catalog import family_space, load_family
from trainers.size import streaming_costs
from trainers.tasks import Classification, MultilabelFrames

MUSIC = MultilabelFrames(input_size=88, labels=88)


@pytest.mark.parametrize(
    ("family", "settings", "numbers"),
    [
        ("gru", {"hidden_size": 32, "num_layers": 2}, 2 * 32),
        ("lstm", {"hidden_size": 32, "num_layers": 3}, 2 * 3 * 32),
        # a level of kernel k and dilation d remembers (k - 1) d steps of each of its two
        # convolutions: 88 and 16 wide on the first, 16 and 16 on the second
        (
            "tcn",
            {"hidden_size": 16, "num_layers": 2, "kernel_size": 3},
            2 * (88 + 16) + 2 * 2 * (16 + 16),
        ),
    ],
)
def test_the_state_of_a_stream(family: str, settings: dict[str, object], numbers: int) -> None:
    backbone = load_family(family)
    config = default(narrow(family_space(backbone, MUSIC, 100), {"model": settings}))
    costs = streaming_costs(backbone, config, MUSIC)
    assert costs["state_bytes"] == 4 * numbers
    assert 0 < costs["latency_ms"] < 10_000


def test_what_does_not_stream_costs_nothing_known() -> None:
    task = Classification(input_size=3, classes=2)
    backbone = load_family("gru")
    config = default(narrow(family_space(backbone, task, 100), {"model": {"bidirectional": True}}))
    assert streaming_costs(backbone, config, task) == {}

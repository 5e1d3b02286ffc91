"""Hybrids are their two parts in a row."""

from random import Random

import pytest
import torch

from spaces import Config, contains, default, sample
from trainers.models.hybrid import ConvRecurrent, Pair, RecurrentAttention
from trainers.models.tcn import TCN
from trainers.models.transformer import Transformer

HYBRIDS = [ConvRecurrent, RecurrentAttention]


def settings(family: type[Pair], causal: bool) -> Config:
    config = default(family.space(causal))
    config["recurrent"] |= {"hidden_size": 16}
    return config


def model(family: type[Pair], *, causal: bool, **recurrent: object) -> Pair:
    torch.manual_seed(0)
    config = settings(family, causal)
    config["recurrent"] |= recurrent
    return family(3, causal=causal, **config).double().eval()  # type: ignore[call-arg]


@pytest.mark.parametrize("family", HYBRIDS)
@pytest.mark.parametrize("causal", [False, True])
def test_the_second_reads_what_the_first_gives(family: type[Pair], causal: bool) -> None:
    pair = model(family, causal=causal)
    x = torch.randn(2, 9, 3, dtype=torch.float64)
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[0, 6:] = False
    y = pair(x, mask)
    assert y.shape == (2, 9, pair.output_size)
    assert torch.equal(y, pair.second(pair.first(x, mask), mask))
    assert torch.equal(pair.summary(y, mask), pair.second.summary(y, mask))
    assert not y[0, 6:].any()


@pytest.mark.parametrize("family", HYBRIDS)
def test_a_stream_equals_the_whole(family: type[Pair]) -> None:
    pair = model(family, causal=True, name="lstm", forget_bias=1.0, peephole=False)
    x = torch.randn(2, 60, 3, dtype=torch.float64)
    state = pair.initial_state(2)
    shapes = {name: value.shape for name, value in state.items()}
    outputs = []
    for chunk in torch.split(x, 13, dim=1):
        y, state = pair.advance(chunk, state)
        outputs.append(y)
        assert {name: value.shape for name, value in state.items()} == shapes
    whole = pair(x, torch.ones(2, 60, dtype=torch.bool))
    torch.testing.assert_close(torch.cat(outputs, dim=1), whole, rtol=0, atol=1e-10)


@pytest.mark.parametrize("causal", [False, True])
def test_the_parts_lie_in_the_spaces_of_their_families(causal: bool) -> None:
    rng = Random(0)
    for _ in range(20):
        before = sample(ConvRecurrent.space(causal), rng)
        assert contains(TCN.space(causal), before["conv"])
        after = sample(RecurrentAttention.space(causal), rng)
        assert contains(Transformer.space(causal), after["attention"])


def test_a_recurrence_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"no recurrence 'grru'; did you mean 'gru'\?"):
        model(ConvRecurrent, causal=True, name="grru")


@pytest.mark.parametrize("family", HYBRIDS)
def test_a_bidirectional_hybrid_does_not_stream(family: type[Pair]) -> None:
    with pytest.raises(ValueError, match="streaming needs a causal model"):
        model(family, causal=False).initial_state(1)

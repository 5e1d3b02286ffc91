"""A stack of any mixers: equal to the families it can spell, additive, and a stream."""

from random import Random

import pytest
import torch

from spaces import Config, default, sample
from trainers.models.ssm import SSM
from trainers.models.stack import MIXERS, Stack
from trainers.models.transformer import Transformer


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def layer(name: str, causal: bool = True) -> Config:
    return {"name": name, **default(MIXERS[name].space(causal))}


def stack(*layers: Config, causal: bool = True) -> Stack:
    made = Stack(3, causal=causal, hidden_size=32, layers=layers, dropout=0.0)
    return made.double().eval()


def parameters(model: Stack) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("causal", [False, True])
def test_a_transformer_is_a_stack(causal: bool) -> None:
    oracle = Transformer(
        3,
        causal=causal,
        num_layers=2,
        num_heads=4,
        head_size=8,
        feed_forward_multiple=2,
        attention_window=4,
        dropout=0.0,
    )
    oracle = oracle.double().eval()
    pair = (
        {"name": "attention", "num_heads": 4, "attention_window": 4},
        {"name": "feed_forward", "multiple": 2},
    )
    model = stack(*pair, *pair, causal=causal)
    model.load_state_dict(oracle.state_dict())
    x, mask = torch.randn(2, 9, 3, dtype=torch.float64), torch.ones(2, 9, dtype=torch.bool)
    assert torch.equal(model(x, mask), oracle(x, mask))


def test_a_state_space_model_is_a_stack() -> None:
    settings = default(MIXERS["ssm"].space(False))
    oracle = SSM(3, causal=False, hidden_size=32, num_layers=2, dropout=0.0, **settings)
    model = stack({"name": "ssm", **settings}, {"name": "ssm", **settings}, causal=False)
    model.load_state_dict(oracle.state_dict())
    x, mask = torch.randn(2, 9, 3, dtype=torch.float64), torch.ones(2, 9, dtype=torch.bool)
    assert torch.equal(model(x, mask), oracle.double().eval()(x, mask))


@pytest.mark.parametrize("causal", [False, True])
def test_parameters_add_up_over_layers(causal: bool) -> None:
    around = 3 * 32 + 32 + 2 * 32  # the input projection and the last norm
    alone = {name: parameters(stack(layer(name, causal), causal=causal)) for name in MIXERS}
    together = parameters(stack(*(layer(name, causal) for name in MIXERS), causal=causal))
    assert together - around == sum(count - around for count in alone.values())


@pytest.mark.parametrize("name", MIXERS)
def test_a_stream_equals_the_whole(name: str) -> None:
    model = stack(layer(name), layer("conv"), layer(name))
    x = torch.randn(2, 80, 3, dtype=torch.float64)
    state = model.initial_state(2)
    shapes = {key: value.shape for key, value in state.items()}
    outputs = []
    for chunk in torch.split(x, 23, dim=1):
        y, state = model.advance(chunk, state)
        outputs.append(y)
        assert {key: value.shape for key, value in state.items()} == shapes
    whole = model(x, torch.ones(2, 80, dtype=torch.bool))
    torch.testing.assert_close(torch.cat(outputs, dim=1), whole, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", MIXERS)
def test_padding_reaches_no_real_step(name: str) -> None:
    model = stack(layer(name, causal=False), layer(name, causal=False), causal=False)
    x, mask = torch.randn(2, 12, 3, dtype=torch.float64), torch.ones(2, 12, dtype=torch.bool)
    mask[0, 5:] = False
    alone = model(x[:1, :5], mask[:1, :5])
    x[0, 5:] = float("nan")
    padded = model(x, mask)
    torch.testing.assert_close(padded[:1, :5], alone, rtol=0, atol=1e-12)
    assert not padded[0, 5:].any()


@pytest.mark.parametrize("causal", [False, True])
def test_every_kind_of_layer_is_drawn_and_runs(causal: bool) -> None:
    rng, drawn, depths = Random(0), set(), set()
    x, mask = torch.randn(2, 7, 3), torch.ones(2, 7, dtype=torch.bool)
    for _ in range(20):
        config = sample(Stack.space(causal), rng)
        y = Stack(3, causal=causal, **config).eval()(x, mask)
        assert y.shape == (2, 7, config["hidden_size"])
        assert y.isfinite().all()
        drawn |= {part["name"] for part in config["layers"]}
        depths.add(len(config["layers"]))
    assert drawn == set(MIXERS)
    assert depths == set(range(1, 7))


def test_layers_that_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"no layer 'atention'; did you mean 'attention'\?"):
        stack({"name": "atention", "num_heads": 4})
    with pytest.raises(ValueError, match="`layers` must name at least one layer"):
        stack()
    with pytest.raises(ValueError, match="`bidirectional` must be false"):
        MIXERS["gru"](8, causal=True, bidirectional=True)

"""Attention, windows and rotary positions against naive softmax and complex numbers."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trainers.models.attention import attention, rotate, windowed_attention
from trainers.models.layers import set_dropout_step
from trainers.models.self_attention import SelfAttention
from trainers.models.transformer import FeedForward, Transformer

SETTINGS = {
    "num_layers": 2,
    "num_heads": 2,
    "head_size": 4,
    "feed_forward_multiple": 3,
    "attention_window": 5,
    "dropout": 0.0,
}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def transformer(*, causal: bool = True, **changes: object) -> Transformer:
    return Transformer(3, causal=causal, **{**SETTINGS, **changes}).double().eval()  # type: ignore[arg-type]


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


def naive(queries: Tensor, keys: Tensor, values: Tensor, seen: Tensor) -> Tensor:
    scores = queries @ keys.mT / math.sqrt(queries.shape[-1])
    return scores.masked_fill(~seen, float("-inf")).softmax(dim=-1) @ values


def band(time: int, window: int, causal: bool) -> Tensor:
    """Which key (second axis) each query sees."""
    distance = torch.arange(time).unsqueeze(1) - torch.arange(time)
    return (distance.abs() < window) & ((distance >= 0) | (not causal))


def test_attention_is_a_softmax_over_what_is_seen() -> None:
    queries, keys, values = (normal(2, 3, 6, 4) for _ in range(3))
    seen = torch.tensor([[True] * 6, [True] * 2 + [False] * 4])[:, None, None, :]
    torch.testing.assert_close(
        attention(queries, keys, values, seen), naive(queries, keys, values, seen)
    )


@given(
    time=st.integers(1, 40),
    padded=st.integers(0, 40),
    window=st.integers(1, 20),
    causal=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_attention_in_blocks_sees_exactly_the_window(
    time: int, padded: int, window: int, causal: bool
) -> None:
    queries, keys, values = (normal(2, 2, time + padded, 4) for _ in range(3))
    mask = torch.ones(2, time + padded, dtype=torch.bool)
    mask[0, time:] = False
    mixed = windowed_attention(queries, keys, values, mask, window=window, causal=causal)
    assert mixed.isfinite().all()
    for row, length in ((0, time), (1, time + padded)):
        parts = (x[row, :, :length] for x in (queries, keys, values))
        expected = naive(*parts, band(length, window, causal))
        torch.testing.assert_close(mixed[row, :, :length], expected)


def test_rotary_positions_turn_complex_numbers() -> None:
    x = normal(2, 7, 6)
    angle = torch.arange(3, 10).unsqueeze(1) * 10_000 ** (-torch.arange(3) / 3)
    turned = torch.complex(x[..., :3], x[..., 3:]) * torch.exp(1j * angle.double())
    torch.testing.assert_close(rotate(x, 3), torch.cat((turned.real, turned.imag), dim=-1))


@pytest.mark.parametrize("shift", [1, -30, 5000])
def test_rotary_scores_depend_on_distances_alone(shift: int) -> None:
    queries, keys = normal(5, 8), normal(5, 8)
    here = rotate(queries, 0) @ rotate(keys, 0).mT
    torch.testing.assert_close(rotate(queries, shift) @ rotate(keys, shift).mT, here)
    assert not torch.allclose(rotate(queries, 1) @ rotate(keys, 0).mT, here)


@pytest.mark.parametrize("causal", [False, True])
def test_self_attention_is_its_formula(causal: bool) -> None:
    layer = SelfAttention(12, causal=causal, num_heads=3, attention_window=4).double()
    x, mask = normal(1, 9, 12), torch.ones(1, 9, dtype=torch.bool)
    seen = band(9, 4, causal)
    heads = []
    for head in range(3):
        rows = slice(4 * head, 4 * head + 4)
        queries, keys, values = (x[0] @ block[rows].T for block in layer.project.weight.chunk(3))
        heads.append(naive(rotate(queries, 0), rotate(keys, 0), values, seen))
    torch.testing.assert_close(layer(x, mask)[0], layer.output(torch.cat(heads, dim=-1)))


@pytest.mark.parametrize("causal", [False, True])
def test_each_layer_reaches_one_window_further(causal: bool) -> None:
    model = transformer(causal=causal, num_layers=3)
    x = normal(1, 40, 3).requires_grad_()
    y = model(x, torch.ones(1, 40, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(y[0, 20, 0], x)
    reached = gradient[0].abs().sum(dim=1).nonzero().flatten().tolist()
    assert reached == list(range(20 - 3 * 4, 21 if causal else 21 + 3 * 4))


@pytest.mark.parametrize("window", [1, 2, 5, 64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_stream_equals_the_whole(window: int, dtype: torch.dtype) -> None:
    model = transformer(attention_window=window).to(dtype)
    x = torch.randn(2, 70, 3, dtype=dtype)
    whole = model(x, torch.ones(2, 70, dtype=torch.bool))
    state = model.initial_state(2)
    shapes = {name: value.shape for name, value in state.items()}
    outputs, start = [], 0
    for size in (1, 1, 4, 23, 1, 40):
        y, state = model.advance(x[:, start : start + size], state)
        outputs.append(y)
        start += size
        assert {name: value.shape for name, value in state.items()} == shapes
    tolerance = 1e-10 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(torch.cat(outputs, dim=1), whole, rtol=0, atol=tolerance)


@pytest.mark.parametrize("window", [2, 9])
def test_a_model_that_looks_both_ways_sees_no_padding(window: int) -> None:
    model = transformer(causal=False, attention_window=window, num_layers=9)
    x, mask = normal(2, 9, 3), torch.ones(2, 9, dtype=torch.bool)
    mask[0, 4:] = False
    alone = model(x[:1, :4], mask[:1, :4])
    x[0, 4:] = float("nan")
    padded = model(x, mask)
    torch.testing.assert_close(padded[:1, :4], alone, rtol=0, atol=1e-12)
    assert not padded[0, 4:].any()
    x = x.nan_to_num().requires_grad_()
    (gradient,) = torch.autograd.grad(model(x, mask)[:, 0].square().sum(), x)
    assert torch.equal(gradient.abs().sum(dim=2) > 0, mask)


def test_the_number_of_parameters() -> None:
    width, wide = 8, 24
    attending = 3 * width * width + width * width + width
    feeding = 2 * width * wide + wide + width
    norms = 2 * width
    model = transformer()
    expected = 3 * width + width + 2 * (attending + feeding + 2 * norms) + norms
    assert sum(p.numel() for p in model.parameters()) == expected


def test_every_parameter_has_a_gradient() -> None:
    model = transformer()
    model(normal(2, 9, 3), torch.ones(2, 9, dtype=torch.bool)).pow(3).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # torch's kernel for CPUs
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("time", [4, 23])
def test_an_array_of_trials_equals_its_members(causal: bool, time: int) -> None:
    members = [transformer(causal=causal, dropout=0.3).train() for _ in range(3)]
    for seed, member in enumerate(members):
        set_dropout_step(member, seed=seed, step=2)
    x, mask = normal(3, 2, time, 3), torch.ones(3, 2, time, dtype=torch.bool)
    mask[:, 0, 3:] = False
    tensors = [dict(m.named_parameters()) | dict(m.named_buffers()) for m in members]
    stacked = {name: torch.stack([one[name] for one in tensors]) for name in tensors[0]}

    def one(state: dict[str, Tensor], x: Tensor, mask: Tensor) -> Tensor:
        return torch.func.functional_call(members[0], state, (x, mask))

    alone = [member(*batch) for member, *batch in zip(members, x, mask, strict=True)]
    fused = torch.func.vmap(one)(stacked, x, mask)
    torch.testing.assert_close(fused, torch.stack(alone), rtol=0, atol=1e-12)


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="`num_heads` must divide `hidden_size`, got 6 and 64"):
        SelfAttention(64, causal=False, num_heads=6, attention_window=8)
    with pytest.raises(ValueError, match="size of a head must be even"):
        SelfAttention(6, causal=False, num_heads=2, attention_window=8)
    with pytest.raises(ValueError, match="size of a head must be even"):
        transformer(head_size=5)
    with pytest.raises(ValueError, match="`attention_window` must be at least 1, got 0"):
        transformer(attention_window=0)
    with pytest.raises(ValueError, match="`num_layers` must be at least 1, got 0"):
        transformer(num_layers=0)
    with pytest.raises(ValueError, match="`multiple` must be at least 1, got 0"):
        FeedForward(8, causal=False, multiple=0)
    with pytest.raises(ValueError, match="streaming needs a causal model"):
        transformer(causal=False).initial_state(1)

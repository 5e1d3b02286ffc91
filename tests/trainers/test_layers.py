import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from trainers.models.layers import (
    Dropout,
    reorder,
    reversed_steps,
    set_dropout_step,
    zero_padding,
)

ELEMENTS = 200_000


def kept(rate: float, seed: int = 0, step: int = 0, shape: tuple[int, ...] = (ELEMENTS,)) -> Tensor:
    """1 where an element of ones is kept, 0 where it is dropped."""
    dropout = Dropout(rate)
    set_dropout_step(dropout, seed, step)
    return (dropout(torch.ones(shape)) > 0).float()


def correlation(one: Tensor, other: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([one, other]))[0, 1])


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.3, 0.5, 0.9])
def test_the_rate_is_met(rate: float) -> None:
    # five standard errors: one false alarm in two million, were the seed drawn anew
    error = math.sqrt(rate * (1 - rate) / ELEMENTS)
    assert abs(kept(rate).mean() - (1 - rate)) < 5 * error


def test_what_is_kept_is_scaled_so_that_the_mean_stays() -> None:
    x = torch.full((ELEMENTS,), 3.0)
    dropout = Dropout(0.2)
    set_dropout_step(dropout, 0, 0)
    assert set(dropout(x).unique().tolist()) == {0.0, 3.75}
    assert dropout(x).mean() == pytest.approx(3.0, abs=0.02)


def test_masks_differ_by_seed_step_and_place_without_correlation() -> None:
    base = kept(0.5, seed=1, step=10)
    bound = 5 / math.sqrt(ELEMENTS)
    for other in (kept(0.5, seed=2, step=10), kept(0.5, seed=1, step=11)):
        assert abs(correlation(base, other)) < bound
    two = nn.Sequential(Dropout(0.5), Dropout(0.5))
    set_dropout_step(two, 1, 10)
    first, second = (module(torch.ones(ELEMENTS)) for module in two)
    assert abs(correlation(first, second)) < bound


@pytest.mark.parametrize("lag", [1, 2, 7, 64, 128, 1000])
def test_neighbours_are_not_correlated(lag: int) -> None:
    mask = kept(0.5, seed=4)
    assert abs(correlation(mask[:-lag], mask[lag:])) < 5 / math.sqrt(ELEMENTS - lag)


def test_the_same_key_gives_the_same_mask_in_every_type() -> None:
    masks = []
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        dropout = Dropout(0.37)
        set_dropout_step(dropout, 3, 4)
        masks.append(dropout(torch.ones(64, 64, dtype=dtype)) > 0)
    assert torch.equal(masks[0], masks[1])
    assert torch.equal(masks[0], masks[2])


def test_the_global_generator_is_not_used() -> None:
    before = torch.get_rng_state()
    kept(0.5)
    assert torch.equal(torch.get_rng_state(), before)


def test_evaluation_and_a_rate_of_zero_change_nothing() -> None:
    x = torch.randn(5, 6)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x


def test_a_rate_of_zero_in_an_array_changes_nothing_either() -> None:
    dropout = Dropout(0.0)
    dropout.active = True
    set_dropout_step(dropout, 1, 2)
    x = torch.randn(50, 60)
    assert torch.equal(dropout(x), x)


def test_one_mask_for_all_steps() -> None:
    dropout = Dropout(0.5, same_over_time=True)
    set_dropout_step(dropout, 0, 0)
    y = dropout(torch.ones(4, 9, 16))
    assert torch.equal(y, y[:, :1].expand_as(y))
    assert len({tuple(row.tolist()) for row in y[:, 0]}) == 4


def test_gradients_pass_where_elements_were_kept() -> None:
    dropout = Dropout(0.4)
    set_dropout_step(dropout, 0, 0)
    x = torch.randn(100, requires_grad=True)
    y = dropout(x)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad > 0, y != 0)


def test_an_array_of_trials_draws_what_each_would_draw_alone() -> None:
    alone = [Dropout(rate) for rate in (0.1, 0.6)]
    for seed, dropout in enumerate(alone):
        set_dropout_step(dropout, seed, 8)
    x = torch.randn(2, 30, 40)
    buffers = {
        name: torch.stack([dict(d.named_buffers())[name] for d in alone])
        for name in ("rate", "key")
    }
    fused = torch.func.vmap(lambda b, v: torch.func.functional_call(alone[0], b, v))(buffers, x)
    assert torch.equal(fused, torch.stack([d(v) for d, v in zip(alone, x, strict=True)]))


def test_dropout_is_no_part_of_a_saved_model() -> None:
    assert Dropout(0.5).state_dict() == {}


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan")])
def test_an_impossible_rate_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="a dropout rate must be at least 0 and below 1, got"):
        Dropout(rate)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 3))
def test_reversal_turns_each_sequence_within_its_length(lengths: list[int], more: int) -> None:
    time = max(lengths) + more
    mask = torch.arange(time) < torch.tensor(lengths).unsqueeze(1)
    x = torch.arange(len(lengths) * time * 2.0).view(len(lengths), time, 2)
    turned = reorder(x, reversed_steps(mask))
    for row, length in enumerate(lengths):
        assert torch.equal(turned[row, :length], x[row, :length].flip(0))
        assert torch.equal(turned[row, length:], x[row, length:])
    assert torch.equal(reorder(turned, reversed_steps(mask)), x)


def test_zero_padding_silences_even_nan() -> None:
    y = torch.tensor([[[1.0], [float("nan")]]])
    assert zero_padding(y, torch.tensor([[True, False]])).tolist() == [[[1.0], [0.0]]]

"""The convolution of all members at once, against torch's of each."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, vmap

from trainers.models.convolution import DilatedConv
from trainers.models.convolution_kernel import dilated_convolution

MEMBERS, BATCH, CHANNELS, FILTERS = 3, 2, 4, 5


def drawn(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_()


def by_torch(
    x: Tensor, weight: Tensor, bias: Tensor, dilation: int, before: int, after: int
) -> Tensor:
    """What is asked of the operation, of one member after another."""
    found = [
        F.conv1d(
            F.pad(each.permute(1, 2, 0), (before, after)), w.permute(2, 1, 0), b, dilation=dilation
        ).permute(2, 0, 1)
        for each, w, b in zip(x, weight, bias, strict=True)
    ]
    return torch.stack(found)


@pytest.mark.parametrize("time", [1, 7, 30])
@pytest.mark.parametrize(
    ("taps", "dilation", "before", "after"),
    [
        (1, 1, 0, 0),
        (2, 1, 1, 0),
        (5, 1, 4, 0),
        (5, 2, 4, 4),
        (3, 8, 16, 0),
        (3, 8, 8, 8),  # taps meet nothing of short sequences
        (4, 3, 0, 9),
    ],
)
def test_outputs_and_gradients_are_those_of_torch(
    time: int, taps: int, dilation: int, before: int, after: int
) -> None:
    inputs = (
        drawn(MEMBERS, time, BATCH, CHANNELS),
        drawn(MEMBERS, taps, CHANNELS, FILTERS, seed=1),
        drawn(MEMBERS, FILTERS, seed=2),
    )
    found = dilated_convolution(*inputs, dilation, before, after)
    wanted = by_torch(*inputs, dilation, before, after)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
    towards = drawn(*wanted.shape, seed=3).detach()
    torch.testing.assert_close(
        torch.autograd.grad(found, inputs, towards),
        torch.autograd.grad(wanted, inputs, towards),
        rtol=0,
        atol=1e-12,
    )


@pytest.mark.parametrize("lookahead", [0, 3])
@pytest.mark.parametrize("weight_norm", [True, False])
@pytest.mark.parametrize("shared", [True, False], ids=["one batch for all", "batches of their own"])
def test_layers_called_as_one_are_those_called_by_themselves(
    lookahead: int, weight_norm: bool, shared: bool
) -> None:
    torch.manual_seed(0)
    layers = [
        DilatedConv(
            CHANNELS,
            FILTERS,
            kernel_size=4,
            dilation=2,
            lookahead=lookahead,
            weight_norm=weight_norm,
        ).double()
        for _ in range(MEMBERS)
    ]
    x, mask = drawn(MEMBERS, BATCH, 9, CHANNELS), torch.ones(BATCH, 9, dtype=torch.bool)
    x = x[:1].expand_as(x) if shared else x
    wanted = torch.stack([layer(each, mask) for layer, each in zip(layers, x, strict=True)])
    joined = {
        name: torch.stack([layer.get_parameter(name) for layer in layers])
        for name, _ in layers[0].named_parameters()
    }
    layers[0].of_members = True

    def call(own: dict[str, Tensor], each: Tensor) -> Tensor:
        y: Tensor = functional_call(layers[0], own, (each, mask))
        return y

    found = vmap(call, in_dims=(0, None))(joined, x[0]) if shared else vmap(call)(joined, x)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
    leaves: list[nn.Parameter] = [layer.weight for layer in layers]
    ours = torch.autograd.grad(found.square().sum(), [joined["weight"]])[0]
    theirs = torch.autograd.grad(wanted.square().sum(), leaves)
    torch.testing.assert_close(ours, torch.stack(theirs), rtol=0, atol=1e-11)


def test_a_chunk_after_what_is_past_goes_on_as_the_whole() -> None:
    torch.manual_seed(0)
    layer = DilatedConv(
        CHANNELS, FILTERS, kernel_size=3, dilation=2, lookahead=0, weight_norm=True
    ).double()
    x = drawn(BATCH, 8, CHANNELS)
    whole = layer(x, torch.ones(BATCH, 8, dtype=torch.bool))
    layer.of_members = True
    past = layer.initial_past(BATCH)
    parts = []
    for chunk in (x[:, :3], x[:, 3:4], x[:, 4:]):
        y, past = layer.advance(chunk, past)
        parts.append(y)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=0, atol=1e-12)

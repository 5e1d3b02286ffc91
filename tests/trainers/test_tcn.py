"""The temporal convolutional network against hand-built convolutions and closed forms."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spaces import contains
from trainers.models.convolution import DilatedConv
from trainers.models.tcn import TCN

SETTINGS = {
    "hidden_size": 4,
    "num_layers": 3,
    "kernel_size": 3,
    "dropout": 0.0,
    "weight_norm": True,
}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def tcn(input_size: int = 2, *, causal: bool = True, **changes: object) -> TCN:
    return TCN(input_size, causal=causal, **{**SETTINGS, **changes}).double().eval()  # type: ignore[arg-type]


def inputs(*shape: int) -> tuple[Tensor, Tensor]:
    return torch.randn(shape, dtype=torch.float64), torch.ones(shape[:2], dtype=torch.bool)


@pytest.mark.parametrize(
    ("kernel_size", "dilation", "lookahead"), [(3, 2, 0), (4, 1, 2), (1, 5, 0)]
)
def test_a_convolution_is_the_sum_over_its_taps(
    kernel_size: int, dilation: int, lookahead: int
) -> None:
    conv = DilatedConv(
        2, 3, kernel_size=kernel_size, dilation=dilation, lookahead=lookahead, weight_norm=False
    ).double()
    x, mask = inputs(1, 7, 2)
    expected = conv.bias.repeat(7, 1)
    for step in range(7):
        for tap in range(kernel_size):
            seen = step + lookahead - (kernel_size - 1 - tap) * dilation
            if 0 <= seen < 7:
                expected[step] = expected[step] + conv.weight[:, :, tap] @ x[0, seen]
    torch.testing.assert_close(conv(x, mask)[0], expected)


def test_weight_norm_is_that_of_torch() -> None:
    conv = DilatedConv(2, 3, kernel_size=4, dilation=2, lookahead=0, weight_norm=True).double()
    assert conv.gain is not None
    with torch.no_grad():
        conv.gain.uniform_(-2, 2)
    oracle = nn.utils.parametrizations.weight_norm(nn.Conv1d(2, 3, 4, dilation=2).double())
    oracle.parametrizations.weight.original0 = conv.gain
    oracle.parametrizations.weight.original1 = conv.weight
    oracle.bias = conv.bias
    x, mask = inputs(2, 9, 2)
    expected = oracle(F.pad(x.transpose(1, 2), (6, 0))).transpose(1, 2)
    torch.testing.assert_close(conv(x, mask), expected)


def test_a_causal_network_is_that_of_the_paper() -> None:
    model = tcn(num_layers=2, weight_norm=False)
    x, mask = inputs(2, 20, 2)
    y = x.transpose(1, 2)
    for level, block in enumerate(model.blocks):
        inner = y
        for conv in (block.conv1, block.conv2):
            oracle = nn.Conv1d(inner.shape[1], 4, 3, padding=2 * 2**level, dilation=2**level)
            oracle.weight, oracle.bias = conv.weight, conv.bias
            inner = F.relu(oracle(inner)[:, :, : -2 * 2**level])  # the paper's "chomp"
        y = F.relu(inner + block.shortcut(y.transpose(1, 2)).transpose(1, 2))
    torch.testing.assert_close(model(x, mask), y.transpose(1, 2))


@pytest.mark.parametrize("kernel_size", [2, 3, 6])
@pytest.mark.parametrize("centred", [False, True])
def test_the_receptive_field_is_what_gradients_reach(kernel_size: int, centred: bool) -> None:
    model = tcn(causal=False, kernel_size=kernel_size, num_layers=3, centred=centred)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.abs_()  # nothing cancels, and no relu is ever closed
    x, mask = inputs(1, 4 * model.receptive_field, 2)
    x = x.abs().requires_grad_()
    middle = 2 * model.receptive_field
    (gradient,) = torch.autograd.grad(model(x, mask)[0, middle].sum(), x)
    reached = gradient[0].sum(dim=1).nonzero().flatten()
    ahead = (model.receptive_field - 1) // 2 if centred else 0
    assert model.receptive_field == 1 + 2 * (kernel_size - 1) * 7
    assert len(reached) == model.receptive_field
    assert int(reached[-1]) == middle + ahead


@pytest.mark.parametrize("weight_norm", [False, True])
def test_the_number_of_parameters(weight_norm: bool) -> None:
    model = tcn(3, hidden_size=10, num_layers=4, kernel_size=5, weight_norm=weight_norm)
    convs = 10 * 3 * 5 + 7 * 10 * 10 * 5 + 8 * 10 * (2 if weight_norm else 1)
    assert sum(p.numel() for p in model.parameters()) == convs + 3 * 10 + 10


@pytest.mark.parametrize("kernel_size", [2, 5])
def test_a_stream_equals_the_whole(kernel_size: int) -> None:
    model = tcn(kernel_size=kernel_size)
    x, mask = inputs(2, 3 * model.receptive_field, 2)
    state = model.initial_state(2)
    shapes = {name: value.shape for name, value in state.items()}
    outputs = []
    for chunk in torch.split(x, 7, dim=1):
        y, state = model.advance(chunk, state)
        outputs.append(y)
        assert {name: value.shape for name, value in state.items()} == shapes
    torch.testing.assert_close(torch.cat(outputs, dim=1), model(x, mask), rtol=0, atol=1e-10)


def test_what_stands_in_the_padding_never_reaches_a_centred_model() -> None:
    model = tcn(causal=False, kernel_size=5, centred=True)
    x, mask = inputs(2, 12, 2)
    mask[0, 5:] = False
    alone = model(x[:1, :5], mask[:1, :5])
    x[0, 5:] = float("nan")
    padded = model(x, mask)
    torch.testing.assert_close(padded[:1, :5], alone, rtol=0, atol=1e-12)
    assert not padded[0, 5:].any()
    torch.testing.assert_close(model.summary(padded, mask)[0], alone[0].mean(dim=0))


@pytest.mark.parametrize("time", [1, 2])
@pytest.mark.parametrize("centred", [False, True])
def test_a_kernel_may_be_longer_than_the_sequence(time: int, centred: bool) -> None:
    model = tcn(causal=False, kernel_size=9, num_layers=8, centred=centred)
    x, mask = inputs(2, time, 2)
    assert model(x, mask).isfinite().all()
    assert model(x, mask).shape == (2, time, 4)


def test_the_papers_settings_lie_in_the_space() -> None:
    for kernel_size, num_layers, hidden_size, dropout in [
        (3, 2, 150, 0.5),
        (6, 4, 150, 0.2),
        (8, 8, 24, 0.0),
        (7, 8, 25, 0.0),
        (8, 8, 10, 0.05),
    ]:
        setting = {
            "hidden_size": hidden_size,
            "num_layers": num_layers,
            "kernel_size": kernel_size,
            "dropout": dropout,
            "weight_norm": True,
        }
        assert contains(TCN.space(causal=True), setting)


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="`centred`"):
        tcn(causal=True, centred=True)
    with pytest.raises(ValueError, match="`num_layers` must be at least 1, got 0"):
        tcn(num_layers=0)
    with pytest.raises(ValueError, match="`kernel_size` must be at least 1, got 0"):
        tcn(kernel_size=0)
    with pytest.raises(ValueError, match="streaming needs a causal model"):
        tcn(causal=False, centred=True).initial_state(1)

"""The diagonal state space against scipy's discretisation and against its own recurrence."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import block_diag
from scipy.signal import cont2discrete
from torch import Tensor

from trainers.models.s4d import S4D
from trainers.models.ssm import SSM

LAYER = {
    "state_size": 8,
    "initialisation": "linear",
    "discretisation": "zero_order_hold",
    "mixing": "glu",
    "min_time_step": 1e-3,
}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def s4d(hidden_size: int = 3, *, causal: bool = True, **changes: object) -> S4D:
    return S4D(hidden_size, causal=causal, **{**LAYER, **changes}).double()  # type: ignore[arg-type]


def ssm(*, causal: bool = True, **changes: object) -> SSM:
    settings = {**LAYER, "hidden_size": 6, "num_layers": 2, "dropout": 0.0, **changes}
    return SSM(3, causal=causal, **settings).double().eval()  # type: ignore[arg-type]


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


def dense_kernel(layer: S4D, feature: int, length: int, method: str) -> np.ndarray:
    """The impulse response of one feature, from real matrices and scipy's discretisation."""
    decay = layer.log_decay[0, feature].exp().tolist()
    frequency = layer.frequency[0, feature].tolist()
    pole = block_diag(*([[-d, -f], [f, -d]] for d, f in zip(decay, frequency, strict=True)))
    drive = np.tile([[1.0], [0.0]], (len(decay), 1))
    readout = torch.stack((2 * layer.readout_real, -2 * layer.readout_imag), dim=-1)[0, feature]
    row = readout.flatten().detach().numpy()
    step = float(layer.log_time_step[0, feature].detach().exp())
    a, b, *_ = cont2discrete((pole, drive, row[None], 0.0), step, method=method)
    return np.array([row @ np.linalg.matrix_power(a, lag) @ b[:, 0] for lag in range(length)])


def test_the_published_frequencies() -> None:
    linear = s4d(state_size=4).frequency[0, 0]
    torch.testing.assert_close(linear.detach(), torch.tensor([0.0, math.pi]).double())
    inverse = s4d(state_size=4, initialisation="inverse").frequency[0, 0]
    expected = [4 / math.pi * (4 / 1 - 1), 4 / math.pi * (4 / 3 - 1)]
    torch.testing.assert_close(inverse.detach(), torch.tensor(expected).double())


def test_time_steps_begin_between_the_bounds() -> None:
    steps = s4d(500, min_time_step=0.01).log_time_step.detach().exp()
    assert 0.01 <= float(steps.min()) < 0.0115
    assert 0.087 < float(steps.max()) <= 0.1


@pytest.mark.parametrize("initialisation", ["linear", "inverse"])
@pytest.mark.parametrize(
    ("discretisation", "method"), [("zero_order_hold", "zoh"), ("bilinear", "bilinear")]
)
@pytest.mark.parametrize("length", [1, 2, 17, 50])
def test_the_kernel_is_that_of_a_dense_system(
    initialisation: str, discretisation: str, method: str, length: int
) -> None:
    layer = s4d(initialisation=initialisation, discretisation=discretisation)
    kernel = layer.kernel(length)[0].detach().numpy()
    assert kernel.shape == (3, length)
    for feature in range(3):
        np.testing.assert_allclose(
            kernel[feature], dense_kernel(layer, feature, length, method), rtol=1e-6, atol=1e-9
        )


@pytest.mark.parametrize("discretisation", ["zero_order_hold", "bilinear"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.float64, 1e-10)])
def test_a_stream_equals_the_whole(
    discretisation: str, dtype: torch.dtype, tolerance: float
) -> None:
    model = ssm(discretisation=discretisation, initialisation="inverse").to(dtype)
    x = torch.randn(2, 300, 3, dtype=dtype)
    whole = model(x, torch.ones(2, 300, dtype=torch.bool))
    state = model.initial_state(2)
    outputs, start = [], 0
    for size in (1, 9, 40, 250):
        y, state = model.advance(x[:, start : start + size], state)
        outputs.append(y)
        start += size
    torch.testing.assert_close(torch.cat(outputs, dim=1), whole, rtol=0, atol=tolerance)


def test_both_directions_are_two_plain_convolutions() -> None:
    layer = s4d(causal=False, bidirectional=True)
    x, mask = normal(2, 11, 3), torch.ones(2, 11, dtype=torch.bool)
    mask[0, 6:] = False
    ahead, back = layer.kernel(11).detach().numpy()
    expected = torch.zeros_like(x)
    for example, length in enumerate((6, 11)):
        for feature in range(3):
            signal = x[example, :length, feature].numpy()
            past = np.convolve(signal, ahead[feature])[:length]
            future = np.convolve(signal[::-1], back[feature])[:length][::-1]
            expected[example, :length, feature] = torch.tensor(past)
            # the present step belongs to the first direction, so the second starts one step ahead
            expected[example, : length - 1, feature] += torch.tensor(future[1:].copy())
    output = layer.mix(torch.nn.functional.gelu(expected + layer.skip * x))
    torch.testing.assert_close(layer(x, mask)[mask], output[mask])


def test_parameters_and_state_are_real_numbers() -> None:
    model = ssm()
    assert all(value.dtype == torch.float64 for value in model.state_dict().values())
    assert all(value.dtype == torch.float64 for value in model.initial_state(2).values())
    assert {name: value.shape for name, value in model.initial_state(2).items()} == {
        "0.modes": (2, 6, 4, 2),
        "1.modes": (2, 6, 4, 2),
    }


@pytest.mark.parametrize(("mixing", "bidirectional"), [("glu", False), ("linear", True)])
def test_the_number_of_parameters(mixing: str, bidirectional: bool) -> None:
    model = ssm(causal=False, mixing=mixing, bidirectional=bidirectional)
    bank = 6 * (1 + 4 * 4)  # a time step, and four numbers for each of state_size / 2 modes
    mix = (6 * 6 + 6) * (2 if mixing == "glu" else 1)
    layer = bank * (1 + bidirectional) + 6 + mix + 12
    assert sum(p.numel() for p in model.parameters()) == 3 * 6 + 6 + 2 * layer + 12


def test_every_parameter_has_a_gradient() -> None:
    model = ssm(causal=False, bidirectional=True)
    model(normal(2, 20, 3), torch.ones(2, 20, dtype=torch.bool)).pow(3).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"`mixing` must be one of glu, linear, got 'gluu'.*glu"):
        s4d(mixing="gluu")
    with pytest.raises(ValueError, match="`state_size` must be even and at least 2, got 7"):
        s4d(state_size=7)
    with pytest.raises(ValueError, match="`min_time_step` must be above 0"):
        s4d(min_time_step=0.0)
    with pytest.raises(ValueError, match="cannot be `bidirectional`"):
        ssm(bidirectional=True)
    with pytest.raises(ValueError, match="streaming needs a causal model"):
        ssm(causal=False).initial_state(1)

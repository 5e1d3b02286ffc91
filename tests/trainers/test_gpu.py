"""On a GPU: the promises, half precision within bounds, and kernels that are truly fused.

Everything that a processor can stand in for runs there, too; the rest needs a GPU, and says so.
"""

from contextlib import AbstractContextManager

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from spaces import Config, default
from trainers.backbone import Backbone
from trainers.catalog import family_space
from trainers.conformance.checks import check_family
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.device import full_precision
from trainers.models import MODELS
from trainers.models.recurrence.choice import TOLERANCE, WAYS, Use, deviation, example
from trainers.models.recurrence.loops import GATES
from trainers.randomness import torch_randomness
from trainers.tasks import Classification
from trainers.training import evaluation, gradients
from trainers.training.evaluation import precision
from trainers.training.loop import Training, TrainingArray

GPU = pytest.param(
    "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
)
OUTPUTS_OFF = 0.03
"""bfloat16 has 8 bits: one product is off by up to 0.4 %, and a few layers of them by so much."""
GRADIENTS_OFF = 0.1
LOSS_OFF = 0.05


def half(device: torch.device) -> AbstractContextManager[object]:
    """What `precision` gives on a GPU, and the same for a processor."""
    if device.type == "cuda":
        return precision(device)
    return torch.autocast("cpu", torch.bfloat16)


def settings(family: type[Backbone], causal: bool, **changes: object) -> Config:
    chosen = default(family.space(causal))
    return chosen | {name: 0.0 for name in chosen if "dropout" in name} | changes


def relative(one: Tensor, other: Tensor) -> float:
    return ((one.float() - other).norm() / other.norm()).item()


def sequences(examples: int, seed: int) -> Split:
    rng = np.random.default_rng(seed)
    inputs = [rng.standard_normal((n, 3), dtype=np.float32) for n in rng.integers(9, 17, examples)]
    targets = np.array([[int(values[-4:, 0].mean() > 0)] for values in inputs])
    return Split(Sequences.from_list(inputs), Sequences.from_array(targets))


def made_up(device: str) -> DeviceData:
    task = Classification(input_size=3, classes=2, causal=True)
    parts = (sequences(examples, seed) for seed, examples in enumerate((192, 64, 64)))
    return DeviceData(Dataset("made up", task, *parts, {}), device)


def training(name: str, data: DeviceData) -> Training:
    config = default(family_space(MODELS[name], data.task, 192))
    config["training"]["batch_size"] = 32
    return Training(MODELS[name], config, data, seed=0, epochs=4, metric="log_loss")


@pytest.mark.slow
@pytest.mark.parametrize("device", [GPU])
@pytest.mark.parametrize("name", MODELS)
def test_every_family_keeps_its_promises(name: str, device: str) -> None:
    findings = check_family(MODELS[name], draws=2, device=device)
    assert [finding for finding in findings if not finding.advice] == []


@pytest.mark.parametrize("device", [GPU])
@pytest.mark.parametrize("name", MODELS)
def test_a_gpu_gives_the_numbers_of_a_processor(name: str, device: str) -> None:
    outputs = []
    for place in ("cpu", device):
        with torch_randomness(1):
            model = MODELS[name](3, causal=True, **settings(MODELS[name], True))
            x = torch.randn(4, 20, 3)
        mask = torch.ones(4, 20, dtype=torch.bool, device=place)
        with full_precision(place):
            outputs.append(model.to(place).eval()(x.to(place), mask).cpu())
    assert relative(outputs[1], outputs[0]) < 1e-4


@pytest.mark.parametrize("device", ["cpu", GPU])
@pytest.mark.parametrize("name", MODELS)
def test_half_precision_is_near_full_precision(name: str, device: str) -> None:
    place = torch.device(device)
    with torch_randomness(1):
        model = MODELS[name](3, causal=True, **settings(MODELS[name], True)).to(place)
        head = nn.Linear(model.output_size, 5).to(place)
        x = torch.randn(16, 20, 3).to(place)
    mask = torch.ones(16, 20, dtype=torch.bool, device=place)
    targets = torch.arange(16, device=place) % 5
    found = []
    for context in (full_precision(device), half(place)):
        with context:
            y = model(x, mask)
            logits = head(model.summary(y, mask))
        loss = nn.functional.cross_entropy(logits.float(), targets)
        parts = torch.autograd.grad(loss, list(model.parameters()))
        found.append((y.float(), torch.cat([part.float().flatten() for part in parts])))
    (full, gradient), (rough, rough_gradient) = found
    assert 0 < relative(rough, full) < OUTPUTS_OFF
    assert relative(rough_gradient, gradient) < GRADIENTS_OFF


@pytest.mark.parametrize("device", ["cpu", GPU])
@pytest.mark.parametrize(
    ("members", "name"),
    [
        *((1, name) for name in ("lstm", "gru", "tcn", "transformer", "ssm")),
        *((2, name) for name in ("rnn", "gru", "lstm", "tcn", "ssm")),
    ],
)
def test_training_in_half_precision_comes_to_the_same_loss(
    members: int, name: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = made_up(device)
    reached = []
    for chosen in (lambda place: full_precision(place.type), half):
        for module in (gradients, evaluation):
            monkeypatch.setattr(module, "precision", chosen)
        runs = [training(name, data) for _ in range(members)]
        array = TrainingArray(runs)
        reached.append([array.run_epoch()[-1].valid["log_loss"] for _ in range(4)])
        parameters = (parameter for run in runs for parameter in run.model.parameters())
        assert all(parameter.dtype == torch.float32 for parameter in parameters)
    full, rough = reached
    assert full[-1] < full[0]
    assert rough == pytest.approx(full, abs=LOSS_OFF)
    assert rough != full


@pytest.mark.parametrize("device", ["cpu", GPU])
def test_a_training_on_a_device_stops_and_goes_on(device: str, tmp_path) -> None:
    data = made_up(device)
    whole, first, second = (training("gru", data) for _ in range(3))
    expected = [whole.run_epoch().valid["log_loss"] for _ in range(3)]
    first.run_epoch()
    first.save(tmp_path / "state")
    second.restore(tmp_path / "state")
    got = [second.run_epoch().valid["log_loss"] for _ in range(2)]
    assert got == pytest.approx(expected[1:], rel=1e-12 if device == "cpu" else 1e-2)
    assert {tensor.device.type for tensor in second.best_weights().values()} == {"cpu"}


# kernels


def operators(name: str, device: str, **changes: object) -> set[str]:
    """Names of what torch ran for one step of training under `precision`, kernels included."""
    place = torch.device(device)
    model = MODELS[name](3, causal=True, **settings(MODELS[name], True, **changes)).to(place)
    x = torch.randn(4, 40, 3, device=place)
    mask = torch.ones(4, 40, dtype=torch.bool, device=place)
    gpu = [ProfilerActivity.CUDA] if place.type == "cuda" else []
    with profile(activities=[ProfilerActivity.CPU, *gpu]) as seen:
        with precision(place):
            y = model(x, mask)
        y.float().square().mean().backward()
    return {event.key for event in seen.key_averages()}


@pytest.mark.parametrize("device", ["cpu", GPU])
@pytest.mark.parametrize("changes", [{}, {"recurrent_dropout": 0.3}], ids=["plain", "weight-drop"])
@pytest.mark.parametrize(
    ("name", "operator"), [("lstm", "aten::lstm"), ("gru", "aten::gru"), ("rnn", "aten::rnn_tanh")]
)
def test_recurrences_run_in_one_call_a_layer(
    name: str, operator: str, changes: dict[str, object], device: str
) -> None:
    seen = operators(name, device, num_layers=2, **changes)
    assert operator in seen
    if device == "cuda":  # every step in one call, forward and backward
        assert {"aten::_cudnn_rnn", "aten::_cudnn_rnn_backward"} <= seen


@pytest.mark.parametrize("device", ["cpu", GPU])
@pytest.mark.parametrize("window", [64, 8], ids=["whole", "in blocks"])
def test_attention_is_fused(window: int, device: str) -> None:
    seen = operators("transformer", device, attention_window=window)
    assert "aten::scaled_dot_product_attention" in seen
    kinds = ("flash_attention", "efficient_attention", "cudnn_attention")
    if device == "cuda":
        assert any(f"aten::_scaled_dot_product_{kind}" in seen for kind in kinds), sorted(seen)
    else:
        assert "aten::_scaled_dot_product_flash_attention_for_cpu" in seen
    assert "aten::_scaled_dot_product_attention_math" not in seen


@pytest.mark.parametrize("device", [GPU])
def test_matrix_products_are_in_half_precision(device: str) -> None:
    seen = operators("transformer", device)
    kernels = [name.lower() for name in seen if not name.startswith("aten::")]
    assert any("bf16" in name or "bfloat16" in name for name in kernels), sorted(kernels)


@pytest.mark.parametrize("device", [GPU])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [5, 50, 64])
@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_compute_recurrences_is_right_on_a_gpu(
    way: str, cell: str, size: int, dtype: torch.dtype, device: str
) -> None:
    use = Use(cell, size, dtype, torch.device(device, 0))
    found = WAYS[way](use)  # a warning, that it is not, would be an error
    assert found is not None
    given = example(use, members=5, time=71, batch=37)
    for _ in range(2):  # what is recorded is replayed
        assert deviation(found, use, given) < 2 * TOLERANCE[dtype]


@pytest.mark.parametrize("device", [GPU])
def test_larger_kernels_than_a_gpu_can_hold_are_not_tried(device: str) -> None:
    use = Use("lstm", 512, torch.float32, torch.device(device, 0))
    assert WAYS["persistent kernel"](use) is None
    assert WAYS["CUDA graphs"](use) is not None

import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim import lr_scheduler, swa_utils

from spaces import default, sample
from trainers.tasks import Classification, Regression
from trainers.training.members import Members
from trainers.training.optim import OPTIMIZERS, average_weights, clip_scale, training_space
from trainers.training.schedules import SCHEDULES, Progress
from trainers.training.weights import ALIGNMENT, Weights

SIZE, STEPS = 12, 60
SETTINGS = {
    "adamw": {"learning_rate": 0.02, "weight_decay": 0.1},
    "adam": {"learning_rate": 0.02, "weight_decay": 0.01},
    "sgd": {"learning_rate": 0.05, "momentum": 0.8},
    "rmsprop": {"learning_rate": 0.01},
}
ORACLES = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
}


def gradients(members: int = 1) -> Tensor:
    """(STEPS, members, SIZE), of all sizes from 1e-4 to 10."""
    noise = torch.Generator().manual_seed(0)
    scale = torch.logspace(-4, 1, SIZE, dtype=torch.float64)
    return torch.randn(STEPS, members, SIZE, generator=noise, dtype=torch.float64) * scale


def start(members: int = 1) -> Tensor:
    return torch.linspace(-2, 2, SIZE, dtype=torch.float64).repeat(members, 1)


def torchs(name: str, numbers: dict[str, float], all_gradients: Tensor, clip_norm: float) -> Tensor:
    parameter = nn.Parameter(start()[0].clone())
    rest = {key: value for key, value in numbers.items() if key != "learning_rate"}
    optimizer = ORACLES[name]([parameter], lr=numbers["learning_rate"], **rest)
    for gradient in all_gradients:
        parameter.grad = gradient.clone()
        nn.utils.clip_grad_norm_([parameter], clip_norm)
        optimizer.step()
    return parameter.detach()


def ours(name, numbers, all_gradients: Tensor, clip_norm) -> Tensor:
    """All members at once, (members, SIZE)."""
    parameters = start(all_gradients.shape[1])
    slots = {slot: torch.zeros_like(parameters) for slot in OPTIMIZERS[name].slots}
    for step, gradient in enumerate(all_gradients):
        _, scale = clip_scale(gradient, clip_norm)
        OPTIMIZERS[name].update(parameters, gradient * scale, slots, step + 1, numbers)
    return parameters


def test_every_optimiser_is_tested():
    assert set(SETTINGS) == set(ORACLES) == set(OPTIMIZERS)
    for name, settings_ in SETTINGS.items():
        assert set(settings_) == set(OPTIMIZERS[name].space.children)


@pytest.mark.parametrize("clip_norm", [0.5, 1e9])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_are_torchs(name, clip_norm):
    got = ours(name, SETTINGS[name], gradients(), clip_norm)[0]
    expected = torchs(name, SETTINGS[name], gradients()[:, 0], clip_norm)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_members_with_numbers_of_their_own_step_as_if_alone(name):
    all_gradients = gradients(3)
    scales = torch.tensor([[0.1], [1.0], [2.0]], dtype=torch.float64)
    numbers = {key: value * scales / 4 for key, value in SETTINGS[name].items()}
    together = ours(name, numbers, all_gradients, scales)
    for member in range(3):
        own = {key: value[member].item() for key, value in numbers.items()}
        expected = torchs(name, own, all_gradients[:, member], scales[member].item())
        torch.testing.assert_close(together[member], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_member_that_is_not_finite_leaves_the_others_alone(name):
    all_gradients = gradients(2)
    alone = ours(name, SETTINGS[name], all_gradients[:, 1:], 1.0)
    all_gradients[5, 0, 0] = math.nan
    together = ours(name, SETTINGS[name], all_gradients, 1.0)
    assert together[0].isnan().all()
    assert torch.equal(together[1:], alone)


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_a_clipped_gradient_is_no_longer_than_allowed(length, clip_norm):
    gradient = torch.full((9,), length / 3, dtype=torch.float64)
    norm, scale = clip_scale(gradient, clip_norm)
    assert norm.item() == pytest.approx(length)
    assert (gradient * scale).norm().item() == pytest.approx(min(length, clip_norm), rel=1e-3)


def averages(steps: Tensor, decay) -> Tensor:
    """The average (members, SIZE) after steps (STEPS, members, SIZE), begun where it must not."""
    average = torch.full_like(steps[0], 1e6)
    for number, parameters in enumerate(steps, 1):
        average_weights(average, parameters, number, decay)
    return average


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.999])
def test_averages_are_torchs_divided_by_what_its_terms_weigh(decay):
    steps = gradients()
    parameter = nn.Parameter(torch.zeros(SIZE, dtype=torch.float64))
    oracle = swa_utils.AveragedModel(
        nn.ParameterList([parameter]), multi_avg_fn=swa_utils.get_ema_multi_avg_fn(decay)
    )
    oracle.update_parameters(nn.ParameterList([parameter]))  # torch begins with a copy: of zeros
    for (parameters,) in steps:
        parameter.data = parameters.clone()
        oracle.update_parameters(nn.ParameterList([parameter]))
    expected = next(oracle.module.parameters()).detach() / (1 - decay ** len(steps))
    torch.testing.assert_close(averages(steps, decay)[0], expected, rtol=1e-10, atol=1e-12)


def test_members_with_decays_of_their_own_average_as_if_alone():
    steps = gradients(3)
    decays = torch.tensor([[0.0], [0.5], [0.99]], dtype=torch.float64)
    together = averages(steps, decays)
    for member in range(3):
        alone = averages(steps[:, member : member + 1], decays[member].item())
        torch.testing.assert_close(together[member], alone[0], rtol=1e-12, atol=1e-12)
    assert torch.equal(together[0], steps[-1, 0])


def test_a_long_average_begins_as_a_plain_mean():
    steps = gradients()[:5]
    expected = steps.mean(0)
    torch.testing.assert_close(averages(steps, 0.9999), expected, rtol=1e-2, atol=1e-4)


def learning_rates(make, total: int) -> list[float]:
    """Of one of torch's schedules, as shares of the base rate."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = make(optimizer)
    rates = []
    for _ in range(total):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


def warmed_up(make, warmup: int):
    def chain(optimizer):
        if not warmup:
            return make(optimizer)
        warm = lr_scheduler.LinearLR(optimizer, 1 / warmup, 1.0, total_iters=max(warmup - 1, 1))
        if warmup == 1:
            return lr_scheduler.SequentialLR(
                optimizer, [lr_scheduler.ConstantLR(optimizer, 1.0), make(optimizer)], [1]
            )
        return lr_scheduler.SequentialLR(optimizer, [warm, make(optimizer)], [warmup])

    return chain


def factors(name: str, total: int, **numbers: float) -> list[float]:
    return SCHEDULES[name].factors(range(total), Progress(total), numbers)


@pytest.mark.parametrize("total", [10, 100, 333])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.2])
def test_cosine_and_linear_are_torchs_with_warmup(total, share):
    warmup = round(share * total)
    rest = total - warmup
    cosine = warmed_up(lambda o: lr_scheduler.CosineAnnealingLR(o, rest), warmup)
    linear = warmed_up(lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, total_iters=rest), warmup)
    assert factors("cosine", total, warmup=share) == pytest.approx(learning_rates(cosine, total))
    assert factors("linear", total, warmup=share) == pytest.approx(learning_rates(linear, total))


@pytest.mark.parametrize("total", [10, 100, 333])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_one_cycle_is_torchs(total, share):
    def cycle(optimizer):
        return lr_scheduler.OneCycleLR(
            optimizer, 1.0, total_steps=total + 1, pct_start=share, cycle_momentum=False
        )

    expected = learning_rates(cycle, total)
    got = SCHEDULES["one_cycle"].factors(range(total), Progress(total + 1), {"warmup": share})
    assert got == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(
    values=st.lists(st.floats(0.1, 2), max_size=40),
    maximize=st.booleans(),
    factor=st.floats(0.1, 0.7),
    patience=st.integers(1, 4),
)
def test_plateau_is_torchs(values, maximize, factor, patience):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    oracle = lr_scheduler.ReduceLROnPlateau(
        optimizer, "max" if maximize else "min", factor=factor, patience=patience, eps=0.0
    )
    for value in values:
        oracle.step(value)
    losses = [-value if maximize else value for value in values]
    numbers = {"factor": factor, "patience": patience}
    got = SCHEDULES["plateau"].factors(range(3), Progress(100, losses), numbers)
    assert got == pytest.approx([optimizer.param_groups[0]["lr"]] * 3)


@pytest.mark.parametrize("name", SCHEDULES)
def test_any_stretch_of_a_schedule_is_that_of_the_whole(name):
    kind = SCHEDULES[name]
    numbers = default(kind.space)
    progress = Progress(50, [1.0, 0.5, 0.6, 0.7])
    whole = kind.factors(range(60), progress, numbers)
    parts = [
        *kind.factors(range(17), progress, numbers),
        *kind.factors(range(17, 60), progress, numbers),
    ]
    assert whole == parts
    assert all(0 <= factor <= 1 for factor in whole)


@pytest.mark.parametrize("total", [1, 2, 3])
@pytest.mark.parametrize("name", SCHEDULES)
def test_short_trainings_have_a_schedule_too(name, total):
    numbers = default(SCHEDULES[name].space)
    rates = SCHEDULES[name].factors(range(total), Progress(total), numbers)
    assert len(rates) == total
    assert all(0 <= rate <= 1 for rate in rates)
    assert max(rates) > 0


@pytest.mark.parametrize(
    ("examples", "batch_size"), [(1, 4), (229, 4), (400, 8), (1076, 16), (1600, 32), (50_000, 32)]
)
def test_few_examples_start_with_small_batches(examples, batch_size):
    assert default(training_space(Regression(), examples))["batch_size"] == batch_size


def test_the_training_space_asks_the_task():
    assert "label_smoothing" in training_space(Classification(classes=2), 1000).children
    assert "label_smoothing" not in training_space(Regression(), 1000).children
    start_ = default(training_space(Classification(classes=2), 1000))
    assert start_["optimizer"]["name"] == "adamw"
    assert start_["schedule"]["name"] == "cosine"
    assert start_["clip_norm"] == 1.0


@settings(max_examples=50)
@given(st.integers(0, 2**32))
def test_every_draw_can_be_stepped_with(seed):
    space = training_space(Classification(classes=2), 1000)
    config = sample(space, random.Random(seed))
    optimizer = OPTIMIZERS[config["optimizer"]["name"]]
    schedule = SCHEDULES[config["schedule"]["name"]]
    (factor,) = schedule.factors(range(1), Progress(10), config["schedule"])
    rate = config["optimizer"]["learning_rate"] * factor
    parameters = torch.ones(3)
    slots = {name: torch.zeros(3) for name in optimizer.slots}
    numbers = config["optimizer"] | {"learning_rate": rate}
    optimizer.update(parameters, torch.tensor([1.0, -1.0, 0.0]), slots, 1, numbers)
    assert parameters[0] < parameters[1]
    assert parameters[0] <= parameters[2] <= parameters[1]


class TestWeights:
    def model(self) -> nn.Module:
        convolution = nn.utils.parametrizations.weight_norm(nn.Conv1d(2, 3, 3))
        return nn.Sequential(convolution, nn.BatchNorm1d(3), nn.Linear(5, 1))

    def test_parameters_are_views_of_the_vector(self):
        model = self.model()
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        weights = Weights(model)
        for name, tensor in model.state_dict().items():
            assert torch.equal(tensor, before[name])
        assert weights.count == sum(parameter.numel() for parameter in model.parameters())
        weights.vector.zero_()
        for parameter in model.parameters():
            assert not parameter.any()
            assert parameter.data_ptr() % (ALIGNMENT * 4) == weights.vector.data_ptr() % 64

    def test_the_gradient_is_autograds(self):
        model, x = self.model(), torch.randn(4, 2, 7)
        unused = nn.Parameter(torch.ones(3))
        model.register_parameter("unused", unused)
        weights = Weights(model)
        gradient = Members([model], [weights]).gradient(model(x).square().sum())[0]
        model(x).square().sum().backward()
        views = {
            name: gradient[p.storage_offset() : p.storage_offset() + p.numel()].view_as(p)
            for name, p in model.named_parameters()
        }
        for name, parameter in model.named_parameters():
            expected = torch.zeros(3) if parameter is unused else parameter.grad
            torch.testing.assert_close(views[name], expected)
        total = sum(view.square().sum() for view in views.values())
        torch.testing.assert_close(gradient.norm(), total.sqrt())

    def test_a_snapshot_brings_everything_back(self):
        model, x = self.model(), torch.randn(4, 2, 7)
        weights = Weights(model)
        model(x)
        snapshot = weights.snapshot()
        model.eval()
        expected = model(x)
        model.train()
        model(x * 5)
        weights.vector.add_(1.0)
        model.eval()
        assert not torch.equal(model(x), expected)
        weights.load(snapshot)
        assert torch.equal(model(x), expected)

    def test_layers_are_modules(self):
        weights = Weights(self.model())
        assert [layer.name for layer in weights.layers] == ["0", "1", "2"]
        norms = weights.layer_norms(weights.vector)
        torch.testing.assert_close(norms.norm(), weights.vector.norm())

    def test_what_cannot_be_one_vector_is_refused(self):
        with pytest.raises(ValueError, match="real and of one type, got"):
            Weights(nn.ParameterList([torch.zeros(1), torch.zeros(1, dtype=torch.float64)]))
        with pytest.raises(ValueError, match="real and of one type, got"):
            Weights(nn.ParameterList([torch.zeros(1, dtype=torch.complex64)]))
        with pytest.raises(ValueError, match="real and of one type, got"):
            Weights(nn.Identity())
        with pytest.raises(ValueError, match="of this model, got others"):
            Weights(nn.Linear(2, 2)).load(Weights(nn.Linear(9, 9)).snapshot())

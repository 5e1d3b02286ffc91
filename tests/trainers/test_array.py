"""Arrays of trainings: each is what it would be alone."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from spaces import Config, Int, Parameter, Value, build
from trainers.catalog import family_space
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.data.streams import passages_of
from trainers.models import MODELS
from trainers.tasks import (
    CTC,
    Captioning,
    Classification,
    Forecasting,
    LanguageModelling,
    MultilabelFrames,
    Regression,
    Tagging,
    Task,
)
from trainers.tasks.classes import _constant
from trainers.training.array import TrainingArray
from trainers.training.loop import Diverged, Training
from trainers.training.optim import OPTIMIZERS
from trainers.training.schedules import SCHEDULES

FEATURES, EPOCHS = 2, 4
TASKS: dict[str, Task] = {
    "tagging": Tagging(input_size=FEATURES, classes=2),
    "classification": Classification(input_size=FEATURES, classes=2),
    "regression": Regression(input_size=FEATURES),
    "multilabel_frames": MultilabelFrames(input_size=FEATURES, labels=FEATURES),
    "forecasting": Forecasting(input_size=FEATURES, horizon=2, channels=1),
    "ctc": CTC(input_size=FEATURES, classes=2),
    "captioning": Captioning(input_size=FEATURES, classes=3, longest=3),
    "language_modelling": LanguageModelling(vocabulary=5),
}
pytestmark = [
    pytest.mark.filterwarnings("error:There is a performance drop"),
    pytest.mark.filterwarnings("ignore:There is a performance drop.*attention"),
]


def split(task: Task, examples: int, seed: int) -> Split:
    rng = np.random.default_rng(seed)
    if task.streams:
        return passages_of([rng.integers(0, 5, 6 * examples) for _ in range(2)])
    inputs = [
        rng.standard_normal((length, FEATURES)).astype(np.float32)
        for length in rng.integers(2, 6, examples)
    ]
    targets = {
        "tagging": lambda x: (x[:, 0] > 0).astype(np.int64),
        "classification": lambda x: np.array([int(x.mean() > 0)]),
        "regression": lambda x: x[:1, 0],
        "multilabel_frames": lambda x: (x > 0).astype(np.uint8),
        "forecasting": lambda x: np.stack([x[:2, 0], x[:2, 0] * 0, x[:2, 0] * 0 + 1], 1),
        "ctc": lambda x: (x[:1, 0] > 0).astype(np.int64),
        "captioning": lambda x: np.array([int(x[0, 0] > 0), 2]),
    }[task.name]
    return Split(
        Sequences.from_list(inputs), Sequences.from_list([targets(values) for values in inputs])
    )


def data_of(task: Task, examples: int = 20) -> DeviceData:
    parts = [split(task, examples, 0), split(task, 7, 1), split(task, 5, 2)]
    return DeviceData(Dataset("made up", task, *parts, {}))


def settings_of(family: str, task: Task, **choices: Any) -> Config:
    """Small, with every dropout in use."""

    def choose(path: str, parameter: Parameter) -> Value:
        last = path.rpartition("/")[2]
        if path in choices or last in choices:
            return choices.get(path, choices.get(last))
        if "dropout" in last:
            return 0.2
        if isinstance(parameter, Int) and last != "patience":
            return max(parameter.low, min(2 if last == "num_layers" else 4, parameter.high))
        return parameter.default

    return build(family_space(MODELS[family], task, 100), choose)


def three(
    family: str,
    data: DeviceData,
    change: Callable[[Config, int], None] | None = None,
    **choices: Any,
) -> list[Training]:
    """Different in every number, and in their seeds."""
    found = []
    for number in range(3):
        config = settings_of(family, data.task, **choices)
        training = config["training"]
        training["optimizer"]["learning_rate"] *= 1 + number / 2
        training["clip_norm"] = (0.05, 0.5, 10.0)[number]
        for name in training["optimizer"]:
            if name in ("weight_decay", "momentum"):
                training["optimizer"][name] *= 1 - number / 5
        if "dropout" in config["model"]:
            config["model"]["dropout"] = (0.0, 0.2, 0.5)[number]
        if change:
            change(config, number)
        found.append(Training(MODELS[family], config, data, seed=number, epochs=EPOCHS))
    return found


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All in float64."""
    torch.set_default_dtype(torch.float64)
    _constant.cache_clear()
    kind = property(lambda task: torch.int64 if task.vocabulary else torch.float64)
    monkeypatch.setattr(Task, "input_dtype", kind)
    kind = property(lambda task: torch.int64 if task.has_classes else torch.float64)
    monkeypatch.setattr(Task, "target_dtype", kind)
    yield
    _constant.cache_clear()
    torch.set_default_dtype(torch.float32)


def alike(
    together: list[Training], alone: list[Training], *, epochs: int = 4, within: float = 1e-10
) -> None:
    """20 steps of each, compared in everything that an epoch tells."""
    array = TrainingArray(together)
    for _ in range(epochs):
        for found, training in zip(array.run_epoch(), alone, strict=True):
            expected = training.run_epoch()
            assert not isinstance(found, Diverged)
            assert found.train_loss == pytest.approx(expected.train_loss, abs=1e-9)
            assert found.valid == pytest.approx(expected.valid, abs=1e-5)
            assert found.epoch == expected.epoch
            told, wanted = found.diagnostics, expected.diagnostics
            assert told["gradient_over_time"] == pytest.approx(wanted["gradient_over_time"])
            assert told["gradient_norms"] == pytest.approx(wanted["gradient_norms"], abs=1e-9)
            assert told["saturated_share"] == wanted["saturated_share"]
            assert told["clipped_share"] == wanted["clipped_share"]
            assert told["notes"] == wanted["notes"]
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one.weights.vector, other.weights.vector, rtol=0, atol=within)
        for name, slot in one.slots.items():
            torch.testing.assert_close(slot, other.slots[name], rtol=0, atol=within)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("family", MODELS)
def test_every_family(family: str) -> None:
    data = data_of(TASKS["tagging"])
    alike(three(family, data), three(family, data))


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_every_task(task: Task) -> None:
    data = data_of(task)
    alike(three("gru", data), three("gru", data), epochs=2)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [(name, "cosine") for name in OPTIMIZERS] + [("adamw", name) for name in SCHEDULES],
)
def test_every_optimiser_and_schedule(optimizer: str, schedule: str) -> None:
    data = data_of(TASKS["regression"])
    choices = {
        "training/optimizer/name": optimizer,
        "training/schedule/name": schedule,
        "training/schedule/patience": 1,
        "training/schedule/warmup": 0.1,
    }
    alike(three("tcn", data, **choices), three("tcn", data, **choices))


def smoothed(config: Config, number: int) -> None:
    config["training"]["label_smoothing"] = (0.0, 0.1, 0.2)[number]


def averaged(config: Config, number: int) -> None:
    config["training"]["weight_averaging"] = (0.9, 0.0, 0.5)[number]


def balanced(config: Config, number: int) -> None:
    config["training"]["class_weights"] = ("none", "balanced", "none")[number]


def dropped(config: Config, number: int) -> None:
    for name in ("input_dropout", "recurrent_dropout"):
        config["model"][name] = (0.0, 0.3, 0.5)[number]


def peepholes(config: Config, number: int) -> None:
    config["model"]["peephole"] = True


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("change", [smoothed, averaged, balanced, dropped, peepholes])
def test_every_option(change: Callable[[Config, int], None]) -> None:
    data = data_of(TASKS["classification"])
    alike(three("lstm", data, change), three("lstm", data, change))


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("name", ["scheduled_sampling", "lstm"])
def test_a_decoder(name: str) -> None:
    def change(config: Config, number: int) -> None:
        config["head"]["scheduled_sampling"] = (0.0, 0.3, 0.5)[number]

    data, choices = data_of(TASKS["captioning"]), {"head/attention": "additive"}
    if name == "lstm":
        choices["head/cell"] = "lstm"
    alike(three("gru", data, change, **choices), three("gru", data, change, **choices), epochs=1)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("family", ["lstm", "transformer", "tcn"])
def test_streams_carry_a_state_for_each(family: str) -> None:
    data = data_of(TASKS["language_modelling"])
    choices = {"bptt_steps": 16, "batch_size": 4}
    alike(three(family, data, **choices), three(family, data, **choices), epochs=2)


def same_seed(family: str, data: DeviceData) -> list[Training]:
    made = three(family, data)
    return [Training(MODELS[family], each.config, data, seed=7, epochs=EPOCHS) for each in made]


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("family", ["rnn", "gru", "ssm"])
def test_trainings_of_one_seed_share_their_batches(family: str) -> None:
    data = data_of(TASKS["tagging"])
    alike(same_seed(family, data), same_seed(family, data))


@pytest.mark.usefixtures("double")
def test_trainings_of_different_ages() -> None:
    data = data_of(TASKS["tagging"])
    together, alone = three("gru", data), three("gru", data)
    for number, count in enumerate((0, 1, 2)):
        for _ in range(count):
            together[number].run_epoch()
            alone[number].run_epoch()
    alike(together, alone, epochs=2)


@pytest.mark.parametrize("family", ["rnn", "gru", "lstm", "tcn", "transformer", "ssm"])
def test_losses_in_single_precision(family: str) -> None:
    data = data_of(TASKS["tagging"])
    array, alone = TrainingArray(three(family, data)), three(family, data)
    for _ in range(4):
        for found, training in zip(array.run_epoch(), alone, strict=True):
            assert isinstance(found, replace(found).__class__)
            assert found.train_loss == pytest.approx(training.run_epoch().train_loss, rel=1e-4)


@pytest.mark.parametrize("family", ["gru", "lstm", "tcn", "transformer", "ssm"])
def test_one_that_diverges_changes_nothing_for_the_others(family: str) -> None:
    data = data_of(TASKS["classification"])
    healthy, ill = three(family, data), three(family, data)
    ill[1].settings["optimizer"]["learning_rate"] = 1e30
    expected, found = (TrainingArray(trainings).run_epoch() for trainings in (healthy, ill))
    assert isinstance(found[1], Diverged)
    assert "learning rate is 1e+30" in str(found[1])
    assert ill[1].epoch == 0
    for row in (0, 2):
        assert torch.equal(healthy[row].weights.vector, ill[row].weights.vector)
        assert replace(expected[row], seconds=0.0) == replace(found[row], seconds=0.0)


def test_all_diverge() -> None:
    trainings = three("gru", data_of(TASKS["classification"]))
    for each in trainings:
        each.weights.vector.fill_(math.nan)
    found = TrainingArray(trainings).run_epoch()
    assert all("training loss became nan in epoch 1" in str(each) for each in found)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("family", ["gru", "lstm", "tcn", "ssm"])
def test_one_that_is_left_out_changes_nothing_much_for_the_others(family: str) -> None:
    data = data_of(TASKS["classification"])
    whole, some = three(family, data), three(family, data)
    for trainings in (whole, some):
        TrainingArray(trainings).run_epoch()
    TrainingArray(whole).run_epoch()
    TrainingArray([some[0], some[2]]).run_epoch()
    some[1].run_epoch()
    for one, other in zip(whole, some, strict=True):
        torch.testing.assert_close(one.weights.vector, other.weights.vector, rtol=1e-6, atol=1e-6)


def test_a_training_moves_between_an_array_and_itself(tmp_path: Any) -> None:
    data = data_of(TASKS["classification"])
    alone, together, again = three("gru", data), three("gru", data), three("gru", data)
    array = TrainingArray(together)
    array.run_epoch()
    for number, each in enumerate(together):
        each.save(tmp_path / str(number))
    for number, each in enumerate(again):
        each.restore(tmp_path / str(number))
        assert torch.equal(each.weights.vector, together[number].weights.vector)
    array.run_epoch()
    TrainingArray(again).run_epoch()
    for one, other, single in zip(together, again, alone, strict=True):
        assert torch.equal(one.weights.vector, other.weights.vector)
        for name, tensor in one.best_weights().items():
            assert torch.equal(tensor, other.best_weights()[name])
        assert one.evaluate("test").metrics == other.evaluate("test").metrics
        for _ in range(2):
            single.run_epoch()
        assert single.evaluate("test").metrics == pytest.approx(one.evaluate("test").metrics, 1e-3)
        assert single.best_epoch == one.best_epoch


def test_an_array_that_does_not_fit_in_memory_is_parted(monkeypatch: pytest.MonkeyPatch) -> None:
    data = data_of(TASKS["classification"])
    roomy, cramped = three("gru", data), three("gru", data)
    TrainingArray(roomy).run_epoch()
    family, forward = MODELS["gru"], MODELS["gru"].forward

    def full(self: Any, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if self.training and torch._C._functorch.get_unwrapped(x).shape[0] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory (not really)")
        return forward(self, x, mask)

    monkeypatch.setattr(family, "forward", full)
    array = TrainingArray(cramped)
    array.run_epoch()
    for one, other in zip(roomy, cramped, strict=True):
        torch.testing.assert_close(one.weights.vector, other.weights.vector, rtol=1e-6, atol=1e-6)


def test_what_is_not_of_one_shape_is_refused() -> None:
    data = data_of(TASKS["classification"])
    small, wide = (
        Training(
            MODELS["gru"], settings_of("gru", data.task, hidden_size=size), data, seed=0, epochs=1
        )
        for size in (4, 8)
    )
    with pytest.raises(ValueError, match="must have the same shapes of weights"):
        TrainingArray([small, wide])

"""Training settings that change on the way: a copy of a training goes on as if it had been one."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spaces import Config, default
from trainers.catalog import family_space
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.export.card import Numbers, card
from trainers.export.recipe import Recipe
from trainers.models import MODELS
from trainers.tasks import Classification
from trainers.training.loop import Training
from trainers.training.optim import OPTIMIZERS
from trainers.training.phases import Phases
from trainers.training.schedules import SCHEDULES

GRU = MODELS["gru"]
EPOCHS = 6


def made_up(examples: int, seed: int) -> Split:
    rng = np.random.default_rng(seed)
    inputs = [rng.standard_normal((6, 2), dtype=np.float32) for _ in range(examples)]
    targets = np.array([[int(values.mean() > 0)] for values in inputs])
    return Split(Sequences.from_list(inputs), Sequences.from_array(targets))


@pytest.fixture(scope="module")
def data() -> DeviceData:
    task = Classification(input_size=2, classes=2)
    return DeviceData(Dataset("made up", task, made_up(20, 0), made_up(9, 1), made_up(5, 2), {}))


def configuration(data: DeviceData, optimizer: str = "adamw", schedule: str = "cosine") -> Config:
    config = default(family_space(GRU, data.task, 1000))
    config["model"] |= {"hidden_size": 4, "num_layers": 1}
    config["training"] |= {
        "batch_size": 5,
        "label_smoothing": 0.1,
        "weight_averaging": 0.5,
        "optimizer": {"name": optimizer, **default(OPTIMIZERS[optimizer].space)},
        "schedule": {"name": schedule, **default(SCHEDULES[schedule].space)},
    }
    return config


def perturbed(config: Config, factor: float) -> Config:
    """Other numbers wherever there may be others."""
    changed = copy.deepcopy(config)
    training = changed["training"]
    for section in (training, training["optimizer"], training["schedule"]):
        for name, value in section.items():
            if isinstance(value, float):
                section[name] = value * factor
    return changed


def train(training: Training, epochs: int) -> list[dict[str, Any]]:
    told = [training.run_epoch().to_json() for _ in range(epochs)]
    return [{**each, "seconds": 0} for each in told]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_copies_of_copies_equal_one_training_of_their_settings(optimizer, schedule, data, tmp_path):
    """Bit for bit, also where a copy is interrupted: so a finalist repeats its lineage."""
    first = configuration(data, optimizer, schedule)
    second, third = perturbed(first, 0.8), perturbed(first, 0.5)
    until_2 = {"until": 2, "training": first["training"]}
    until_4 = {"until": 4, "training": second["training"]}
    options: dict[str, Any] = {"seed": 3, "epochs": EPOCHS}

    whole = Training(GRU, third, data, earlier=[until_2, until_4], **options)
    expected = train(whole, EPOCHS)

    donor = Training(GRU, first, data, **options)
    told = train(donor, 2)
    donor.save(tmp_path / "donor")
    member = Training(GRU, second, data, earlier=[until_2], **options)
    member.restore(tmp_path / "donor")
    told += train(member, 1)
    member.save(tmp_path / "member")
    again = Training(GRU, second, data, earlier=[until_2], **options)
    again.restore(tmp_path / "member")
    told += train(again, 1)
    again.save(tmp_path / "member")
    last = Training(GRU, third, data, earlier=[until_2, until_4], **options)
    last.restore(tmp_path / "member")
    told += train(last, 2)

    assert told == expected
    assert torch.equal(last.weights.vector, whole.weights.vector)
    assert torch.equal(last.slots["average"], whole.slots["average"])
    constant = Training(GRU, third, data, **options)
    assert train(constant, EPOCHS) != expected


def test_the_best_epoch_of_a_copy_is_one_of_its_own(data, tmp_path):
    first = configuration(data)
    first["training"] |= {"weight_averaging": 0.0, "label_smoothing": 0.0}
    donor = Training(GRU, first, data, seed=0, epochs=EPOCHS, metric="log_loss")
    train(donor, 3)
    donor.save(tmp_path / "donor")
    earlier = [{"until": 3, "training": first["training"]}]
    worse = copy.deepcopy(first)
    worse["training"]["optimizer"]["learning_rate"] = 5.0
    copied = Training(GRU, worse, data, seed=0, epochs=EPOCHS, metric="log_loss", earlier=earlier)
    copied.restore(tmp_path / "donor")
    assert (copied.epoch, copied.best_epoch) == (3, 0)
    with pytest.raises(ValueError, match="no best weights before the first epoch"):
        copied.best_weights()
    values = [each["valid"]["log_loss"] for each in train(copied, 2)]
    assert min(values) > donor.best_value, "else this shows nothing"
    assert copied.best_value == min(values)
    assert copied.best_epoch == 4 + values.index(min(values))
    copied.save(tmp_path / "copied")
    again = Training(GRU, worse, data, seed=0, epochs=EPOCHS, metric="log_loss", earlier=earlier)
    again.restore(tmp_path / "copied")
    assert (again.best_value, again.best_epoch) == (copied.best_value, copied.best_epoch)


def test_only_a_training_that_began_alike_is_restored(data, tmp_path):
    first = configuration(data)
    second, third = perturbed(first, 0.8), perturbed(first, 0.5)
    donor = Training(GRU, first, data, seed=0, epochs=EPOCHS)
    train(donor, 2)
    donor.save(tmp_path / "donor")

    def restore(config: Config, *earlier: dict[str, Any], seed: int = 0) -> None:
        training = Training(GRU, config, data, seed=seed, epochs=EPOCHS, earlier=earlier)
        training.restore(tmp_path / "donor")

    restore(second, {"until": 2, "training": first["training"]})
    restore(second, {"until": 5, "training": first["training"]})
    refused = "must be of this training, got another: its"
    with pytest.raises(ValueError, match=f"{refused} config"):
        restore(second)
    with pytest.raises(ValueError, match=f"{refused} config"):
        restore(second, {"until": 1, "training": first["training"]})
    with pytest.raises(ValueError, match=f"{refused} earlier"):
        restore(first, {"until": 2, "training": third["training"]})
    with pytest.raises(ValueError, match=f"{refused} seed"):
        restore(second, {"until": 2, "training": first["training"]}, seed=1)
    wider = copy.deepcopy(second)
    wider["model"]["hidden_size"] = 8
    with pytest.raises(ValueError, match=f"{refused} shapes"):
        restore(wider, {"until": 2, "training": first["training"]})
    dropping = copy.deepcopy(second)
    dropping["model"]["dropout"] = 0.4
    with pytest.raises(ValueError, match=f"{refused} config"):
        restore(dropping, {"until": 2, "training": first["training"]})


def test_phases_follow_one_another_and_differ_in_numbers_alone(data):
    training = configuration(data)["training"]
    assert Phases(training).at(7) is training
    with pytest.raises(ValueError, match="must have `until`, one above that of the other"):
        Phases(training, [{"until": 3, "training": training}, {"until": 3, "training": training}])
    with pytest.raises(ValueError, match="must have `until`"):
        Phases(training, [{"until": 3}])
    for change in ({"batch_size": 6}, {"weight_averaging": 0.0}):
        with pytest.raises(ValueError, match=f"`{next(iter(change))}` must stay the same"):
            Phases(training, [{"until": 3, "training": {**training, **change}}])
    sgd = configuration(data, "sgd")["training"]
    with pytest.raises(ValueError, match=r"`optimizer.name` must stay the same .* got 'sgd' until"):
        Phases(training, [{"until": 3, "training": sgd}])


def test_a_recipe_keeps_the_phases_and_the_card_says_them(data, tmp_path: Path):
    first = configuration(data)
    first["model"]["hidden_size"] = 16
    second = perturbed(first, 0.5)
    recipe = Recipe(
        benchmark={"name": "made_up"},
        config={
            "model": {"name": "gru", **second["model"]},
            **{k: second[k] for k in ("head", "training")},
        },
        earlier=[{"until": 2, "training": first["training"]}],
        epochs=EPOCHS,
    )
    path = tmp_path / "config.toml"
    path.write_text(recipe.to_toml())
    again = Recipe.read(path)
    assert again.earlier == recipe.earlier
    space = family_space(GRU, data.task, 1000)
    assert again.complete(space).earlier == recipe.earlier
    numbers = Numbers(data.task.metric(None), 0.5, 4, 10, 1.0, {}, None)
    told = card(recipe, numbers, {}, data.task)
    assert "- `training/optimizer/learning_rate`: `0.001`\n" in told
    assert "Population-based training found" in told
    assert "- epochs 1 to 2: `training/optimizer/learning_rate`: `0.002`, " in told
    path.write_text(recipe.to_toml().replace("until = 2", 'until = "2"'))
    with pytest.raises(ValueError, match=r"`earlier` in .* must be tables of `until`, an epoch"):
        Recipe.read(path)


def test_a_recipe_may_leave_settings_of_a_phase_out(data):
    space = family_space(GRU, data.task, 1000)
    recipe = Recipe(
        benchmark={"name": "made_up"},
        config={"model": {"name": "gru"}, "head": {}, "training": {"clip_norm": 2.0}},
        earlier=[{"until": 2, "training": {"clip_norm": 0.5}}],
    ).complete(space)
    training = default(space)["training"]
    assert recipe.earlier == [{"until": 2, "training": {**training, "clip_norm": 0.5}}]
    wrong = Recipe(
        benchmark={"name": "made_up"},
        config={"model": {"name": "gru"}, "head": {}, "training": {}},
        earlier=[{"until": 2, "training": {"clip_norm": -1.0}}],
    )
    with pytest.raises(ValueError, match="clip_norm"):
        wrong.complete(space)

"""How many trainings pay as one array."""

import numpy as np
import pytest
import torch

from spaces import default
from trainers.catalog import family_space
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.models import MODELS
from trainers.models.recurrent import GRU
from trainers.tasks import Regression
from trainers.training import array_size
from trainers.training.array_size import ArrayCost, choice_of, choose_array_size


def costs(*seconds: float) -> list[ArrayCost]:
    return [ArrayCost(2**place, each, 100 * 2**place) for place, each in enumerate(seconds)]


@pytest.mark.parametrize(
    ("seconds", "size"),
    [
        ((1.0, 0.5, 0.3, 0.2), 8),
        ((1.0, 0.5, 0.3, 0.29), 4),  # 8 bring no more that is worth the memory
        ((1.0, 1.2), 1),
        ((1.0, 0.95, 0.93), 1),  # hardly faster
        ((1.0, 0.5, 0.6), 2),
        ((1.0,), 1),
    ],
)
def test_the_smallest_of_the_fastest_is_chosen_where_it_pays(seconds, size):
    choice = choice_of(costs(*seconds))
    assert choice.size == size
    assert choice.reason


def dataset() -> Dataset:
    inputs = np.random.default_rng(0).standard_normal((64, 12, 2)).astype(np.float32)
    split = Split(Sequences.from_array(inputs), Sequences.from_array(inputs[:, :1, 0]))
    return Dataset("made up", Regression(input_size=2), split, split, split, {})


def chosen(family=MODELS["gru"], most=4, memory_bytes=1e12):
    task = Regression(input_size=2)
    config = default(family_space(family, task, 64))
    config["model"] |= {"hidden_size": 16, "bidirectional": False}
    return choose_array_size(
        family, config, dataset(), device="cpu", most=most, memory_bytes=memory_bytes
    )


def test_it_is_measured(monkeypatch):
    seen = []
    measured = array_size._measured
    monkeypatch.setattr(
        array_size, "_measured", lambda each: seen.append(measured(each)) or seen[-1]
    )
    assert chosen().size in (1, 2, 4)
    assert [cost.members for cost in seen][:2] == [1, 2]
    assert seen[0].seconds > 0
    assert seen[1].memory_bytes > 1.5 * seen[0].memory_bytes


def test_what_does_not_fit_is_not_chosen(monkeypatch):
    assert chosen(memory_bytes=1.0).size == 1
    times = iter(costs(1.0, 0.1))

    def measured(trainings):
        if len(trainings) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory (not really)")
        return next(times)

    monkeypatch.setattr(array_size, "_measured", measured)
    assert chosen().size == 2


def test_a_family_that_cannot_be_fused_trains_one_by_one():
    class Stubborn(GRU):
        def forward(self, x, mask):
            return super().forward(x, mask) * float(x.sum() > -1e9)

    choice = chosen(Stubborn)
    assert choice.size == 1
    assert choice.reason.startswith("models of this family cannot be trained as one: ")

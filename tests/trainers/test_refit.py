"""Trained again on train and validation together: which examples, for how long, at which rates."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch

from spaces import default
from trainers.catalog import family_space
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.data.streams import passages_of, stream_bounds
from trainers.models import MODELS
from trainers.tasks import AnomalyDetection, Classification, Forecasting, LanguageModelling
from trainers.training.loop import Training
from trainers.training.refit import check_refits, joined, refit

GRU = MODELS["gru"]


def examples(count: int, seed: int) -> Split:
    """Short walks, and whether each ends above zero."""
    steps = np.random.default_rng(seed).normal(size=(count, 6, 1)).astype(np.float32)
    return Split(
        Sequences.from_array(steps.cumsum(1)),
        Sequences.from_array((steps.sum(1) > 0).astype(np.int64)),
    )


def walks() -> Dataset:
    splits = {"train": examples(40, 1), "valid": examples(24, 2), "test": examples(24, 3)}
    return Dataset("walks", Classification(classes=2), preprocessing={}, **splits)


def config(schedule: str = "constant") -> dict:
    chosen = default(family_space(GRU, walks().task, 40))
    chosen["model"] |= {"hidden_size": 16}
    chosen["training"] |= {"batch_size": 8}
    chosen["training"]["optimizer"]["learning_rate"] = 0.02
    chosen["training"]["schedule"] = {"name": schedule} | (
        {"warmup": 0.0} if schedule == "cosine" else {}
    )
    return chosen


def run(data: Dataset, epochs: int, chosen: dict, horizon: int = 8) -> Training:
    training = Training(GRU, chosen, DeviceData(data), seed=3, epochs=horizon)
    while training.epoch < epochs:
        training.run_epoch()
    return training


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_it_is_training_on_both_for_as_many_epochs_as_were_best(schedule: str) -> None:
    chosen = config(schedule)
    first = run(walks(), 8, chosen)
    again = refit(first, DeviceData(joined(walks())), epochs=8)
    while again.epoch < first.best_epoch:
        again.run_epoch()
    by_hand = run(joined(walks()), first.best_epoch, chosen)
    assert again.best_epoch == first.best_epoch
    for name, weights in again.best_weights().items():
        torch.testing.assert_close(weights, by_hand.model.state_dict()[name], rtol=0, atol=0)
    expected = by_hand.evaluate("test", best=False)
    np.testing.assert_array_equal(again.evaluate("test").example_losses, expected.example_losses)


def test_rates_that_follow_validation_follow_what_it_said_before() -> None:
    chosen = config()
    chosen["training"]["schedule"] = {"name": "plateau", "factor": 0.1, "patience": 1}
    told = [1.0, 1.5, 1.5, 1.5, 0.5]  # the rates fall after the third
    both = DeviceData(joined(walks()))
    again = Training(GRU, chosen, both, seed=3, epochs=8, told=told)
    rates = []
    while again.epoch < len(told):
        rates.append(again.learning_rates()[0])
        again.run_epoch()
    assert rates[0] == rates[1] == 0.02
    assert rates[-1] < 0.02
    assert again.losses == told


def test_examples_stay_what_they_are() -> None:
    whole = walks()
    both = joined(whole)
    assert len(both.train) == 64
    assert both.valid is whole.valid
    assert both.test is whole.test
    for place in range(64):
        split, index = (whole.train, place) if place < 40 else (whole.valid, place - 40)
        for side in ("inputs", "targets"):
            expected = getattr(split, side).example(index)
            np.testing.assert_array_equal(getattr(both.train, side).example(place), expected)


def test_windows_of_one_array_stay_in_it_and_none_reaches_into_the_test(
    load_once: Callable[[str], Dataset],
) -> None:
    whole = load_once("ett_h1")
    assert isinstance(whole.task, Forecasting)
    both = joined(whole).train
    assert both.inputs.values is whole.train.inputs.values
    assert len(both) == len(whole.train) + len(whole.valid) == 8_449 + 2_785
    asked = {int(start) for start in both.targets.starts}
    assert len(asked) == len(both)
    # none is asked for steps of both: 8,640 is where valid begins
    assert not any(8_640 - 96 < start < 8_640 for start in asked)
    ends = both.targets.starts + both.targets.lengths
    assert ends.max() <= whole.test.targets.starts.min()


def test_streams_do_not_go_on_from_train_into_valid() -> None:
    train, valid = (passages_of([np.arange(n), np.arange(n)], 4) for n in (10, 7))
    dataset = Dataset("streams", Classification(classes=2), train, valid, valid, {})
    both = joined(dataset).train
    assert len(stream_bounds(both)) - 1 == 4
    lengths = both.inputs.lengths
    bounds = stream_bounds(both)
    assert [int(lengths[a:b].sum()) for a, b in pairwise(bounds)] == [9, 9, 6, 6]


def test_texts_of_both_are_read() -> None:
    tokens = np.random.default_rng(0).integers(5, size=(3, 400))
    splits = [passages_of([text[: 400 // part]]) for part, text in enumerate(tokens, 1)]
    text = Dataset("text", LanguageModelling(vocabulary=5), *splits, {})
    chosen = default(family_space(GRU, text.task, len(text.train)))
    chosen["model"] |= {"hidden_size": 16, "num_layers": 1}
    first = run(text, 2, chosen)
    again = refit(first, DeviceData(joined(text)), epochs=8)
    read = sum(int(again.examples.batch(indices).mask.sum()) for indices in again.order())
    assert read == 399 + 199
    while again.epoch < first.best_epoch:
        again.run_epoch()
    assert np.isfinite(again.evaluate("test").metrics["perplexity"])


def test_thresholds_that_are_fitted_on_validation_forbid_it() -> None:
    with pytest.raises(ValueError, match="thresholds are fitted on the validation split"):
        check_refits(AnomalyDetection())
    check_refits(Classification(classes=2))

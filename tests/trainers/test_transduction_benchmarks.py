"""Benchmarks whose answers have a length of their own: facts and floors of them."""

from collections.abc import Callable

import numpy as np
import pytest

from spaces import default
from trainers.benchmarks import load_benchmark
from trainers.catalog import family_space
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset, Split
from trainers.models import MODELS
from trainers.tasks.ctc import steps_needed
from trainers.training.loop import Training
from trainers.trivial.baselines import baselines

LoadOnce = Callable[[str], Dataset]


def labels(split: Split) -> int:
    return int(split.targets.lengths.sum())


def test_strings_are_made_of_the_recordings_of_their_split(load_once: LoadOnce) -> None:
    strings, recordings = load_once("spoken_digits_ctc"), load_once("spoken_digits")
    assert strings.task.to_json()["input_size"] == 120
    for ours, theirs, passes in (
        (strings.train, recordings.train, 4),
        (strings.valid, recordings.valid, 4),
        (strings.test, recordings.test, 4),
    ):
        assert labels(ours) == passes * len(theirs)
        spoken = np.bincount(ours.targets.values, minlength=10)
        assert (spoken == passes * len(theirs) // 10).all()
        # so many steps of three frames, less than one of them lost in each string
        lost = passes * theirs.inputs.lengths.sum() - 3 * ours.inputs.lengths.sum()
        assert 0 <= lost <= 2 * len(ours)
        targets = ours.targets
        needed = steps_needed(targets.values, targets.starts, targets.lengths)
        assert (needed <= ours.inputs.lengths).all()
        assert targets.lengths.max() == 7
        assert (targets.lengths < 3).sum() <= 6 * passes


def test_strings_of_digits_have_a_floor(load_once: LoadOnce) -> None:
    (row,) = baselines(load_once("spoken_digits_ctc"))
    assert row.test["label_error_rate"] == pytest.approx(0.8525)
    assert row.valid["label_error_rate"] == pytest.approx(0.8625)
    assert row.test["nats_per_label"] == pytest.approx(2.852, abs=1e-3)


def test_options_of_the_strings() -> None:
    with pytest.raises(ValueError, match="`stacked_frames` must be from 1 to 8, got 9"):
        load_benchmark("spoken_digits_ctc", {"stacked_frames": 9})
    with pytest.raises(ValueError, match="`passes` must be from 1 to 100, got 0"):
        load_benchmark("spoken_digits_ctc", {"passes": 0})


def test_pairs_of_captions_are_as_published(load_once: LoadOnce) -> None:
    data = load_once("multi30k_de_en")
    splits = (data.train, data.valid, data.test)
    assert [len(split) for split in splits] == [29_000, 1_014, 1_000]
    words = [labels(split) - len(split) for split in splits]  # without the ends
    assert words == [377_534, 13_308, 12_968]
    assert [int(split.inputs.lengths.sum()) for split in splits] == [360_706, 12_828, 12_103]
    source, target = (data.preprocessing[f"{side}vocabulary"] for side in ("", "target_"))
    task = data.task.to_json()
    assert (len(source), len(target)) == (task["vocabulary"], task["classes"]) == (7_857, 5_919)
    assert (target[0], target[-1]) == ("<unknown>", "<end>")
    assert " ".join(target[word] for word in data.train.targets.example(0)) == (
        "two young , white males are outside near many bushes . <end>"
    )
    assert " ".join(source[word] for word in data.train.inputs.example(0)) == (
        "zwei junge weiße männer sind im freien in der nähe vieler büsche ."
    )
    for split in splits:
        ends = split.targets.starts + split.targets.lengths - 1
        assert set(np.flatnonzero(split.targets.values == 5_918)) == set(ends)
    assert task["longest"] == data.train.targets.lengths.max() == 41


def test_captions_have_a_floor(load_once: LoadOnce) -> None:
    constant, copied = baselines(load_once("multi30k_de_en"))
    assert constant.test["bleu"] == pytest.approx(0.46, abs=0.01)
    assert copied.test["bleu"] == pytest.approx(0.24, abs=0.01)
    assert constant.test["nats_per_token"] == copied.test["nats_per_token"]
    assert constant.test["nats_per_token"] == pytest.approx(5.331, abs=1e-3)


def test_names_of_digits_belong_to_their_images(load_once: LoadOnce) -> None:
    spelled, rows = load_once("digits_spelled"), load_once("digits_rows")
    letters = spelled.preprocessing["target_vocabulary"]
    assert "".join(letters[:-1]) == "efghinorstuvwxz"
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    for ours, theirs in ((spelled.train, rows.train), (spelled.test, rows.test)):
        for row in range(0, len(ours), 7):
            said = [letters[letter] for letter in ours.targets.example(row)]
            assert said == [*names[theirs.targets.example(row)[0]], "<end>"]
            assert (ours.inputs.example(row).ravel() == theirs.inputs.example(row).ravel()).all()
    assert set(spelled.test.inputs.lengths.tolist()) == {1}
    by_rows = load_benchmark("digits_spelled", {"read_as": "rows"})
    assert set(by_rows.test.inputs.lengths.tolist()) == {8}
    with pytest.raises(ValueError, match="`read_as` must be vector or rows, got 'columns'"):
        load_benchmark("digits_spelled", {"read_as": "columns"})


def test_spelling_has_a_floor(load_once: LoadOnce) -> None:
    (row,) = baselines(load_once("digits_spelled"))
    assert row.test["sequence_accuracy"] == pytest.approx(36 / 359)
    assert row.test["label_error_rate"] == pytest.approx(0.7738, abs=1e-4)
    assert row.test["nats_per_token"] == pytest.approx(2.479, abs=1e-3)


def test_a_model_learns_to_spell(load_once: LoadOnce) -> None:
    data = load_once("digits_spelled")
    space = family_space(MODELS["gru"], data.task, len(data.train))
    training = Training(MODELS["gru"], default(space), DeviceData(data), seed=0, epochs=6)
    for _ in range(6):
        training.run_epoch()
    assert training.evaluate("test").metrics["sequence_accuracy"] > 0.9

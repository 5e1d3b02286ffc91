"""The Penn Treebank: its counts and floors as published, and every family on a piece of it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from spaces import Config, default
from trainers.benchmarks.language import PTBCharacter
from trainers.catalog import family_space
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset
from trainers.models import MODELS
from trainers.training.loop import Training
from trainers.trivial.baselines import baselines

LoadOnce = Callable[[str], Dataset]


@pytest.mark.parametrize(
    ("name", "tokens", "vocabulary"),
    [
        ("ptb_word", [929_589, 73_760, 82_430], 10_000),
        ("ptb_char", [5_017_482, 393_042, 442_423], 50),
    ],
)
def test_counts_are_as_published(
    name: str, tokens: list[int], vocabulary: int, load_once: LoadOnce
) -> None:
    dataset = load_once(name)
    assert dataset.task.vocabulary == len(dataset.preprocessing["vocabulary"]) == vocabulary
    for split, count in zip((dataset.train, dataset.valid, dataset.test), tokens, strict=True):
        assert len(split.inputs.values) == count
        assert split.inputs.lengths.sum() == count - 1  # all but the first are asked for
        assert split.inputs.values is split.targets.values


def test_the_texts_are_the_same(load_once: LoadOnce) -> None:
    """Both benchmarks spell one text."""
    words, characters = load_once("ptb_word"), load_once("ptb_char")
    names = words.preprocessing["vocabulary"]
    spelled = " ".join(names[token] for token in words.test.inputs.values[:2_000])
    symbols = characters.preprocessing["vocabulary"]
    text = "".join(symbols[token] for token in characters.test.inputs.values[:8_000])
    plain = text.replace("_", " ").replace("\n", " <eos> ")
    assert plain[:6_000] == spelled[:6_000]


def test_floors_are_those_of_counting(load_once: LoadOnce) -> None:
    single, _ = baselines(load_once("ptb_word"))
    assert single.test["perplexity"] == pytest.approx(639.3, abs=0.05)
    single, double = baselines(load_once("ptb_char"))
    assert single.test["bits_per_character"] == pytest.approx(4.346, abs=5e-4)
    assert double.test["bits_per_character"] == pytest.approx(3.365, abs=5e-4)


def a_piece(dataset: Dataset, passages: int) -> Dataset:
    some = np.arange(passages)
    return replace(
        dataset,
        train=dataset.train.select(some),
        valid=dataset.valid.select(some[:2]),
        test=dataset.test.select(some[:2]),
    )


def configuration(family: str, dataset: Dataset) -> Config:
    config = default(family_space(MODELS[family], dataset.task, len(dataset.train)))
    config["training"] |= {"batch_size": 8, "bptt_steps": 32}
    return config


@pytest.mark.parametrize("family", MODELS)
def test_every_family_learns_characters(family: str, load_once: LoadOnce) -> None:
    dataset = a_piece(load_once("ptb_char"), 16)
    training = Training(
        MODELS[family], configuration(family, dataset), DeviceData(dataset), seed=0, epochs=3
    )
    losses = [training.run_epoch().train_loss for _ in range(3)]
    assert losses == sorted(losses, reverse=True)
    assert training.best_value < np.log2(50)
    assert len(training.evaluate("test").example_losses) == 2


def test_a_family_learns_words_with_tied_weights(load_once: LoadOnce) -> None:
    dataset = a_piece(load_once("ptb_word"), 8)
    config = configuration("gru", dataset)
    assert config["head"] == {"embedding_size": 128, "tied_embeddings": True}
    training = Training(MODELS["gru"], config, DeviceData(dataset), seed=0, epochs=2)
    losses = [training.run_epoch().train_loss for _ in range(2)]
    assert losses[1] < losses[0] < np.log(10_000) + 0.1
    assert training.best_value < 10_000


def test_a_token_that_train_lacks_is_named(tmp_path) -> None:
    for file, text in zip(PTBCharacter.files, ("a b \n", "a z \n", "b"), strict=True):
        path = tmp_path / file.path
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    with pytest.raises(ValueError, match=r"ptb.char.valid.txt must have tokens .* got 'z'"):
        PTBCharacter().prepare(tmp_path)

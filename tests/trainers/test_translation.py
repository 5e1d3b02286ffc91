"""Translation: BLEU against sacrebleu, what an example counts, and eight pairs learnt by heart."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sacrebleu.metrics import BLEU

from spaces import default, narrow
from trainers.benchmarks.parallel import Pairs, translation_data
from trainers.catalog import family_space
from trainers.data.batch import Batch
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset
from trainers.models import MODELS
from trainers.tasks import Translation
from trainers.training.loop import Training
from trainers.trivial.baselines import baselines

WORDS = 12
END = WORDS - 1
TASK = Translation(vocabulary=9, classes=WORDS, unknown=1, longest=20)


def sentences(count: int, seed: int) -> list[list[int]]:
    random = np.random.default_rng(seed)
    return [random.integers(0, 4, random.integers(1, 9)).tolist() for _ in range(count)]


def batch_of(references: list[list[int]]) -> Batch:
    lengths = torch.tensor([len(reference) + 1 for reference in references])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    targets = torch.zeros(mask.shape, dtype=torch.int64)
    for row, reference in enumerate(references):
        targets[row, : len(reference) + 1] = torch.tensor([*reference, END])
    return Batch(targets, mask, targets, mask, torch.arange(len(mask)))


def measured(answers: list[list[int]], references: list[list[int]]) -> dict[str, np.ndarray]:
    batch = batch_of(references)
    outputs = torch.zeros(*batch.targets.shape, WORDS)
    told = TASK.measure(outputs, batch) | TASK.measure_answers(answers, batch)
    return {name: values.numpy() for name, values in told.items()}


def sacrebleu_of(answers: list[list[int]], references: list[list[int]]) -> float:
    """Of words as a person would read them; references keep words that the model cannot say."""
    said = [" ".join("<unk>" if word < 1 else f"w{word}" for word in one) for one in answers]
    asked = [
        " ".join(f"rare{row}" if word < 1 else f"w{word}" for word in one)
        for row, one in enumerate(references)
    ]
    return float(BLEU(tokenize="none").corpus_score(said, [asked]).score)


@pytest.mark.parametrize("seed", range(4))
def test_bleu_is_that_of_sacrebleu(seed: int) -> None:
    references = sentences(30, seed)
    answers = [
        one[: 1 + seed] + other for one, other in zip(references, sentences(30, 9), strict=True)
    ]
    answers[3] = []
    found = TASK.summarize(measured(answers, references))
    assert found["bleu"] == pytest.approx(sacrebleu_of(answers, references), rel=1e-9)
    assert found["nats_per_token"] == pytest.approx(np.log(WORDS), rel=1e-6)


def test_bleu_without_any_match_is_smoothed_as_sacrebleu_does() -> None:
    answers, references = [[1, 2, 3, 4, 5]], [[1, 5, 6, 7, 8]]
    found = TASK.summarize(measured(answers, references))["bleu"]
    assert 0 < found == pytest.approx(sacrebleu_of(answers, references))
    assert TASK.summarize(measured([[]], references))["bleu"] == 0


def test_unknown_words_match_nothing() -> None:
    both = [[0, 1, 2, 3, 0, 4, 5, 6, 7]]
    assert TASK.summarize(measured(both, both))["bleu"] < 60
    known = [[9, 1, 2, 3, 9, 4, 5, 6, 7]]
    assert TASK.summarize(measured(known, known))["bleu"] == pytest.approx(100)


def test_an_example_counts_by_what_bleu_is_without_it() -> None:
    references = sentences(20, 1)
    answers = [one[:4] for one in references]
    answers[5], answers[6] = references[5], [3, 3, 3, 3, 3, 3]
    examples = measured(answers, references)
    losses = TASK.example_losses(examples, "bleu")
    whole = TASK.summarize(examples)["bleu"]
    assert losses.mean() == pytest.approx(-whole)
    for one in (5, 6, 7):
        rest = [row for row in range(20) if row != one]
        without = sacrebleu_of([answers[row] for row in rest], [references[row] for row in rest])
        others = [
            sacrebleu_of(
                answers[:row] + answers[row + 1 :], references[:row] + references[row + 1 :]
            )
            for row in range(20)
        ]
        assert losses[one] == pytest.approx(-(whole + 19 * (np.mean(others) - without)))
    assert losses[6] > losses.mean()  # without the worst, BLEU would be better


def toy_pairs() -> Dataset:
    numbers = ["eins", "zwei", "drei", "vier"]
    english = dict(zip(numbers, ["one", "two", "three", "four"], strict=True))
    random = np.random.default_rng(2)
    sources = [[numbers[n] for n in random.integers(0, 4, length)] for length in range(1, 9)]
    targets = [[english[word] for word in reversed(source)] + ["."] for source in sources]
    pairs = Pairs(sources, targets)
    return translation_data("toy", {"train": pairs, "valid": pairs, "test": pairs}, {})


@pytest.mark.parametrize("attention", ["additive", "dot", "none"])
def test_eight_pairs_are_learnt_by_heart(attention: str) -> None:
    data = toy_pairs()
    space = family_space(MODELS["gru"], data.task, 400)
    fixed = {"optimizer": {"name": "adam", "learning_rate": 0.01}, "schedule": "constant"}
    config = default(
        narrow(
            space,
            {
                "model": {"hidden_size": 32, "bidirectional": True, "dropout": 0.0},
                "head": {"hidden_size": 32, "attention": attention, "dropout": 0.0},
                "training": {**fixed, "batch_size": 8, "label_smoothing": 0.01},
            },
        )
    )
    training = Training(MODELS["gru"], config, DeviceData(data), seed=0, epochs=120)
    while training.best_value < 100 and training.epoch < 120:
        measurement = training.run_epoch()
    assert training.best_value == pytest.approx(100)
    assert measurement.valid["nats_per_token"] < 0.3
    final = training.evaluate("test")  # by beam search
    assert final.metrics["bleu"] == pytest.approx(100)
    batch = DeviceData(data).test.batch(torch.arange(8))
    with pytest.raises(ValueError, match="a decoder must be given targets; without any, use"):
        training.model(batch.inputs, batch.mask)


def test_stopped_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    data = toy_pairs()
    space = family_space(MODELS["lstm"], data.task, 400)
    settings = {"head": {"hidden_size": 32, "scheduled_sampling": 0.3}, "model": {"dropout": 0.2}}
    config = default(narrow(space, settings))

    def training() -> Training:
        return Training(MODELS["lstm"], config, DeviceData(data), seed=4, epochs=3)

    whole, first, second = training(), training(), training()
    expected = [whole.run_epoch() for _ in range(3)][-1]
    first.run_epoch()
    first.save(tmp_path / "state")
    second.restore(tmp_path / "state")
    second.run_epoch()
    found = second.run_epoch()
    assert found.train_loss == expected.train_loss
    assert found.valid == expected.valid
    for name, weight in whole.best_weights().items():
        assert torch.equal(weight, second.best_weights()[name])


def test_baselines_are_a_constant_and_the_words_as_they_are() -> None:
    names = [["anna", "lacht"], ["anna", "lacht"], ["bob", "lacht"], ["bob", "rennt"]]
    said = [["anna", "laughs"], ["anna", "laughs"], ["bob", "laughs"], ["bob", "runs"]]
    pairs = Pairs(names, said)
    data = translation_data("toy", {"train": pairs, "valid": pairs, "test": pairs}, {}, 1)
    constant, copied = baselines(data)
    assert constant.name == "most frequent sequence, label frequencies"
    assert copied.name == "words as they are, label frequencies"
    always = [["anna", "laughs"]] * 4
    for row, answers in ((constant, always), (copied, [[name[0], "?"] for name in names])):
        joined = ([" ".join(one) for one in answers], [[" ".join(one) for one in said]])
        expected = BLEU(tokenize="none").corpus_score(*joined).score
        assert row.test["bleu"] == pytest.approx(expected)
    counts = {"anna": 2, "bob": 2, "laughs": 3, "runs": 1, "end": 4}  # of 12, and one for all
    shares = np.array([(count + 1 / 6) / 13 for count in counts.values()])
    nats = -(np.log(shares) * np.array(list(counts.values()))).sum() / 12
    assert constant.test["nats_per_token"] == pytest.approx(nats)

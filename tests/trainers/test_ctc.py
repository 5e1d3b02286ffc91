"""CTC against sums over all alignments, all answers, and torch's own loss."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from spaces import default, narrow
from trainers.catalog import family_space
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.decoding.ctc import beam_labels, ctc_losses, greedy_labels
from trainers.models import MODELS
from trainers.tasks import CTC
from trainers.tasks.ctc import steps_needed
from trainers.tasks.edits import edit_distance
from trainers.training.loop import Training
from trainers.trivial.baselines import baselines

LABELS, BLANK = 2, 2


def collapsed(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(label for label, _ in itertools.groupby(path) if label != BLANK)


def probabilities(logits: torch.Tensor) -> dict[tuple[int, ...], float]:
    """Of every answer, summed over all paths."""
    told = logits.double().softmax(-1).tolist()
    found: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(LABELS + 1), repeat=len(told)):
        weight = math.prod(step[label] for step, label in zip(told, path, strict=True))
        found[collapsed(path)] = found.get(collapsed(path), 0.0) + weight
    return found


@pytest.fixture
def logits() -> torch.Tensor:
    return 2 * torch.randn(3, 5, LABELS + 1, generator=torch.Generator().manual_seed(1))


def test_the_loss_sums_over_all_alignments(logits: torch.Tensor) -> None:
    lengths, labels = torch.tensor([5, 3, 4]), torch.tensor([[0, 0], [1, 0], [1, 0]])
    counts = torch.tensor([2, 2, 1])
    mask = torch.arange(5) < lengths[:, None]
    found = ctc_losses(logits.double(), mask, labels, torch.arange(2) < counts[:, None])
    for row in range(3):
        asked = tuple(labels[row, : counts[row]].tolist())
        expected = probabilities(logits[row, : lengths[row]])[asked]
        assert found[row].item() == pytest.approx(-math.log(expected))


def test_the_loss_has_torchs_gradient_alone_and_as_an_array(logits: torch.Tensor) -> None:
    mask = torch.arange(5) < torch.tensor([5, 3, 4])[:, None]
    labels, label_mask = torch.tensor([[0, 1], [1, 0], [0, 0]]), torch.ones(3, 2, dtype=torch.bool)
    members = torch.stack([logits, -logits]).double().requires_grad_()

    def ours(one: torch.Tensor) -> torch.Tensor:
        return ctc_losses(one, mask, labels, label_mask) @ one.new_tensor([1.0, 2.0, 3.0])

    def torchs(one: torch.Tensor) -> torch.Tensor:
        told = one.log_softmax(-1).transpose(0, 1)
        counts = label_mask.sum(1)
        losses = F.ctc_loss(told, labels, mask.sum(1), counts, blank=BLANK, reduction="none")
        return losses @ one.new_tensor([1.0, 2.0, 3.0])

    expected = torch.stack([torchs(one) for one in members])
    (gradient,) = torch.autograd.grad(expected.sum(), members)
    alone = torch.stack([ours(one) for one in members])
    torch.testing.assert_close(alone, expected)
    torch.testing.assert_close(torch.autograd.grad(alone.sum(), members)[0], gradient)
    array = torch.vmap(ours)(members)
    torch.testing.assert_close(array, expected)
    torch.testing.assert_close(torch.autograd.grad(array.sum(), members)[0], gradient)


def test_greedy_labels_are_those_of_the_best_path(logits: torch.Tensor) -> None:
    lengths = [5, 3, 4]
    mask = torch.arange(5) < torch.tensor(lengths)[:, None]
    expected = [
        list(collapsed(tuple(row[:length].argmax(-1).tolist())))
        for row, length in zip(logits, lengths, strict=True)
    ]
    assert greedy_labels(logits, mask) == expected
    repeated = F.one_hot(torch.tensor([[0, 0, 2, 0, 1]]), 3).float()
    assert greedy_labels(repeated, mask[:1]) == [[0, 0, 1]]


def test_a_wide_beam_finds_the_most_probable_labels(logits: torch.Tensor) -> None:
    for row in logits:
        expected = probabilities(row)
        best = max(expected, key=expected.__getitem__)
        labels, log_probability = beam_labels(row.double().log_softmax(-1).tolist(), 1000)
        assert tuple(labels) == best
        assert log_probability == pytest.approx(math.log(expected[best]))


def test_beam_search_sees_what_the_best_path_hides() -> None:
    """The textbook case: blank is likeliest at both steps, and yet the label at either."""
    told = torch.tensor([[0.4, 0.6], [0.4, 0.6]]).log()
    assert greedy_labels(told.unsqueeze(0), torch.ones(1, 2, dtype=torch.bool)) == [[]]
    labels, log_probability = beam_labels(told.tolist(), 5)
    assert labels == [0]
    assert math.exp(log_probability) == pytest.approx(1 - 0.36)


@given(st.lists(st.integers(0, 2), max_size=6), st.lists(st.integers(0, 2), max_size=6))
def test_edit_distance_is_that_of_its_definition(found: list[int], expected: list[int]) -> None:
    def distance(one: list[int], other: list[int]) -> int:
        if not one or not other:
            return len(one) + len(other)
        replaced = distance(one[1:], other[1:]) + (one[0] != other[0])
        return min(distance(one[1:], other) + 1, distance(one, other[1:]) + 1, replaced)

    assert edit_distance(found, expected) == distance(found, expected)


def toy(targets: list[list[int]], steps: int) -> Dataset:
    """Label n is a step with feature n on; between labels, and behind them, nothing is."""
    inputs = []
    for labels in targets:
        steps_on = np.zeros((steps, LABELS), dtype=np.float32)
        steps_on[np.arange(len(labels)) * 2, labels] = 1.0
        inputs.append(steps_on[: steps - len(labels) % 2])
    split = Split(
        Sequences.from_list(inputs),
        Sequences.from_list([np.array(labels, dtype=np.uint8) for labels in targets]),
    )
    task = CTC(input_size=LABELS, classes=LABELS, beam_width=3)
    return Dataset("toy", task, split, split, split, {})


STRINGS = [[0], [1], [0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 1], [0, 1], [1, 0]]


@pytest.mark.parametrize("family", MODELS)
def test_every_family_learns_an_alignment(family: str) -> None:
    data = toy(STRINGS, 8)
    kind = MODELS[family]
    space = family_space(kind, data.task, 400)
    assert "label_smoothing" not in space.children["training"].children
    fixed = {"optimizer": {"name": "adam", "learning_rate": 0.01}, "schedule": "constant"}
    config = default(narrow(space, {"training": {**fixed, "batch_size": 8}}))
    training = Training(kind, config, DeviceData(data), seed=0, epochs=60)
    before = training.run_epoch()
    for _ in range(59):
        after = training.run_epoch()
    assert after.valid["nats_per_label"] < 0.5 * before.valid["nats_per_label"]
    assert after.valid["label_error_rate"] < 0.3
    final = training.evaluate("test")  # by beam search
    assert final.metrics["label_error_rate"] < 0.3
    assert final.example_losses.mean() == pytest.approx(final.metrics["label_error_rate"])


def test_bidirectional_models_serve_it() -> None:
    data = toy(STRINGS, 8)
    space = family_space(MODELS["lstm"], data.task, 400)
    config = default(narrow(space, {"model": {"bidirectional": True}}))
    training = Training(MODELS["lstm"], config, DeviceData(data), seed=0, epochs=1)
    training.run_epoch()
    batch = DeviceData(data).test.batch(torch.arange(8))
    answers = training.model.eval().decode(batch.inputs, batch.mask, beam_width=4)
    assert len(answers) == 8
    with pytest.raises(ValueError, match="`beam_width` must be at least 1, got 0"):
        training.model.decode(batch.inputs, batch.mask, beam_width=0)


def test_too_few_steps_for_the_labels_are_refused_before_training() -> None:
    labels = np.array([0, 0, 1, 1, 1, 1], dtype=np.uint8)
    needed = steps_needed(labels, np.array([0, 2, 3]), np.array([2, 1, 3]))
    assert needed.tolist() == [3, 1, 5]
    data = toy([[0, 1]], 4)
    inputs = Sequences.from_array(np.zeros((2, 3, LABELS), dtype=np.float32))
    targets = Sequences.from_list([np.array([0, 1]), np.array([1, 1, 0])])
    short = Dataset("toy", data.task, Split(inputs, targets), data.valid, data.test, {})
    with pytest.raises(ValueError, match="example 1 of train has 3 steps and needs 4"):
        DeviceData(short)


def test_the_baseline_is_the_most_frequent_string() -> None:
    (row,) = baselines(toy([[0, 1], [0, 1], [1]], 4))
    assert row.name == "most frequent sequence, label frequencies"
    assert row.test["label_error_rate"] == pytest.approx(1 / 5)
    assert row.test["sequence_accuracy"] == pytest.approx(2 / 3)
    shares = [(2 + 1 / 3) / 9, (3 + 1 / 3) / 9, (3 + 1 / 3) / 9]  # 0, 1 and an end
    nats = -(2 * math.log(shares[0]) + 3 * math.log(shares[1]) + 3 * math.log(shares[2]))
    assert row.test["nats_per_label"] == pytest.approx(nats / 5)

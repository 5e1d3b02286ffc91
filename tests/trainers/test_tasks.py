import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spaces import default
from trainers.data.batch import Batch
from trainers.tasks import (
    CTC,
    TASKS,
    AnomalyDetection,
    Captioning,
    Classification,
    EntityTagging,
    Forecasting,
    LanguageModelling,
    MultilabelFrames,
    Regression,
    Tagging,
    Task,
    Transduction,
    Translation,
    task_from_json,
)

EXAMPLES = {
    "classification": Classification(input_size=3, classes=4),
    "tagging": Tagging(input_size=3, classes=4, causal=True),
    "entity_tagging": EntityTagging(input_size=3, classes=4, tags=("O", "B-A", "I-A", "B-B")),
    "regression": Regression(input_size=3, outputs=2),
    "multilabel_frames": MultilabelFrames(input_size=3, labels=4),
    "forecasting": Forecasting(input_size=3, channels=2, horizon=2),
    "language_modelling": LanguageModelling(vocabulary=4, level="character"),
    "anomaly_detection": AnomalyDetection(),
    "ctc": CTC(input_size=3, classes=4),
    "translation": Translation(input_size=3, classes=4, longest=4),
    "captioning": Captioning(input_size=3, classes=4, longest=4),
}
BATCH, TIME, SIZE = 6, 5, 7


def make_batch(task: Task, lengths: Tensor, random: torch.Generator) -> Batch:
    mask = torch.arange(TIME) < lengths[:, None]
    whole = torch.ones(len(lengths), 1, dtype=torch.bool)
    target_mask = whole if task.name in ("classification", "regression") else mask
    if task.name == "forecasting":
        target_mask = whole.expand(-1, 2)
    if isinstance(task, Transduction):  # none so long that the steps could not hold it
        target_mask = mask[:, :3] & (torch.arange(3) < (lengths[:, None] + 1) // 2)
    shape = tuple(target_mask.shape)
    if task.has_classes:
        targets = torch.randint(0, 4, shape, generator=random)
    elif task.name == "regression":
        targets = torch.randn(*shape, 2, generator=random)
    elif task.name == "forecasting":
        targets = torch.rand(*shape, 6, generator=random) + 0.1
    else:
        targets = torch.randint(0, 2, (*shape, 4), generator=random).float()
    if task.name == "anomaly_detection":
        targets[..., 3] = torch.arange(len(lengths))[:, None]  # every example is a stream
    inputs = torch.randn(len(lengths), TIME, 3, generator=random)
    return Batch(inputs, mask, targets, target_mask, torch.arange(len(lengths)))


def make_outputs(task: Task, batch: Batch, random: torch.Generator) -> Tensor:
    y = torch.randn(len(batch), TIME, SIZE, generator=random)
    head = task.head(SIZE, default(task.head_space()))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for parameter in head.parameters():
            torch.nn.init.normal_(parameter)
    more = [batch.inputs] if task.head_reads_inputs else []
    more += [batch.targets] if task.head_reads_targets else []
    outputs: Tensor = head(y, batch.mask, y[:, -1], *more).detach()
    return outputs


def measure(task: Task, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
    """What evaluation measures; the answers are the targets, each but the first label."""
    measured = task.measure(outputs, batch)
    if isinstance(task, Transduction):
        answers = [reference[1:] for reference in task.references(batch)]
        measured |= task.measure_answers(answers, batch)
    return measured


@pytest.fixture
def random() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def lengths() -> Tensor:
    return torch.tensor([5, 1, 3, 5, 2, 4])


def test_every_task_has_an_example():
    assert set(EXAMPLES) == set(TASKS)


@pytest.mark.parametrize("task", EXAMPLES.values(), ids=EXAMPLES)
class TestEveryTask:
    def test_json_round_trip(self, task):
        assert task_from_json(json.loads(json.dumps(task.to_json()))) == task

    def test_parts_of_a_batch_add_up_to_its_loss(self, task, lengths, random):
        batch = make_batch(task, lengths, random)
        outputs = make_outputs(task, batch, random)
        whole = task.weights(batch).sum()
        parts = [
            task.total_loss(outputs[rows], batch.part(3, number), 0.1) / whole
            for number, rows in enumerate((slice(0, 2), slice(2, 4), slice(4, 6)))
        ]
        torch.testing.assert_close(sum(parts), task.loss(outputs, batch, 0.1))

    def test_padding_counts_nowhere(self, task, lengths, random):
        batch = make_batch(task, lengths, random)
        outputs = make_outputs(task, batch, random)
        noise = torch.randn(outputs.shape, generator=random) * 10
        padded = outputs
        if task.name == "ctc":
            padded = torch.where(batch.mask[..., None], outputs, noise)
        elif outputs.ndim == 3:
            padded = torch.where(batch.target_mask[..., None], outputs, noise)
        torch.testing.assert_close(task.loss(padded, batch), task.loss(outputs, batch))
        for name, values in task.measure(padded, batch).items():
            torch.testing.assert_close(values, task.measure(outputs, batch)[name])

    def test_mean_of_example_losses_is_the_loss_of_the_metric(self, task, lengths, random):
        batch = make_batch(task, lengths, random)
        outputs = make_outputs(task, batch, random)
        examples = {name: v.numpy() for name, v in measure(task, outputs, batch).items()}
        values = task.summarize(examples)
        assert list(values) == [metric.name for metric in task.metrics]
        for metric in task.metrics:
            assert isinstance(values[metric.name], float)
            losses = task.example_losses(examples, metric.name)
            assert losses.shape == (BATCH,)
            assert losses.mean() == pytest.approx(metric.loss(values[metric.name]), rel=1e-6)

    def test_trials_that_train_as_one_have_their_own_losses(self, task, lengths, random):
        batch = make_batch(task, lengths, random)
        outputs = torch.stack([make_outputs(task, batch, random) for _ in range(3)])
        smoothing = torch.tensor([0.0, 0.1, 0.2])
        fused = torch.vmap(lambda one, share: task.loss(one, batch, share))(outputs, smoothing)
        alone = [task.loss(outputs[m], batch, smoothing[m].item()) for m in range(3)]
        torch.testing.assert_close(fused, torch.stack(alone))

    def test_examples_may_come_in_any_batches(self, task, lengths, random):
        batch = make_batch(task, lengths, random)
        outputs = make_outputs(task, batch, random)
        whole = measure(task, outputs, batch)
        first = measure(task, outputs[:3], batch.part(2, 0))
        second = measure(task, outputs[3:], batch.part(2, 1))
        for name, values in whole.items():
            torch.testing.assert_close(torch.cat([first[name], second[name]]), values)


def test_classification_is_torchs_cross_entropy(lengths, random):
    task = Classification(input_size=3, classes=4, class_weights=(1.0, 2.0, 0.5, 3.0))
    batch = make_batch(task, lengths, random)
    outputs = make_outputs(task, batch, random).double()
    weights = torch.tensor(task.class_weights, dtype=torch.float64)
    expected = F.cross_entropy(outputs, batch.targets[:, 0], weights)
    torch.testing.assert_close(task.loss(outputs, batch), expected)
    plain = Classification(input_size=3, classes=4)
    for smoothing in (0.0, 0.1, torch.tensor(0.1)):
        expected = F.cross_entropy(outputs, batch.targets[:, 0], label_smoothing=float(smoothing))
        torch.testing.assert_close(plain.loss(outputs, batch, smoothing), expected)
    right = (outputs.argmax(1) == batch.targets[:, 0]).double().mean().item()
    measured = {name: v.numpy() for name, v in task.measure(outputs, batch).items()}
    assert task.summarize(measured)["accuracy"] == pytest.approx(right)
    unweighted = F.cross_entropy(outputs, batch.targets[:, 0]).item()
    assert task.summarize(measured)["log_loss"] == pytest.approx(unweighted)


def test_tagging_is_torchs_cross_entropy_over_real_steps(lengths, random):
    task = EXAMPLES["tagging"]
    batch = make_batch(task, lengths, random)
    outputs = make_outputs(task, batch, random).double()
    targets = batch.targets.masked_fill(~batch.mask, -100)
    for smoothing in (0.0, 0.2):
        expected = F.cross_entropy(outputs.mT, targets, label_smoothing=smoothing)
        torch.testing.assert_close(task.loss(outputs, batch, smoothing), expected)
    measured = {name: v.numpy() for name, v in task.measure(outputs, batch).items()}
    assert task.summarize(measured)["log_loss"] == pytest.approx(
        F.cross_entropy(outputs.mT, targets).item()
    )


def test_frames_are_nats_summed_over_labels_by_frames_of_the_split(lengths, random):
    task = EXAMPLES["multilabel_frames"]
    batch = make_batch(task, lengths, random)
    outputs = make_outputs(task, batch, random).double()
    on = torch.sigmoid(outputs)
    likelihood = torch.where(batch.targets > 0, on, 1 - on)
    nats = -likelihood.log().sum(2)[batch.mask].sum() / lengths.sum()
    torch.testing.assert_close(task.loss(outputs, batch), nats)
    measured = {name: v.numpy() for name, v in task.measure(outputs, batch).items()}
    assert task.summarize(measured)["nats_per_frame"] == pytest.approx(nats.item())
    assert task.causal


def test_regression_is_torchs_mse_and_l1(lengths, random):
    task = EXAMPLES["regression"]
    batch = make_batch(task, lengths, random)
    outputs = make_outputs(task, batch, random)
    torch.testing.assert_close(task.loss(outputs, batch), F.mse_loss(outputs, batch.targets[:, 0]))
    measured = {name: v.numpy() for name, v in task.measure(outputs, batch).items()}
    expected = F.l1_loss(outputs, batch.targets[:, 0]).item()
    assert task.summarize(measured)["mae"] == pytest.approx(expected)


def test_regression_takes_plain_numbers_as_targets():
    task = Regression(input_size=1)
    batch = Batch(
        torch.zeros(2, 3, 1),
        torch.ones(2, 3, dtype=torch.bool),
        torch.tensor([[1.0], [2.0]]),
        torch.ones(2, 1, dtype=torch.bool),
        torch.arange(2),
    )
    outputs = torch.tensor([[2.0], [2.0]])
    assert task.loss(outputs, batch).item() == 0.5


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
def test_pooled_heads_see_real_steps_only(pooling, lengths, random):
    task = EXAMPLES["classification"]
    head = task.head(SIZE, {"pooling": pooling})
    mask = torch.arange(TIME) < lengths[:, None]
    y = torch.randn(BATCH, TIME, SIZE, generator=random).masked_fill(~mask[..., None], 0.0)
    summary = torch.randn(BATCH, SIZE, generator=random)
    for example, length in enumerate(lengths.tolist()):
        real = y[example, :length]
        pooled = {"last": summary[example], "mean": real.mean(0), "max": real.amax(0)}[pooling]
        torch.testing.assert_close(head(y, mask, summary)[example], head.linear(pooled))


@given(st.floats(0, 1), st.booleans())
def test_a_metrics_loss_is_smaller_for_the_better(value, maximize):
    metric = Classification(classes=2).metric("accuracy" if maximize else "log_loss")
    better = value + 0.1 if maximize else value - 0.1
    assert metric.loss(better) < metric.loss(value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: task_from_json({"name": "clasification"}), "did you mean 'classification'"),
        (lambda: task_from_json({}), "there is no task None"),
        (lambda: task_from_json({"name": "tagging", "clases": 3}), "did you mean 'classes'"),
        (lambda: task_from_json({"name": "tagging"}), "needs the field 'classes'"),
        (lambda: Tagging(classes=1), "`classes` must be at least 2, got 1"),
        (lambda: Regression(input_size=0), "`input_size` must be at least 1, got 0"),
        (lambda: Regression(vocabulary=1), "`vocabulary` must be at least 2, got 1"),
        (lambda: MultilabelFrames(labels=0), "`labels` must be at least 1, got 0"),
        (lambda: Classification(classes=2, class_weights=(1.0,)), "2 positive numbers"),
        (lambda: Classification(classes=2, class_weights=(1.0, 0.0)), "2 positive numbers"),
        (lambda: LanguageModelling(vocabulary=9, level="words"), "did you mean 'word'"),
        (LanguageModelling, "of tokens, with a `vocabulary`"),
        (lambda: LanguageModelling(vocabulary=9, causal=False), "must be causal"),
        (lambda: LanguageModelling(vocabulary=9).metric("bits_per_character"), "has no metric"),
        (lambda: Tagging(classes=2).metric("acuracy"), "did you mean 'accuracy'"),
    ],
)
def test_errors_say_what_must_hold(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_class_weights_come_back_from_json_as_they_were():
    task = Classification(classes=2, class_weights=(1.0, 2.5))
    assert task_from_json(json.loads(json.dumps(task.to_json()))) == task
    assert hash(task) == hash(task_from_json(task.to_json()))


def test_types_of_a_batch_follow_from_the_task():
    assert Tagging(classes=3, vocabulary=9).input_dtype == torch.int64
    assert Tagging(classes=3).input_dtype == torch.float32
    assert Tagging(classes=3).target_dtype == torch.int64
    assert MultilabelFrames(labels=3).target_dtype == torch.float32


def test_an_example_counts_by_how_far_it_moves_the_metric():
    """Left out, an example moves the ratio of the rest by its loss's distance from the mean."""
    count, scores = np.array([1.0, 5.0, 40.0, 4.0]), np.array([3.0, 10.0, 80.0, 7.0])
    losses = Regression().example_losses({"count": count, "mse": scores}, "mse")
    assert losses.mean() == pytest.approx(2.0)
    assert losses[1:3] == pytest.approx([2.0, 2.0])  # as usual, be they ever so long
    for index, loss in enumerate(losses):
        rest = np.arange(4) != index
        left_out = scores[rest].sum() / count[rest].sum()
        moved = (2.0 - left_out) * count[rest].sum() / count.mean()
        assert loss - 2.0 == pytest.approx(moved)

"""F scores against scikit-learn and seqeval, class weights against scikit-learn and torch."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score as seqeval_f1
from sklearn.metrics import f1_score
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn

from spaces import contains, default
from trainers.catalog import family_space
from trainers.data.batch import Batch
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.model import build_model
from trainers.models import MODELS
from trainers.tasks import Classification, EntityTagging, Regression, Tagging, Task
from trainers.tasks.entities import are_bio
from trainers.training.gradients import Goal, Gradients
from trainers.training.loop import Training
from trainers.training.members import Members
from trainers.training.optim import training_space
from trainers.training.weights import Weights
from trainers.trivial.baselines import baselines

TAGS = ("B-LOC", "B-PER", "I-LOC", "I-PER", "O")

pairs = st.lists(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=8),
    min_size=1,
    max_size=6,
)


def tagged(sentences) -> tuple[Tensor, Batch]:
    """Logits that name the first of every pair, and a batch whose targets are the second."""
    longest = max(map(len, sentences))
    guesses = torch.randint(0, 5, (len(sentences), longest))  # nonsense at padding
    targets = torch.zeros(len(sentences), longest, dtype=torch.int64)
    mask = torch.zeros(len(sentences), longest, dtype=torch.bool)
    for row, sentence in enumerate(sentences):
        guesses[row, : len(sentence)] = torch.tensor([guess for guess, _ in sentence])
        targets[row, : len(sentence)] = torch.tensor([target for _, target in sentence])
        mask[row, : len(sentence)] = True
    batch = Batch(mask[..., None].float(), mask, targets, mask, torch.arange(len(sentences)))
    return F.one_hot(guesses, 5).float(), batch


def measured(task: Task, outputs: Tensor, batch: Batch) -> dict[str, np.ndarray]:
    return {name: values.numpy() for name, values in task.measure(outputs, batch).items()}


@settings(deadline=None)
@given(pairs)
def test_entities_are_those_of_seqeval(sentences):
    task = EntityTagging(classes=5, tags=TAGS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where nothing is an entity
        expected = seqeval_f1(
            [[TAGS[target] for _, target in sentence] for sentence in sentences],
            [[TAGS[guess] for guess, _ in sentence] for sentence in sentences],
        )
    values = task.summarize(measured(task, *tagged(sentences)))
    assert values["entity_f1"] == pytest.approx(expected, abs=1e-12)
    assert list(values) == ["entity_f1", "log_loss", "accuracy", "macro_f1"]


@settings(deadline=None)
@given(pairs)
def test_macro_f1_is_that_of_scikit_learn(sentences):
    flat = [pair for sentence in sentences for pair in sentence]
    expected = f1_score([t for _, t in flat], [g for g, _ in flat], average="macro")
    task = Tagging(classes=5)
    outputs, batch = tagged(sentences)
    assert task.summarize(measured(task, outputs, batch))["macro_f1"] == pytest.approx(expected)
    whole = Classification(classes=5)
    single = Batch(
        torch.zeros(len(flat), 1, 1),
        torch.ones(len(flat), 1, dtype=torch.bool),
        torch.tensor([[target] for _, target in flat]),
        torch.ones(len(flat), 1, dtype=torch.bool),
        torch.arange(len(flat)),
    )
    guesses = F.one_hot(torch.tensor([guess for guess, _ in flat]), 5).float()
    values = whole.summarize(measured(whole, guesses, single))
    assert values["macro_f1"] == pytest.approx(expected)


@pytest.mark.parametrize("metric", ["macro_f1", "entity_f1"])
@settings(deadline=None, max_examples=40)
@given(pairs)
def test_an_example_counts_by_the_slope_of_the_score_in_its_weight(metric, sentences):
    task = EntityTagging(classes=5, tags=TAGS)
    examples = measured(task, *tagged(sentences))
    losses = task.example_losses(examples, metric)
    value = task.summarize(examples)[metric]
    assert losses.mean() == pytest.approx(-value)
    step, count = 1e-6, len(sentences)
    for index in range(count):
        heavier = {name: values.astype(np.float64) for name, values in examples.items()}
        for values in heavier.values():
            values[index] *= 1 + step
        moved = task.summarize(heavier)[metric]
        assert -losses[index] - value == pytest.approx(count * (moved - value) / step, abs=1e-3)


def test_an_interval_from_example_losses_covers_about_what_it_says():
    """The spread of the influence values is that of the score over samples of examples."""
    rng = np.random.default_rng(0)
    task = Classification(classes=3)

    def sample():
        targets = rng.choice(3, 400, p=[0.8, 0.15, 0.05])
        guesses = np.where(rng.random(400) < 0.7, targets, rng.integers(0, 3, 400))
        real = torch.ones(400, 1, dtype=torch.bool)
        targets = torch.from_numpy(targets)[:, None]
        batch = Batch(torch.zeros(400, 1, 1), real, targets, real, torch.arange(400))
        return measured(task, F.one_hot(torch.from_numpy(guesses), 3).float(), batch)

    draws = [sample() for _ in range(300)]
    spread = np.std([task.summarize(draw)["macro_f1"] for draw in draws])
    said = np.mean([task.example_losses(d, "macro_f1").std() / np.sqrt(400) for d in draws])
    assert said == pytest.approx(spread, rel=0.12)


def test_a_split_without_entities_scores_0():
    task = EntityTagging(classes=5, tags=TAGS)
    examples = measured(task, *tagged([[(4, 4), (4, 4)], [(4, 4)]]))
    assert task.summarize(examples)["entity_f1"] == 0
    assert task.example_losses(examples, "entity_f1").tolist() == [0, 0]


@pytest.mark.parametrize(
    ("tags", "bio"),
    [
        (("B-X", "I-X", "O"), True),
        (("B", "I", "O"), True),
        (("I-X-Y", "O"), True),
        (("O",), False),
        (("B-X", "E-X", "O"), False),
        (("NOUN", "VERB"), False),
        (("Be", "In"), False),
    ],
)
def test_bio_tags_are_told_from_others(tags, bio):
    assert are_bio(tags) == bio


@pytest.mark.parametrize("tags", [("O", "B-X"), ("O", "B-X", "NOUN"), ("O", "O", "O")])
def test_tags_that_mark_no_entities_are_refused(tags):
    with pytest.raises(ValueError, match="`tags` must be 3 different ones of O, B-kind and I-kind"):
        EntityTagging(classes=3, tags=tags)


# class weights


def split(task: Task, examples: int, seed: int) -> Split:
    """Class 0 is common, class 1 is rare; class 2 never occurs."""
    rng = np.random.default_rng(seed)
    inputs = [rng.standard_normal((n, 2), dtype=np.float32) for n in rng.integers(2, 9, examples)]
    if isinstance(task, Tagging):
        targets = [(values[:, 0] > 1).astype(np.int64) for values in inputs]
    else:
        targets = [np.array([int(values[:, 0].mean() > 0.4)]) for values in inputs]
    return Split(Sequences.from_list(inputs), Sequences.from_list(targets))


def dataset(task: Task) -> Dataset:
    return Dataset("made up", task, split(task, 60, 0), split(task, 20, 1), split(task, 20, 2), {})


TASKS = [Classification(input_size=2, classes=3), Tagging(input_size=2, classes=3)]
ids = [task.name for task in TASKS]


@pytest.mark.parametrize("task", TASKS, ids=ids)
def test_balanced_weights_are_those_of_scikit_learn_and_torch(task):
    data = DeviceData(dataset(task))
    found = data.train.class_counts(3)
    values = dataset(task).train.targets.values.reshape(-1)
    assert found == np.bincount(values, minlength=3).tolist()
    balanced = task.balanced(found)
    expected = compute_class_weight("balanced", classes=np.array([0, 1]), y=values)
    assert balanced.class_weights == pytest.approx([*expected, 1.0])
    batch = data.train.batch(torch.arange(9))
    shape = (*batch.targets.shape, 3) if isinstance(task, Tagging) else (9, 3)
    outputs = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    targets = batch.targets.masked_fill(~batch.target_mask, -100).flatten()
    weights = torch.tensor([*expected, 1.0], dtype=torch.float64)
    oracle = F.cross_entropy(outputs.reshape(-1, 3), targets, weights)
    torch.testing.assert_close(balanced.loss(outputs, batch).double(), oracle, rtol=1e-6, atol=0)
    for name, value in task.measure(outputs, batch).items():  # metrics are not weighted
        assert torch.equal(balanced.measure(outputs, batch)[name], value)


@pytest.mark.parametrize("task", TASKS, ids=ids)
def test_a_weighted_batch_in_parts_gives_the_gradient_of_the_whole(task):
    data = DeviceData(dataset(task))
    config = default(family_space(MODELS["gru"], task, 60))
    config["model"] |= {"dropout": 0.0}  # parts drop different units
    batch = data.train.batch(torch.arange(11))
    found = []
    for parts in (1, 3):
        model = build_model(MODELS["gru"], config, task, seed=0)
        balanced = task.balanced(data.train.class_counts(3))
        gradients = Gradients(Members([model], [Weights(model)]), [Goal(balanced, 0, 0.1)])
        gradients.parts = parts
        found.append(gradients.of(batch, [0]))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-6)


def test_the_setting_weighs_the_training_loss_alone():
    task = TASKS[0]
    data = DeviceData(dataset(task))
    space = family_space(MODELS["gru"], task, 60)
    config = default(space)
    config["model"] |= {"dropout": 0.0}
    config["training"] |= {"class_weights": "balanced", "batch_size": 60}
    assert contains(space, config)
    training = Training(MODELS["gru"], config, data, seed=0, epochs=2)
    untrained = training.model(*inputs(data)).detach()
    counts = data.train.class_counts(3)
    expected = task.balanced(counts).loss(untrained, data.train.batch(torch.arange(60)))
    assert training.run_epoch().train_loss == pytest.approx(expected.item(), rel=1e-5)
    with torch.no_grad():
        outputs = training.model.eval()(*inputs(data, "valid"))
    plain = task.summarize(measured(task, outputs, data.valid.batch(torch.arange(20))))
    assert training.evaluate("valid", best=False).metrics == pytest.approx(plain, rel=1e-5)
    assert "class_weights" not in training_space(Regression(), 60).children


def inputs(data: DeviceData, name: str = "train") -> tuple[Tensor, Tensor]:
    part = data.split(name)
    batch = part.batch(torch.arange(part.examples))
    return batch.inputs, batch.mask


def test_weights_that_the_task_brings_are_kept_unless_balance_is_asked_for():
    task = replace(TASKS[0], class_weights=(1.0, 5.0, 1.0))
    data = DeviceData(dataset(task))
    config = default(family_space(MODELS["gru"], task, 60))
    for setting, expected in (("none", 5.0), ("balanced", task.balanced([48, 12, 0]))):
        config["training"]["class_weights"] = setting
        training = Training(MODELS["gru"], config, data, seed=0, epochs=1)
        found = training.goal.task.class_weights
        assert isinstance(training.model, nn.Module)
        assert (
            (found[1] == expected) if setting == "none" else (found[2] == 1.0 and found[1] != 5.0)
        )


def test_the_baseline_of_entities_reads_whole_sentences():
    """By token alone, a sentence of B I O is read right although no step knows its neighbours."""
    rng = np.random.default_rng(0)
    sentences = [np.array([1, 3, 4] * n) for n in rng.integers(1, 5, 30)]
    part = Split(Sequences.from_list(sentences), Sequences.from_list(sentences))
    task = EntityTagging(vocabulary=5, classes=5, tags=TAGS)
    rows = {row.name: row for row in baselines(Dataset("made up", task, part, part, part, {}))}
    assert rows["class frequencies of the token"].valid["entity_f1"] == 1.0
    assert rows["class frequencies"].valid["entity_f1"] < 0.5

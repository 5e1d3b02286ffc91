"""The task of language modelling: its metrics, their doubt, and weights that are shared."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from spaces import Config, default
from trainers.data.batch import Batch
from trainers.model import SequenceModel, build_model
from trainers.models import MODELS
from trainers.tasks import LanguageModelling
from trainers.training.members import Members
from trainers.training.weights import Weights

TOKENS = 11


def measured(task: LanguageModelling, examples: int = 6) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    count = random.integers(1, 9, examples).astype(np.float32)
    return {"nats_per_token": (count * random.uniform(1, 3, examples)), "count": count}


def test_metrics_are_functions_of_the_nats_of_the_average_token():
    outputs = torch.randn(2, 5, TOKENS, generator=torch.Generator().manual_seed(0))
    targets = torch.arange(10).view(2, 5)
    real = torch.tensor([[True] * 5, [True] * 2 + [False] * 3])
    batch = Batch(targets, real, targets, real, torch.arange(2))
    nats = F.cross_entropy(outputs[real], targets[real]).item()
    for level, names in (
        ("word", ["perplexity", "nats_per_token"]),
        ("character", ["bits_per_character", "perplexity", "nats_per_token"]),
    ):
        task = LanguageModelling(vocabulary=TOKENS, level=level)
        assert task.metric().name == names[0]
        examples = {name: v.numpy() for name, v in task.measure(outputs, batch).items()}
        values = task.summarize(examples)
        assert list(values) == names
        assert values["nats_per_token"] == pytest.approx(nats, rel=1e-6)
        assert values["perplexity"] == pytest.approx(math.exp(nats), rel=1e-6)
    assert values["bits_per_character"] == pytest.approx(nats / math.log(2), rel=1e-6)


def test_an_example_counts_by_how_far_it_moves_the_perplexity():
    """To first order: the derivative of the metric by the weight of the example."""
    task = LanguageModelling(vocabulary=TOKENS)
    examples = measured(task)
    losses = task.example_losses(examples, "perplexity")
    whole = task.summarize(examples)["perplexity"]
    assert losses.mean() == pytest.approx(whole, rel=1e-6)
    for place, loss in enumerate(losses):
        weight = np.ones(len(losses))
        weight[place] += 1e-6
        moved = task.summarize({name: v * weight for name, v in examples.items()})["perplexity"]
        assert (moved - whole) * len(losses) / 1e-6 == pytest.approx(loss - whole, rel=1e-3)


def test_a_hopeless_model_has_an_infinite_perplexity():
    task = LanguageModelling(vocabulary=TOKENS)
    examples = {"nats_per_token": np.array([1e4]), "count": np.array([1.0])}
    assert task.summarize(examples)["perplexity"] == math.inf


def test_metrics_of_a_level_survive_copies():
    task = LanguageModelling(vocabulary=TOKENS, level="character")
    for twin in (copy.deepcopy(task), pickle.loads(pickle.dumps(task))):  # noqa: S301 - our own
        assert twin == task
        assert twin.metric() == task.metric()


def model(width: int, tied: bool, seed: int = 0) -> SequenceModel:
    task = LanguageModelling(vocabulary=TOKENS)
    settings = default(MODELS["gru"].space(causal=True)) | {"hidden_size": 16}
    head = {"embedding_size": width, "tied_embeddings": tied}
    config: Config = {"model": {"name": "gru", **settings}, "head": head}
    return build_model(MODELS["gru"], config, task, seed=seed)


@pytest.mark.parametrize("width", [16, 24])
def test_tied_weights_are_one_table(width):
    tied = model(width, tied=True)
    names = [name for name, _ in tied.named_parameters()]
    assert [name for name in names if name.startswith(("embed", "head"))] == [
        "embed.weight",
        "head.bias",
        *(["head.project.weight", "head.project.bias"] if width != 16 else []),
    ]
    tokens = torch.arange(8).view(2, 4)
    mask = torch.ones(2, 4, dtype=torch.bool)
    logits = tied(tokens, mask)
    y = tied.head.project(tied.backbone(tied.embed(tokens), mask))
    torch.testing.assert_close(logits, y @ tied.embed.weight.T + tied.head.bias)
    again = model(width, tied=True, seed=1)
    again.load_state_dict(tied.state_dict())
    torch.testing.assert_close(again(tokens, mask), logits)


def test_tied_weights_learn_from_both_ends():
    tied = model(16, tied=True)
    weights = Weights(tied)
    tokens = torch.zeros(1, 3, dtype=torch.int64)
    logits = tied(tokens, torch.ones(1, 3, dtype=torch.bool))
    gradient = Members([tied], [weights]).gradient(F.cross_entropy(logits[0], tokens[0] + 1))[0]
    table = gradient[: TOKENS * 16].view(TOKENS, 16)
    assert (table.abs().sum(1) > 0).all()  # as outputs; only token 0 was an input


def test_an_untrained_model_is_in_as_much_doubt_as_without_one():
    tokens = torch.arange(10).view(2, 5)
    for tied in (True, False):
        logits = model(128, tied=tied)(tokens, torch.ones(2, 5, dtype=torch.bool))
        loss = F.cross_entropy(logits.flatten(0, 1), tokens.flatten()).item()
        assert loss == pytest.approx(math.log(TOKENS), abs=0.3)

"""Generation: what is drawn follows what the model foretells, and only that."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from spaces import Config, default
from trainers.catalog import family_space
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset
from trainers.data.streams import passages_of
from trainers.generation import generate
from trainers.model import SequenceModel, build_model
from trainers.models import MODELS
from trainers.tasks import Classification, LanguageModelling, MultilabelFrames, Tagging, Task
from trainers.training.loop import Training

TEXT = LanguageModelling(vocabulary=5, level="character")
MUSIC = MultilabelFrames(input_size=4, labels=4)


def model_of(task: Task, family: str = "gru") -> SequenceModel:
    config: Config = default(family_space(MODELS[family], task, 100))
    model = build_model(MODELS[family], config, task, seed=0)
    with torch.no_grad():
        for name, parameter in model.head.named_parameters():
            parameter.mul_(4 if name.endswith("weight") else 1)  # decided, not all alike
    return model


def prompt_of(task: Task, batch: int = 3, time: int = 7) -> Tensor:
    random = torch.Generator().manual_seed(1)
    if task is MUSIC:
        return torch.randint(0, 2, (1, time, 4), generator=random).float().expand(batch, -1, -1)
    return torch.randint(0, 5, (1, time), generator=random).expand(batch, -1)


@torch.no_grad()
def foretold(model: SequenceModel, seen: Tensor) -> Tensor:
    """Logits of the next step by one pass over all that was seen."""
    model.eval()
    outputs: Tensor = model(seen, torch.ones(seen.shape[:2], dtype=torch.bool))
    return outputs[:, -1]


def next_greedily(task: Task, logits: Tensor) -> Tensor:
    return (logits > 0).float() if task is MUSIC else logits.argmax(1)


@pytest.mark.parametrize("family", MODELS)
@pytest.mark.parametrize("task", [TEXT, MUSIC], ids=lambda task: task.name)
def test_without_temperature_the_likeliest_follows(task: Task, family: str) -> None:
    model, prompt = model_of(task, family), prompt_of(task)
    found = generate(model, prompt, 20, temperature=0.0)
    seen = prompt
    for step in range(20):
        expected = next_greedily(task, foretold(model, seen))
        assert torch.equal(found[:, step], expected)
        seen = torch.cat([seen, expected[:, None]], dim=1)
    assert torch.equal(generate(model, prompt, 20, temperature=1e-6, seed=3), found)


@pytest.mark.parametrize("temperature", [0.5, 1.0])
@pytest.mark.parametrize("task", [TEXT, MUSIC], ids=lambda task: task.name)
def test_draws_are_as_frequent_as_foretold(task: Task, temperature: float) -> None:
    """Of the third step, too, whatever the first two were."""
    model, count = model_of(task), 4_000
    prompt = prompt_of(task, batch=count)
    found = generate(model, prompt, 3, temperature=temperature, seed=5)
    for step in (0, 2):
        seen = torch.cat([prompt, found[:, :step]], dim=1)
        logits = foretold(model, seen) / temperature
        if task is MUSIC:
            expected, drawn = torch.sigmoid(logits), found[:, step]
        else:
            expected = torch.softmax(logits, 1)
            drawn = torch.nn.functional.one_hot(found[:, step], 5).float()
        doubt = (expected * (1 - expected)).sum(0).sqrt() / count
        off = (drawn.mean(0) - expected.mean(0)).abs()
        assert (off < 4 * doubt + 1e-9).all()


@pytest.mark.parametrize("task", [TEXT, MUSIC], ids=lambda task: task.name)
def test_a_seed_draws_the_same_and_another_does_not(task: Task) -> None:
    model, prompt = model_of(task).train(), prompt_of(task)
    before = torch.get_rng_state()
    first = generate(model, prompt, 30, seed=1)
    assert torch.equal(generate(model, prompt, 30, seed=1), first)
    assert torch.equal(generate(model, prompt, 10, seed=1), first[:, :10])
    assert not torch.equal(generate(model, prompt, 30, seed=2), first)
    assert not torch.equal(first[0], first[1])
    assert model.training
    assert torch.equal(torch.get_rng_state(), before)


def test_a_trained_model_spells_what_it_read() -> None:
    text = np.tile(np.array([0, 1, 2, 3, 4, 4], dtype=np.uint8), 60)
    split = passages_of([text])
    dataset = Dataset("made up", TEXT, split, split, split, {})
    config = default(family_space(MODELS["lstm"], TEXT, 100))
    config["training"] |= {"batch_size": 4, "bptt_steps": 15}
    training = Training(MODELS["lstm"], config, DeviceData(dataset), seed=0, epochs=12)
    for _ in range(12):
        training.run_epoch()
    drawn = generate(training.model, torch.tensor([[0, 1]]), 16, temperature=0.0)[0]
    assert drawn.tolist() == [2, 3, 4, 4, 0, 1, 2, 3, 4, 4, 0, 1, 2, 3, 4, 4]


CLASSES = Classification(classes=5, vocabulary=5)
TAGS = Tagging(classes=3, vocabulary=5, causal=True)


@pytest.mark.parametrize(
    ("task", "prompt", "more", "words"),
    [
        (TEXT, torch.zeros(1, 0, dtype=torch.int64), {}, "at least one step, got \\(1, 0\\)"),
        (TEXT, torch.tensor([[5]]), {}, "must be from 0 to 4, got 5 to 5"),
        (TEXT, torch.zeros(1, 2), {}, "must be \\(batch, time\\) whole numbers, got torch.float32"),
        (MUSIC, torch.zeros(2, 4), {}, "must be \\(batch, time, labels\\) numbers, got"),
        (TEXT, prompt_of(TEXT), {"steps": 0}, "`steps` must be at least 1"),
        (TEXT, prompt_of(TEXT), {"temperature": -1.0}, "`temperature` at least 0, got 3 and -1.0"),
        (TEXT, prompt_of(TEXT), {"temperature": float("nan")}, "got 3 and nan"),
        (
            TAGS,
            prompt_of(TEXT),
            {},
            "next of its own inputs .* \\(3, 7, 5\\), got .* \\(3, 7, 3\\)",
        ),
        (CLASSES, prompt_of(TEXT), {}, "streaming needs a causal model"),
    ],
)
def test_what_cannot_be_is_refused(
    task: Task, prompt: Tensor, more: dict[str, float], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        generate(model_of(task), prompt, **{"steps": 3, **more})


def test_music_of_real_chorales_has_the_shape_of_music(
    load_once: Callable[[str], Dataset],
) -> None:
    dataset = load_once("jsb_chorales")
    model = model_of(dataset.task)
    start = torch.from_numpy(dataset.test.inputs.example(0)[:8].astype(np.float32))[None]
    frames = generate(model, start, 12, temperature=0.7)
    assert frames.shape == (1, 12, 88)
    assert set(frames.unique().tolist()) <= {0.0, 1.0}

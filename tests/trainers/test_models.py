"""Every family keeps every promise; and what is built around a backbone."""

import pytest
import torch

from spaces import Config, default
from trainers.conformance.checks import CHECKS, try_check
from trainers.model import build_model, check_inputs
from trainers.models import MODELS
from trainers.tasks import Classification, MultilabelFrames, Tagging, Task
from trainers.tasks.task import embedding_size

TASKS: dict[str, Task] = {
    "features, one class": Classification(classes=4, input_size=3),
    "tokens, one class": Classification(classes=4, vocabulary=11),
    "features, labels at each step": MultilabelFrames(labels=5, input_size=5),
    "tokens, a class at each step": Tagging(classes=6, vocabulary=300, causal=True),
}


def config(family: str, task: Task) -> Config:
    settings = default(MODELS[family].space(task.causal))
    return {"model": {"name": family, **settings}, "head": default(task.head_space())}


def inputs(task: Task, time: int = 7) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    if task.vocabulary is not None:
        return torch.randint(task.vocabulary, (3, time), generator=generator)
    return torch.randn(3, time, task.input_size, generator=generator)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("family", MODELS)
def test_a_family_keeps_its_promises(family: str, check: str) -> None:
    assert try_check(check, MODELS[family]) == []


@pytest.mark.parametrize("family", MODELS)
def test_a_family_says_where_it_comes_from(family: str) -> None:
    assert MODELS[family].__doc__
    assert MODELS[family].reference


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize("family", MODELS)
def test_a_model_serves_every_task(family: str, task: Task) -> None:
    model = build_model(MODELS[family], config(family, task), task, seed=0)
    mask = torch.ones(3, 7, dtype=torch.bool)
    outputs = model(inputs(task), mask)
    size = {"labels": 5}.get("labels") if isinstance(task, MultilabelFrames) else task.classes  # type: ignore[attr-defined]
    steps = () if isinstance(task, Classification) else (7,)
    assert outputs.shape == (3, *steps, size)


def test_the_same_seed_builds_the_same_weights_whatever_ran_before() -> None:
    task = TASKS["tokens, one class"]
    states = []
    for seed in (1, 1, 2):
        torch.rand(17)
        before = torch.get_rng_state()
        states.append(build_model(MODELS["lstm"], config("lstm", task), task, seed=seed))
        assert torch.equal(torch.get_rng_state(), before)
    first, again, other = (dict(model.state_dict()) for model in states)
    assert all(torch.equal(first[name], again[name]) for name in first)
    for name in ("embed.weight", "backbone.ahead.0.weight_ih_l0", "head.linear.weight"):
        assert not torch.equal(first[name], other[name])


@pytest.mark.parametrize(
    "task", [task for task in TASKS.values() if task.causal], ids=lambda task: task.name
)
def test_a_causal_model_with_a_head_for_each_step_streams(task: Task) -> None:
    model = build_model(MODELS["gru"], config("gru", task), task, seed=0).eval()
    x = inputs(task, time=9)
    full = model(x, torch.ones(3, 9, dtype=torch.bool))
    state, parts = model.initial_state(3), []
    for start, stop in ((0, 1), (1, 6), (6, 9)):
        y, state = model.advance(x[:, start:stop], state)
        parts.append(y)
    torch.testing.assert_close(torch.cat(parts, dim=1), full)


def test_tokens_are_embedded_as_wide_as_one_hot_up_to_a_limit() -> None:
    assert [embedding_size(vocabulary) for vocabulary in (2, 10, 128, 50_000)] == [2, 10, 128, 128]


REAL = torch.tensor([[True, True, True], [True, False, False]])


@pytest.mark.parametrize("x", [torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.int64)])
def test_good_inputs_are_accepted(x: torch.Tensor) -> None:
    check_inputs(x, REAL)


def test_what_stands_at_padding_does_not_matter() -> None:
    x = torch.zeros(2, 3, 1)
    x[1, 1:] = float("nan")
    check_inputs(x, REAL)


@pytest.mark.parametrize(
    ("x", "mask", "words"),
    [
        (torch.full((2, 3, 1), float("nan")), REAL, "inputs must be finite, got NaN or infinity"),
        (torch.full((2, 3, 1), float("inf")), REAL, "inputs must be finite"),
        (torch.zeros(0, 3, 1), REAL[:0], r"at least one sequence and one step, got \(0, 3, 1\)"),
        (torch.zeros(2, 0, 1), REAL[:, :0], "at least one sequence and one step"),
        (torch.zeros(2, 3, 1), REAL & False, "must have a real step, got 2 of only padding"),
        (torch.zeros(2, 3, 1), REAL.flip(1), "padding must come after the real steps"),
        (torch.zeros(2, 4, 1), REAL, r"the shape \(batch, time\) of its inputs"),
        (torch.zeros(2, 3, 1), REAL.float(), "a mask must be bool"),
    ],
)
def test_bad_inputs_are_refused_in_words(x: torch.Tensor, mask: torch.Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_inputs(x, mask)

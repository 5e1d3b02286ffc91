"""Models as ONNX: ONNX Runtime computes what PyTorch computes, at any batch, length and chunk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor

from spaces import SearchSpace, default, narrow
from trainers.catalog import family_space, load_family
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.export import onnx_export
from trainers.export.card import Numbers, OnnxModels
from trainers.export.folder import ONNX_FILE, STREAMING_FILE, export
from trainers.export.onnx_export import to_onnx
from trainers.export.onnx_parts import for_onnx
from trainers.export.recipe import Recipe
from trainers.model import SequenceModel, build_model
from trainers.models.s4d import S4D
from trainers.models.self_attention import SelfAttention
from trainers.models.stack import MIXERS
from trainers.tasks import (
    CTC,
    AnomalyDetection,
    Captioning,
    Classification,
    Forecasting,
    LanguageModelling,
    Tagging,
    Task,
)

LENGTHS = (14, 12, 9, 13, 11)


def dataset(task: Task) -> Dataset:
    """Five ragged sequences of noise; targets of the right kind."""
    rng = np.random.default_rng(0)
    lengths = np.array(LENGTHS)
    starts = np.cumsum(lengths) - lengths
    steps = int(lengths.sum())
    if task.vocabulary is None:
        values = rng.normal(size=(steps, task.input_size)).astype(np.float32)
    else:
        values = rng.integers(task.vocabulary, size=steps)
    targets = Sequences(rng.integers(2, size=steps), starts, np.ones_like(lengths))
    split = Split(Sequences(values, starts, lengths), targets)
    return Dataset(name="noise", task=task, train=split, valid=split, test=split, preprocessing={})


def built(name: str, task: Task, settings: Mapping[str, Any]) -> SequenceModel:
    family = load_family(name)
    config = default(narrow(family_space(family, task, 100), settings))
    return build_model(family, config, task, seed=0).eval()


def converted(model: SequenceModel, task: Task) -> OnnxModels:
    models = to_onnx(model, DeviceData(dataset(task)).valid)
    assert models.difference <= 1e-5
    return models


def run(proto: bytes, **inputs: Tensor) -> list[Tensor]:
    session = onnxruntime.InferenceSession(proto, providers=["CPUExecutionProvider"])
    given = {name: value.numpy() for name, value in inputs.items()}
    return [torch.from_numpy(value) for value in session.run(None, given)]


def noise(model: SequenceModel, batch: int, time: int, features: int = 3) -> Tensor:
    torch.manual_seed(time)
    if isinstance(model.embed, torch.nn.Embedding):
        return torch.randint(model.embed.num_embeddings, (batch, time))
    return torch.randn(batch, time, features)


@torch.no_grad()
def check_whole(
    proto: bytes, model: SequenceModel, *sizes: tuple[int, int], features: int = 3
) -> None:
    """At these batches and lengths, with padding behind all but the first."""
    for batch, time in sizes:
        inputs = noise(model, batch, time, features)
        lengths = torch.tensor([time, *[max(1, time - 3)] * (batch - 1)])
        mask = torch.arange(time) < lengths.unsqueeze(1)
        (found,) = run(proto, inputs=inputs, mask=mask)
        torch.testing.assert_close(found, model(inputs, mask), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def check_stream(proto: bytes, model: SequenceModel, batch: int, chunks: list[int]) -> None:
    """Chunk after chunk gives what PyTorch gives at once, a step for a step."""
    inputs = noise(model, batch, sum(chunks))
    state = {f"state.{name}": value for name, value in model.initial_state(batch).items()}
    told = []
    for chunk in torch.split(inputs, chunks, dim=1):
        outputs, *after = run(proto, inputs=chunk, **state)
        state = dict(zip(state, after, strict=True))
        told.append(outputs)
    whole = model(inputs, torch.ones(inputs.shape[:2], dtype=torch.bool))
    torch.testing.assert_close(torch.cat(told, dim=1), whole, rtol=1e-4, atol=1e-5)


def stack(task: Task, *names: str) -> SequenceModel:
    """A layer of each of these kinds, one after the other."""
    layers = [{"name": name, **default(MIXERS[name].space(task.causal))} for name in names]
    for layer in layers:
        if "attention_window" in layer:
            layer["attention_window"] = 16
    family = load_family("stack")
    config = default(family_space(family, task, 100))
    config["model"] |= {"hidden_size": 16, "layers": layers}
    return build_model(family, config, task, seed=0).eval()


@pytest.mark.slow
def test_mixers_of_a_causal_model_whole_and_as_a_stream() -> None:
    task = Tagging(classes=2, input_size=3, causal=True)
    model = stack(task, "lstm", "conv", "attention", "ssm")
    models = converted(model, task)
    assert models.streaming is not None
    check_whole(models.whole, model, (1, 1), (4, 50))  # more than the window
    check_stream(models.streaming, model, 3, [1, 1, 40, 8])


@pytest.mark.slow
def test_mixers_that_look_ahead() -> None:
    task = Tagging(classes=2, input_size=3)
    model = stack(task, "gru", "feed_forward", "attention", "ssm")
    models = converted(model, task)
    assert models.streaming is None
    check_whole(models.whole, model, (1, 1), (4, 50))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("lstm", {"hidden_size": 16, "num_layers": 2, "peephole": True}),
        ("rnn", {"hidden_size": 16, "nonlinearity": "relu", "layer_norm": True}),
    ],
)
def test_recurrences_are_operators_of_onnx(name: str, settings: dict[str, Any]) -> None:
    task = Tagging(classes=2, input_size=3, causal=True)
    model = built(name, task, {"model": settings})
    for names in model.named_parameters():
        torch.nn.init.normal_(names[1], std=0.3)  # biases and peepholes, too
    models = converted(model, task)
    assert models.streaming is not None
    check_whole(models.whole, model, (1, 1), (4, 40))
    check_stream(models.streaming, model, 2, [1, 30, 1])


@pytest.mark.slow
def test_a_language_model_whose_outputs_have_the_weights_of_its_embedding() -> None:
    task = LanguageModelling(vocabulary=11)
    settings = {"model": {"hidden_size": 16}, "head": {"embedding_size": 24}}
    model = built("gru", task, settings)
    models = converted(model, task)
    assert models.streaming is not None
    check_whole(models.whole, model, (1, 1), (4, 40))
    check_stream(models.streaming, model, 2, [1, 30, 1])


@pytest.mark.slow
def test_tokens_and_a_pooled_head_that_cannot_stream() -> None:
    task = Classification(classes=3, vocabulary=7, causal=True)
    model = built("gru", task, {"model": {"hidden_size": 16}, "head": {"pooling": "mean"}})
    models = converted(model, task)
    assert models.streaming is None
    check_whole(models.whole, model, (1, 2), (6, 30))


@pytest.mark.slow
def test_forecasts_with_covariates_known_ahead() -> None:
    task = Forecasting(horizon=6, channels=2, known=1, input_size=4, causal=True)
    model = built("tcn", task, {"model": {"hidden_size": 16, "num_layers": 2}})
    models = converted(model, task)
    check_whole(models.whole, model, (1, 9), (3, 30), features=4)


@pytest.mark.slow
def test_the_next_values_of_a_stream() -> None:
    model = built("gru", AnomalyDetection(), {"model": {"hidden_size": 16}})
    models = converted(model, AnomalyDetection())
    assert models.streaming is not None
    check_whole(models.whole, model, (1, 9), (3, 30), features=1)


def test_stand_ins_compute_the_same() -> None:
    """Those that PyTorch can run: the recurrences exist in ONNX alone."""
    torch.manual_seed(0)
    x, mask = torch.randn(3, 50, 8), torch.arange(50) < torch.tensor([[50], [7], [31]])
    for causal in (True, False):
        window = SelfAttention(8, causal=causal, num_heads=2, attention_window=5)
        space = S4D.space(causal)
        for mixer in (window, *(S4D(8, causal=causal, **settings(space, kind)) for kind in HOLDS)):
            expected = mixer(x, mask) * mask.unsqueeze(2)
            found = for_onnx(mixer)(x, mask) * mask.unsqueeze(2)
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


HOLDS = ("zero_order_hold", "bilinear")


def settings(space: SearchSpace, kind: str) -> dict[str, Any]:
    return default(space) | {"discretisation": kind}


def test_a_difference_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Tagging(classes=2, input_size=3, causal=True)
    monkeypatch.setattr(onnx_export, "LARGEST_DIFFERENCE", -1.0)
    with pytest.raises(ValueError, match=r"must be within -1 of PyTorch, got"):
        to_onnx(built("rnn", task, {"model": {"hidden_size": 16}}), DeviceData(dataset(task)).valid)


class Peeking(torch.nn.Module):
    """What no export can follow: it does as a value says."""

    def forward(self, inputs: Tensor, mask: Tensor) -> Tensor:
        return inputs + 1 if bool(inputs.sum() > 0) else inputs


def test_a_model_that_onnx_cannot_say_is_refused() -> None:
    task = Tagging(classes=2, input_size=3)
    model = built("rnn", task, {"model": {"hidden_size": 16}})
    model.head = torch.nn.Identity()
    model.forward = Peeking().forward  # type: ignore[method-assign] # stands for a user's own class
    with pytest.raises(ValueError, match="must be one that ONNX can say"):
        to_onnx(model, DeviceData(dataset(task)).valid)


def test_the_folder_holds_the_files_and_the_card_their_difference(tmp_path: Path) -> None:
    task = Tagging(classes=2, input_size=3, causal=True)
    model = built("rnn", task, {"model": {"hidden_size": 16}})
    numbers = Numbers(
        metric=task.metrics[0],
        valid=0.5,
        valid_epoch=1,
        parameters=7,
        train_seconds=1.0,
        test={},
        test_over_seeds=None,
    )
    for streaming in (b"stream", None):
        export(
            tmp_path / "best",
            recipe=Recipe(benchmark={"name": "noise"}, config={"model": {"name": "rnn"}}),
            dataset=dataset(task),
            weights=model.state_dict(),
            numbers=numbers,
            environment={},
            onnx=OnnxModels(b"whole", streaming, 1.25e-7),
        )
        assert (tmp_path / "best" / ONNX_FILE).read_bytes() == b"whole"
        card = (tmp_path / "best" / "README.md").read_text("utf-8")
        assert "PyTorch differed by 1.2e-07 at" in card
        assert (tmp_path / "best" / STREAMING_FILE).exists() == (streaming is not None)
        assert ("cannot be fed chunk by chunk" in card) == (streaming is None)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_labels_without_an_alignment(bidirectional: bool) -> None:
    """What is decoded is said step by step; only a model that looks back alone streams."""
    task = CTC(input_size=3, classes=4, causal=not bidirectional)
    settings = {"bidirectional": True} if bidirectional else {}
    models = converted(built("gru", task, {"model": settings}), task)
    assert (models.streaming is None) == bidirectional


def test_a_decoder_is_refused() -> None:
    task = Captioning(input_size=3, classes=4, longest=5)
    model = built("gru", task, {})
    with pytest.raises(ValueError, match="decodes label by label: leave ONNX out"):
        to_onnx(model, DeviceData(dataset(task)).valid)

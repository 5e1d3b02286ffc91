"""A trained model as ONNX: one for whole sequences, and one for streams where it can stream.

Needs the packages of the extra `onnx`.
"""

import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any, Final

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn
from torch.onnx.errors import OnnxExporterError

from trainers.data.batching import DeviceSplit
from trainers.export.card import OnnxModels
from trainers.export.onnx_parts import OPSET, for_onnx
from trainers.model import SequenceModel, State

LARGEST_DIFFERENCE: Final = 1e-4
MOST_STEPS: Final = 256  # of the examples that are tried
EXAMPLES: Final = 5
STATE, NEXT = "state.", "next."
"""What the names of a state begin with as an input, and as an output."""

Inputs = tuple[Tensor, Tensor]
"""(batch, time, ...) and the mask (batch, time)."""


class WholeSequence(nn.Module):
    """The model with positional arguments, as `torch.onnx` wants it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """See `SequenceModel.forward`."""
        outputs: Tensor = self.model(inputs, mask)
        return outputs


class Stream(nn.Module):
    """A chunk and a flat state in; outputs and the state after it out."""

    def __init__(self, model: SequenceModel, names: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.names = list(names)

    def forward(self, inputs: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """See `SequenceModel.advance`."""
        outputs, after = self.model.advance(inputs, dict(zip(self.names, state, strict=True)))
        return outputs, *(after[name] for name in self.names)


@torch.no_grad()
def to_onnx(model: SequenceModel, split: DeviceSplit) -> OnnxModels:
    """The model as ONNX, tried on real inputs of `split` at sizes that were not traced.

    Args:
        model: On the CPU.

    Raises:
        ValueError: The model cannot be said in ONNX, or what ONNX Runtime computes differs from
            PyTorch by more than `LARGEST_DIFFERENCE`.
    """
    if model.head_reads_targets:
        raise ValueError(
            "the model must be one whose outputs follow from its inputs at once to be said in "
            "ONNX; this one decodes label by label: leave ONNX out"
        )
    model = model.eval()
    traced, *tried = _samples(model, split)
    stand_in = for_onnx(model)
    assert isinstance(stand_in, SequenceModel)
    whole = _whole_model(stand_in, traced)
    difference = max(_whole_difference(whole, model, inputs) for inputs in tried)
    streaming = None
    if _streams(model, tried[0]):
        streaming = _streaming_model(stand_in, traced)
        found = [_stream_difference(streaming, model, inputs) for inputs, _ in tried]
        difference = max(difference, *found)
    if not difference <= LARGEST_DIFFERENCE:
        raise ValueError(
            f"what ONNX Runtime computes must be within {LARGEST_DIFFERENCE:g} of PyTorch, "
            f"got {difference:.2g}"
        )
    return OnnxModels(whole, streaming, difference)


def _samples(model: SequenceModel, split: DeviceSplit) -> list[Inputs]:
    """Real inputs of three sizes: one to trace, and two others to try."""
    batch = split.batch(torch.arange(min(EXAMPLES, split.examples)))
    inputs, mask = batch.inputs[:, :MOST_STEPS], batch.mask[:, :MOST_STEPS]
    time = max(inputs.shape[1], 3)  # what is traced at 1 would stay at 1
    # with covariates known ahead, no fewer steps than are forecast
    least = getattr(model.head, "horizon", 1) if getattr(model.head, "known", 0) else 2
    shorter = max(time // 2, least)
    lengths = (time, time + 1, shorter if shorter < time else time + 2)
    return [
        _sized(inputs, mask, size, length) for size, length in zip((2, 1, 3), lengths, strict=True)
    ]


def _sized(inputs: Tensor, mask: Tensor, size: int, length: int) -> Inputs:
    """So many examples of so many steps, beginning again where there are too few."""
    examples = torch.arange(size) % inputs.shape[0]
    steps = torch.arange(length) % inputs.shape[1]
    again = torch.arange(length) >= inputs.shape[1]
    real = mask[examples][:, steps]
    real &= mask[examples].all(dim=1, keepdim=True) | ~again  # padding comes last
    return inputs[examples][:, steps], real


def _whole_model(model: SequenceModel, traced: Inputs) -> bytes:
    sizes = {0: "batch", 1: "time"}
    return _export(WholeSequence(model), traced, [sizes, sizes], ["inputs", "mask"], ["outputs"])


def _streaming_model(model: SequenceModel, traced: Inputs) -> bytes:
    inputs, _ = traced
    state = model.initial_state(inputs.shape[0])
    sizes = [{0: "batch", 1: "time"}, tuple({0: "batch"} for _ in state)]
    return _export(
        Stream(model, list(state)),
        (inputs, *state.values()),
        sizes,
        ["inputs", *(f"{STATE}{name}" for name in state)],
        ["outputs", *(f"{NEXT}{name}" for name in state)],
    )


def _export(
    module: nn.Module,
    arguments: tuple[Tensor, ...],
    sizes: Sequence[Any],
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> bytes:
    """The ONNX model of a module, its batch and time left open."""
    try:
        with _quiet():
            program = torch.onnx.export(
                module.eval(),
                arguments,
                dynamo=True,
                dynamic_shapes=tuple(sizes),
                input_names=inputs,
                output_names=outputs,
                opset_version=OPSET,
                verbose=False,
            )
    except OnnxExporterError as error:
        cause = error.__cause__ or error
        reason = str(cause).strip().partition("\n")[0] or type(cause).__name__
        raise ValueError(f"the model must be one that ONNX can say: {reason}") from error
    assert program is not None
    proto: bytes = program.model_proto.SerializeToString()
    return proto


def _whole_difference(proto: bytes, model: SequenceModel, inputs: Inputs) -> float:
    values, mask = inputs
    (found,) = _session(proto).run(None, {"inputs": values.numpy(), "mask": mask.numpy()})
    return _difference(found, model(values, mask))


def _stream_difference(proto: bytes, model: SequenceModel, inputs: Tensor) -> float:
    """Over two chunks, the first of one step, each runtime going on from its own state."""
    session = _session(proto)
    expected = model.initial_state(inputs.shape[0])
    state = {f"{STATE}{name}": value.numpy() for name, value in expected.items()}
    largest = 0.0
    for chunk in _chunks(inputs):
        outputs, expected = model.advance(chunk, expected)
        found, *after = session.run(None, {"inputs": chunk.numpy(), **state})
        state = dict(zip(state, after, strict=True))
        largest = max(largest, _difference(found, outputs))
    return largest


def _difference(found: np.ndarray, expected: Tensor) -> float:
    """The largest, in units of the largest output where that is above 1."""
    assert found.shape == expected.shape
    scale = max(1.0, float(expected.abs().max()))
    return float((torch.from_numpy(found) - expected).abs().max()) / scale


def _streams(model: SequenceModel, inputs: Inputs) -> bool:
    """Whether the model, given chunk after chunk, ends with what it says of the whole at once."""
    values, mask = inputs
    values = values[:, : int(mask.sum(dim=1).min())]
    whole = torch.ones(values.shape[:2], dtype=torch.bool)
    try:
        state = model.initial_state(values.shape[0])
        told = []
        for chunk in _chunks(values):
            outputs, state = model.advance(chunk, state)
            told.append(outputs)
    except ValueError:  # not causal, or its head needs more steps
        return False
    expected: Tensor = model(values, whole)
    by_step = sum(each.shape[1] for each in told) == expected.shape[1] == values.shape[1]
    streamed = torch.cat(told, dim=1) if by_step and expected.ndim > 2 else told[-1]
    alike = streamed.shape == expected.shape
    alike = alike and torch.allclose(streamed, expected, rtol=1e-3, atol=1e-4)
    return alike and not _any_set(model)


def _any_set(model: SequenceModel) -> bool:
    """Whether the state before the first step is more than zeros, which a user could not know."""
    state: State = model.initial_state(1)
    return any(bool(value.any()) for value in state.values())


def _chunks(values: Tensor) -> list[Tensor]:
    return [values[:, :1], values[:, 1:]] if values.shape[1] > 1 else [values]


def _session(proto: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(proto, options, providers=["CPUExecutionProvider"])


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells of its steps, and of packages that it could use."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)

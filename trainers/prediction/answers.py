"""What a model says, as columns of a table; one more kind of task is a line in `ANSWERS`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from trainers.benchmarks.scaling import Scaler
from trainers.data.batch import Batch
from trainers.model import SequenceModel
from trainers.prediction.asked import Asked, Kept
from trainers.prediction.continuation import Continued, continued

Columns = dict[str, list[Any]]
Outputs = list[Any]
"""What a model says of each example; what that is, `Answering.of` and `table` agree upon."""


@dataclass(frozen=True, slots=True)
class Posed:
    """Some examples that are put to a model."""

    model: SequenceModel
    batch: Batch
    kept: Kept


@dataclass(frozen=True, slots=True)
class Answering:
    """How the answers to one kind of task come about.

    Attributes:
        of: What a model says of each example of a batch.
        table: The answers as columns; the first ones say what each row is about.
        text: The table as people and other programs read such answers, where there is such a form.
    """

    of: Callable[[Posed], Outputs]
    table: Callable[[Outputs, Asked, Kept], Columns]
    text: Callable[[Columns], str] | None = None


def whole(posed: Posed) -> Outputs:
    """Outputs of the whole sequence, (outputs,) each, or (steps, outputs)."""
    return list(_forward(posed))


def by_step(posed: Posed) -> Outputs:
    """Outputs of every real step, (time, outputs) each."""
    lengths = posed.batch.mask.sum(1).tolist()
    return [steps[:length] for steps, length in zip(_forward(posed), lengths, strict=True)]


def decoded(posed: Posed) -> Outputs:
    """Labels, found as in the test."""
    batch, width = posed.batch, posed.kept["task"]["beam_width"]
    return posed.model.decode(batch.inputs, batch.mask, beam_width=width)


def gone_on(posed: Posed) -> Outputs:
    """How a language model goes on."""
    return continued(posed.model, posed.batch)


def _forward(posed: Posed) -> np.ndarray:
    outputs: np.ndarray = posed.model(posed.batch.inputs, posed.batch.mask).float().numpy()
    return outputs


def classes(outputs: Outputs, asked: Asked, kept: Kept) -> Columns:
    """The most probable class of each example, and the probability of every class."""
    logits = np.stack(outputs)
    names = _classes(kept)
    return joined(
        {name: list(values) for name, values in asked.keys.items()},
        {"predicted": [names[place] for place in logits.argmax(1).tolist()]},
        _probabilities(names, _softmax(logits)),
    )


def tags(outputs: Outputs, asked: Asked, kept: Kept) -> Columns:
    """The most probable class of each step, and its probability."""
    logits = np.concatenate(outputs)
    best, names = logits.argmax(1), _classes(kept)
    shares = _softmax(logits)[np.arange(len(best)), best]
    return joined(
        step_keys(outputs, asked),
        {
            "tag": [names[place] for place in best.tolist()],
            "probability": _shortest(shares),
        },
    )


def tagged_text(columns: Columns) -> str:
    """A word and its tag on each line, and a blank line after each sentence."""
    words = columns.get("word", columns["position"])
    first = [position == 1 for position in columns["position"]]
    lines = [
        f"{'' if not place or not begins else chr(10)}{word}\t{tag}\n"
        for place, (begins, word, tag) in enumerate(zip(first, words, columns["tag"], strict=True))
    ]
    return "".join([*lines, "\n"])


def label_sets(outputs: Outputs, asked: Asked, kept: Kept) -> Columns:
    """The probability of every label in each step."""
    shares = 1 / (1 + np.exp(-np.concatenate(outputs).astype(np.float64)))
    names = [str(label) for label in range(kept["task"]["labels"])]
    return joined(step_keys(outputs, asked), _probabilities(names, shares))


def numbers(outputs: Outputs, asked: Asked, kept: Kept) -> Columns:
    """Numbers in the units of the target."""
    values = np.stack(outputs)
    if "target_scaler" in kept:
        values = Scaler.from_json(kept["target_scaler"]).restore(values)
    names = kept.get("columns", {}).get("target") or _places("target", values.shape[1])
    keys = {name: list(values) for name, values in asked.keys.items()}
    return joined(keys, dict(zip(names, values.T.tolist(), strict=True)))


def forecasts(outputs: Outputs, asked: Asked, kept: Kept) -> Columns:
    """Numbers for each step asked for, in the units of the series."""
    values = np.concatenate(
        [scaler.restore(steps) for scaler, steps in zip(asked.scalers, outputs, strict=True)]
    )
    names = kept.get("columns", {}).get("target") or kept["channels"]
    return joined(step_keys(outputs, asked), dict(zip(names, values.T.tolist(), strict=True)))


def continuations(outputs: list[Continued], asked: Asked, kept: Kept) -> Columns:
    """How likely each text is, and how it might go on."""
    words = kept["vocabulary"]
    between = " " if kept["task"]["level"] == "word" else ""
    return joined(
        {name: list(values) for name, values in asked.keys.items()},
        {
            "nats_per_token": [one.nats for one in outputs],
            "continuation": [between.join(words[token] for token in one.tokens) for one in outputs],
        },
    )


def sequences(outputs: Outputs, asked: Asked, kept: Kept) -> Columns:
    """The labels of each example in their order, as text; letters stand side by side."""
    names = kept.get("target_vocabulary") or _classes(kept)
    letters = "target_vocabulary" in kept and max(map(len, names[:-1])) == 1
    between = "" if letters else " "
    answers = [between.join(names[label] for label in labels) for labels in outputs]
    return joined({name: list(values) for name, values in asked.keys.items()}, {"answer": answers})


def lines(column: str) -> Callable[[Columns], str]:
    """One column as text, an answer on each line."""
    return lambda columns: "".join(f"{answer}\n" for answer in columns[column])


def _classes(kept: Kept) -> list[str]:
    return list(kept.get("classes") or map(str, range(kept["task"]["classes"])))


def _places(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name}_{place}" for place in range(1, count + 1)]


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    shares: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return shares


def _probabilities(names: Sequence[str], shares: np.ndarray) -> Columns:
    return {
        f"probability_{name}": _shortest(column)
        for name, column in zip(names, shares.T, strict=True)
    }


def _shortest(values: np.ndarray) -> list[float]:
    """Numbers with as many digits as float32 has."""
    shortened: list[float] = values.astype(np.float32).astype(str).astype(float).tolist()
    return shortened


def step_keys(outputs: Outputs, asked: Asked) -> Columns:
    """What every step of every answer is called."""
    lengths = [len(steps) for steps in outputs]
    keys = {
        name: [value for value, length in zip(values, lengths, strict=True) for _ in range(length)]
        for name, values in asked.keys.items()
    }
    steps = {
        name: [value for values in examples for value in values]
        for name, examples in asked.steps.items()
    }
    return joined(keys, steps)


def joined(*parts: Columns) -> Columns:
    """All columns.

    Raises:
        ValueError: A column of the file is called as one of the answers.
    """
    columns: Columns = {}
    for part in parts:
        for name, values in part.items():
            if name in columns:
                raise ValueError(f"a column of answers is called {name!r}; rename that of the file")
            columns[name] = values
    return columns


ANSWERS: Final[dict[str, Answering]] = {
    "classification": Answering(whole, classes),
    "tagging": Answering(by_step, tags, tagged_text),
    "entity_tagging": Answering(by_step, tags, tagged_text),
    "regression": Answering(whole, numbers),
    "multilabel_frames": Answering(by_step, label_sets),
    "forecasting": Answering(whole, forecasts),
    "ctc": Answering(decoded, sequences, lines("answer")),
    "translation": Answering(decoded, sequences, lines("answer")),
    "captioning": Answering(decoded, sequences, lines("answer")),
    "language_modelling": Answering(gone_on, continuations, lines("continuation")),
}

"""Answers of an exported model to a file of the kind that it was trained on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch

from trainers.data.batching import DeviceSplit, evaluation_order
from trainers.data.dataset import Sequences, Split
from trainers.export.folder import load, read_preprocessing
from trainers.model import SequenceModel
from trainers.own_data.files import KINDS, kind_of
from trainers.prediction.answers import ANSWERS as OF_EXAMPLES
from trainers.prediction.answers import Answering, Columns, Outputs, Posed
from trainers.prediction.asked import Asked, Kept
from trainers.prediction.benchmark_files import read_benchmark_file
from trainers.prediction.own_files import (
    read_archive,
    read_lines,
    read_sentences,
    read_table,
    read_text,
)
from trainers.prediction.series import read_series
from trainers.prediction.watching import alarms, read_streams, watched
from trainers.tasks import Task
from trainers.training.evaluation import ELEMENTS

__all__ = ["Predictions", "predict"]

Reader = Callable[[Path, Kept], Asked]
READERS: Final[dict[tuple[str, str], Reader]] = {
    ("forecasting", "table"): read_series,
    ("anomaly_detection", "table"): read_streams,
    ("classification", "table"): read_table,
    ("regression", "table"): read_table,
    ("classification", "lines"): read_lines,
    ("classification", "ts"): read_archive,
    ("regression", "ts"): read_archive,
    ("tagging", "tags"): read_sentences,
    ("tagging", "lines"): read_sentences,
    ("entity_tagging", "tags"): read_sentences,
    ("entity_tagging", "lines"): read_sentences,
    ("language_modelling", "lines"): read_text,
    ("translation", "table"): read_table,
    ("translation", "lines"): read_lines,
}
ANSWERS: Final = {**OF_EXAMPLES, "anomaly_detection": Answering(watched, alarms)}


@dataclass(frozen=True, slots=True)
class Predictions:
    """Answers to all examples of a file, in its order.

    Attributes:
        columns: As a table.
        text: As text, where the task has such a form: word and tag on each line.
        notes: What one should know of them.
    """

    columns: Columns
    text: str | None
    notes: list[str]


def predict(folder: str | Path, file: str | Path, *, trust: bool = False) -> Predictions:
    """What the model in `folder` says of a file, which need not hold the answers.

    Everything that was fitted in training is taken from the folder, and nothing is fitted here.

    Args:
        trust: See `trainers.export.load`.

    Raises:
        ValueError: The file is of another kind, has other columns, or a row is wrong.
        OSError: The folder or the file cannot be read.
    """
    model = load(folder, trust=trust)
    task, kept = read_preprocessing(Path(folder))
    if task.name not in ANSWERS:
        raise ValueError(f"{folder} is a model of {task.name}, which cannot be asked by a file")
    asked = _read(Path(file), kept)
    answering = ANSWERS[task.name]
    columns = answering.table(_outputs(model, task, asked, kept), asked, kept)
    unit = "characters" if kept["task"].get("level") == "character" else "words"
    notes = (
        [f"{asked.unknown:,} of {asked.words:,} {unit} are unknown to the model"]
        if asked.unknown
        else []
    )
    return Predictions(columns, answering.text and answering.text(columns), notes)


def _read(path: Path, kept: Kept) -> Asked:
    if "own_data" not in kept:
        return read_benchmark_file(path, kept)
    if "kind" not in kept:
        raise ValueError("the model must be exported again: it was by an earlier version")
    task = kept["task"]["name"]
    reader = READERS[task, kept["kind"]]
    if READERS.get((task, kind_of(path, of_languages=task == "translation"))) is not reader:
        suffixes = [suffix for suffix, kind in KINDS.items() if READERS.get((task, kind)) is reader]
        raise ValueError(
            f"{path} must be a file of the kind that the model was trained on, with a name that "
            f"ends in {', '.join(suffixes)}"
        )
    return reader(path, kept)


def _outputs(model: SequenceModel, task: Task, asked: Asked, kept: Kept) -> Outputs:
    """What the model says of each example, in their order."""
    nothing = Sequences.from_array(np.zeros((len(asked.sequences), 1), dtype=np.uint8))
    split = DeviceSplit(Split(asked.sequences, nothing), task, torch.device("cpu"))
    size = max(model.backbone.output_size, task.widest)
    order = list(evaluation_order(split, size=size, elements=ELEMENTS["cpu"]))
    with torch.no_grad():
        answers = [
            answer
            for part in order
            for answer in ANSWERS[task.name].of(Posed(model, split.batch(part), kept))
        ]
    places = torch.argsort(torch.cat(order)).tolist()
    return [answers[place] for place in places]

"""One example of a data set, drawn: as text for a terminal, as a plot for a file."""

import html
import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import plotly.io
from rich.console import Console
from rich.text import Text

from trainers.data.dataset import Dataset

COLUMNS: Final = 72
ROWS: Final = 24
FEW: Final = 7
"""So many features are drawn as lines, more as the rows of a picture."""
BARS: Final = "▁▂▃▄▅▆▇█"
SHADES: Final = " ░▒▓█"
PLOTS: Final = (".html", ".svg")


def example_text(dataset: Dataset, split: str = "train", index: int = 0) -> str:
    """Inputs and targets of one example, as lines of text."""
    part = getattr(dataset, split)
    inputs, targets = _read(dataset, part.inputs.example(index)), part.targets.example(index)
    lines = [f"{dataset.name}: example {index} of {len(part):,} to {split}", ""]
    lines += [f"inputs: {_steps(inputs)}", *_inputs(dataset, inputs), ""]
    lines += [f"targets: {_count(targets)}", *_targets(dataset, targets)]
    return "\n".join(lines) + "\n"


def write_example(dataset: Dataset, file: Path) -> None:
    """The first example as a plot to turn and zoom (.html), or its text as a picture (.svg).

    Raises:
        ValueError: The file's name ends in something else.
        OSError: It cannot be written.
    """
    if file.suffix == ".svg":
        picture = Console(record=True, width=COLUMNS + 8, file=io.StringIO())
        picture.print(Text(example_text(dataset)))
        file.write_text(picture.export_svg(title=dataset.name), encoding="utf-8")
    else:
        check_plot(file)
        page = plotly.io.to_html(_figure(dataset), include_plotlyjs=True, full_html=True)
        file.write_text(page, encoding="utf-8")


def check_plot(file: Path) -> None:
    """Refuse a file of another kind, before any data are read.

    Raises:
        ValueError: Its name ends in none of `PLOTS`.
    """
    if file.suffix not in PLOTS:
        raise ValueError(f"a plot must be a file that ends in .html or .svg, got {file.name}")


def _read(dataset: Dataset, inputs: np.ndarray) -> np.ndarray:
    """As people read them: of words with their spelling, the words."""
    return inputs[:, 0] if dataset.task.reads_spelling else inputs


def _steps(values: np.ndarray) -> str:
    features = f" of {values.shape[1]} features" if values.ndim == 2 else ""
    return f"{_count(values)}{features}"


def _count(values: np.ndarray) -> str:
    return f"{len(values):,} step{'s' if len(values) != 1 else ''}"


def _inputs(dataset: Dataset, values: np.ndarray) -> list[str]:
    if dataset.task.vocabulary is not None:
        return _tokens(values, dataset.preprocessing.get("vocabulary"))
    return _drawn(_picture(dataset, values))


def _targets(dataset: Dataset, values: np.ndarray) -> list[str]:
    told, task = dataset.preprocessing, dataset.task
    if task.has_classes:
        names = told.get("target_vocabulary") or told.get("classes") or told.get("vocabulary")
        return _tokens(values, names)
    channels = task.to_json().get("channels")  # of a forecast; its errors' scales come after them
    shown = values if channels is None else values[:, :channels]
    return _drawn(shown) if len(values) > 1 else [" ".join(f"{value:.4g}" for value in shown.flat)]


def _picture(dataset: Dataset, values: np.ndarray) -> np.ndarray:
    """Pixels in their places, of an image that is read pixel by pixel; else as it is."""
    order = dataset.preprocessing.get("order")
    side = round(values.size**0.5)
    if order is not None and len(order) == values.size == side * side:
        image = np.empty(values.size, dtype=values.dtype)
        image[np.asarray(order)] = values.ravel()
        return image.reshape(side, side).T[::-1]
    if len(values) == 1 and side * side == values.size > 1:
        return values.reshape(side, side).T[::-1]
    return values


def _tokens(values: np.ndarray, names: Sequence[str] | None) -> list[str]:
    numbers = values.ravel().tolist()
    words = [names[number] for number in numbers] if names else [str(number) for number in numbers]
    characters = names is not None and len(words) > 1 and all(len(word) == 1 for word in words)
    text = "".join(words) if characters else " ".join(words)
    return textwrap.wrap(text, COLUMNS, max_lines=ROWS, placeholder=" ...")


def _drawn(values: np.ndarray) -> list[str]:
    """(steps,) or (steps, features): time runs to the right, in at most `COLUMNS` columns."""
    table = np.asarray(values, dtype=np.float64).reshape(len(values), -1).T
    if len(table) <= FEW:
        return [_marks(row, BARS) for row in _pooled(table, COLUMNS)]
    picture = _pooled(_pooled(table, COLUMNS).T, ROWS).T[::-1]  # the last feature on top
    flat = _marks(picture.ravel(), SHADES)
    width = picture.shape[1]
    rows = [flat[start : start + width].rstrip() for start in range(0, len(flat), width)]
    return "\n".join(rows).strip("\n").splitlines() if len(table) > ROWS else rows


def _pooled(table: np.ndarray, most: int) -> np.ndarray:
    """The last axis in at most so many columns, each the largest of its values."""
    length = table.shape[-1]
    if length <= most:
        return table
    starts = np.arange(most) * length // most
    pooled: np.ndarray = np.maximum.reduceat(table, starts, axis=-1)
    return pooled


def _marks(values: np.ndarray, marks: str) -> str:
    low, high = values.min(), values.max()
    share = (values - low) / (high - low) if high > low else np.zeros(values.shape)
    return "".join(marks[place] for place in np.rint(share * (len(marks) - 1)).astype(int))


def _figure(dataset: Dataset) -> dict[str, Any]:
    """The first example to train: lines where its steps have few numbers, else a picture."""
    inputs = _read(dataset, dataset.train.inputs.example(0))
    values = inputs if dataset.task.vocabulary is not None else _picture(dataset, inputs)
    table = np.asarray(values, dtype=np.float64).reshape(len(values), -1).T
    lines = [{"y": row.tolist(), "name": f"input {number}"} for number, row in enumerate(table)]
    picture = [{"type": "heatmap", "z": table.tolist(), "colorscale": "Greys"}]
    said = "<br>".join(
        html.escape(line) for line in _targets(dataset, dataset.train.targets.example(0))[:4]
    )
    return {
        "data": lines if len(table) <= FEW else picture,
        "layout": {
            "title": {"text": f"{dataset.name}, an example; targets: {said}"},
            "xaxis": {"title": {"text": "step"}},
        },
    }

"""A trained model as a folder, and the model read back from it."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from trainers.catalog import load_family
from trainers.data.dataset import Dataset
from trainers.export.card import Numbers, OnnxModels, card
from trainers.export.recipe import CONFIG_FILE, Recipe
from trainers.model import SequenceModel, build_model
from trainers.tasks import Task, task_from_json

WEIGHTS_FILE = "weights.safetensors"
METRICS_FILE = "metrics.json"
ENVIRONMENT_FILE = "environment.json"
PREPROCESSING_FILE = "preprocessing.json"
CARD_FILE = "README.md"
ONNX_FILE = "model.onnx"
STREAMING_FILE = "streaming.onnx"
FILES = (
    CONFIG_FILE,
    WEIGHTS_FILE,
    METRICS_FILE,
    ENVIRONMENT_FILE,
    PREPROCESSING_FILE,
    CARD_FILE,
    ONNX_FILE,
    STREAMING_FILE,
)


def export(
    folder: Path,
    *,
    recipe: Recipe,
    dataset: Dataset,
    weights: Mapping[str, Tensor],
    numbers: Numbers,
    environment: Mapping[str, Any],
    onnx: OnnxModels | None = None,
) -> None:
    """Write a trained model into `folder`, whole or not at all; an earlier export is replaced.

    Args:
        dataset: What it was trained on; only its task and its preprocessing are kept.

    Raises:
        FileExistsError: The folder holds something else than an export.
        OSError: It cannot be written.
    """
    check_folder(folder)
    folder = folder.resolve()
    draft = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}")
    try:
        draft.mkdir(parents=True)
        save_file(
            {name: value.contiguous() for name, value in weights.items()}, draft / WEIGHTS_FILE
        )
        for name, text in _texts(recipe, dataset, numbers, environment, onnx).items():
            (draft / name).write_text(text, encoding="utf-8")
        if onnx is not None:
            (draft / ONNX_FILE).write_bytes(onnx.whole)
            if onnx.streaming is not None:
                (draft / STREAMING_FILE).write_bytes(onnx.streaming)
        if folder.exists():
            shutil.rmtree(folder)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def check_folder(folder: Path) -> None:
    """Refuse a folder whose files an export must not replace.

    Raises:
        FileExistsError: It is a file, or holds something else than an export.
    """
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} must be a folder, got a file")
    others = (
        sorted({file.name for file in folder.iterdir()} - _files(folder)) if folder.exists() else []
    )
    if others:
        raise FileExistsError(
            f"{folder} must be empty or an earlier export, got other files there: {others[0]}"
        )


def _files(folder: Path) -> set[str]:
    """The names of all files of an earlier export; none where there is none."""
    if not (folder / WEIGHTS_FILE).exists():
        return set()
    try:
        source = Recipe.read(folder / CONFIG_FILE).source
    except (OSError, ValueError):
        return set()
    return {*FILES, source.file} if source else {*FILES}


def load(folder: str | Path, *, trust: bool = False) -> SequenceModel:
    """The exported model, on the CPU and ready to predict.

    Args:
        trust: Run the user's own class that comes with the export; needed for such a model only.

    Raises:
        FileNotFoundError: The folder holds no export.
        ValueError: The model needs code of the folder's and `trust` is not given, or the files do
            not belong together.
    """
    folder = Path(folder)
    if not (folder / CONFIG_FILE).exists():
        raise FileNotFoundError(f"{folder} holds no exported model: it has no {CONFIG_FILE}")
    recipe = Recipe.read(folder / CONFIG_FILE)
    if recipe.source and not trust:
        raise ValueError(
            f"{folder} must be trusted before its {recipe.source.file} is run: "
            f"read that file, then give trust=True, or --trust to a command"
        )
    family = load_family(recipe.family, recipe.source_text)
    task, _ = read_preprocessing(folder)
    model = build_model(family, recipe.config, task, seed=recipe.seed)
    try:
        model.load_state_dict(load_file(folder / WEIGHTS_FILE))
    except (RuntimeError, SafetensorError) as error:
        raise ValueError(f"{folder / WEIGHTS_FILE} does not fit its config: {error}") from None
    return model.eval()


def read_preprocessing(folder: Path) -> tuple[Task, dict[str, Any]]:
    """The task of an exported model, and what was done to the data that it was trained on.

    Raises:
        OSError: The file that says so cannot be read.
        ValueError: It is damaged.
    """
    path = folder / PREPROCESSING_FILE
    try:
        kept: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return task_from_json(kept["task"]), kept
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} must be as `export` wrote it, it is damaged: {error}") from None


def _texts(
    recipe: Recipe,
    dataset: Dataset,
    numbers: Numbers,
    environment: Mapping[str, Any],
    onnx: OnnxModels | None,
) -> dict[str, str]:
    """Every file of the folder that is text."""
    kept = {"task": dataset.task.to_json(), **dataset.preprocessing}
    source = {recipe.source.file: recipe.source.text} if recipe.source else {}
    return source | {
        CONFIG_FILE: recipe.to_toml(),
        METRICS_FILE: _json(asdict(numbers)),
        ENVIRONMENT_FILE: _json(environment),
        PREPROCESSING_FILE: _json(kept),
        CARD_FILE: card(recipe, numbers, environment, dataset.task, onnx),
    }


def _json(tree: Mapping[str, Any]) -> str:
    return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"

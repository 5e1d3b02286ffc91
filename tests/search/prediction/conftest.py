"""What the tests of `seqtune predict` share: small models, exported as a study does it."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.cli import main
from trainers.catalog import family_space, load_family
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset
from trainers.data_source import load_data
from trainers.export import export
from trainers.export.card import Numbers
from trainers.export.recipe import Recipe, Source
from trainers.training.evaluation import fitted_dataset
from trainers.training.loop import Training

OWN_MODEL = (Path(__file__).parents[3] / "examples" / "my_model.py").read_text("utf-8")
SMALL = {"hidden_size": 16, "num_layers": 1}
Answer = Callable[..., list[dict[str, str]]]


@dataclass(frozen=True)
class Exported:
    """A trained model, its data and its metrics on the test split."""

    folder: Path
    dataset: Dataset
    metrics: Mapping[str, float]

    def accuracy(self, rows: Sequence[Mapping[str, str]], labels: Sequence[str]) -> float:
        """Of printed classes."""
        return float(np.mean([row["predicted"] for row in rows] == np.array(labels)))


def trained(
    folder: Path,
    benchmark: Mapping[str, Any],
    *,
    own_model: bool = False,
    dataset: Dataset | None = None,
    epochs: int = 3,
) -> Exported:
    """A small GRU, or a class of one's own, trained and exported as a study does it."""
    source = Source("my_model.py", OWN_MODEL) if own_model else None
    name = "my_model.py:MyModel" if own_model else "gru"
    options = {key: value for key, value in benchmark.items() if key != "name"}
    dataset = dataset or load_data(benchmark["name"], options)
    settings = {"hidden_size": 16} if own_model else SMALL
    recipe = Recipe(
        benchmark=benchmark,
        config={"model": {"name": name, **settings}, "head": {}, "training": {}},
        epochs=epochs,
        source=source,
    )
    family = load_family(recipe.family, recipe.source_text)
    recipe = recipe.complete(family_space(family, dataset.task, len(dataset.train)))
    training = Training(family, recipe.config, DeviceData(dataset), seed=0, epochs=epochs)
    while training.epoch < epochs:
        training.run_epoch()
    metrics = training.evaluate("test").metrics
    weights = training.best_weights()
    export(
        folder,
        recipe=recipe,
        dataset=fitted_dataset(family, recipe.config, weights, dataset),
        weights=weights,
        numbers=Numbers(
            metric=training.metric,
            valid=training.best_value,
            valid_epoch=training.best_epoch,
            parameters=training.parameters,
            train_seconds=1.0,
            test=metrics,
            test_over_seeds=None,
        ),
        environment={},
    )
    return Exported(folder, dataset, metrics)


def own_data(task: str, *data: Path, **fields: Any) -> dict[str, Any]:
    return {"name": "own_data", "task": task, "data": [str(path) for path in data], **fields}


def predict(*words: object) -> int:
    with pytest.raises(SystemExit) as left:
        main(["predict", *(str(word) for word in words)])
    return int(left.value.code or 0)


@pytest.fixture(scope="session")
def train() -> Callable[..., Exported]:
    """`train(folder, benchmark)`: a small model, trained and exported."""
    return trained


@pytest.fixture(scope="session")
def own() -> Callable[..., dict[str, Any]]:
    """`own(task, *files, **fields)`: a user's own data, as a recipe has it."""
    return own_data


@pytest.fixture(name="predict")
def predict_fixture() -> Callable[..., int]:
    """`predict(*words)`: the exit code of the command."""
    return predict


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Answer:
    """Predict through the command line, and the rows of the CSV that it prints."""

    def answers(*words: object, form: str = "csv") -> list[dict[str, str]]:
        capsys.readouterr()
        code = predict(*words, "--format", form)
        told = capsys.readouterr()
        assert code == 0, told.err
        return list(csv.DictReader(io.StringIO(told.out)))

    return answers


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Predict what cannot be, and the one sentence that says why."""

    def why(*words: object) -> str:
        capsys.readouterr()
        assert predict(*words) == 2
        told = capsys.readouterr()
        assert not told.out
        assert told.err.count("\n") == 1
        return told.err

    return why

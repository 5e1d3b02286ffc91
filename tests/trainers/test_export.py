"""An exported folder holds all that is needed to use the model, and to train it again."""

import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spaces import default, narrow
from trainers.benchmarks import load_benchmark
from trainers.catalog import family_space, load_family
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset
from trainers.export import export, load
from trainers.export.card import Numbers, OverSeeds
from trainers.export.recipe import Recipe, Source
from trainers.prediction import predict
from trainers.training.loop import Training

OWN = (Path(__file__).parents[2] / "examples" / "my_model.py").read_text("utf-8")
ENVIRONMENT = {"seqtune": "0.1.0", "libraries": {"torch": torch.__version__}, "commit": None}


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_benchmark("digits_rows")


def recipe_of(name: str, source: Source | None = None, benchmark: str = "digits_rows") -> Recipe:
    return Recipe(
        benchmark={"name": benchmark},
        config={"model": {"name": name, "hidden_size": 16}, "head": {}, "training": {}},
        seed=3,
        epochs=2,
        threads=1,
        source=source,
    )


def exported(folder: Path, recipe: Recipe, dataset: Dataset) -> Training:
    """Train for two epochs and export."""
    family = load_family(recipe.family, recipe.source_text)
    recipe = recipe.complete(family_space(family, dataset.task, len(dataset.train)))
    training = Training(
        family, recipe.config, DeviceData(dataset), seed=recipe.seed, epochs=recipe.epochs
    )
    while training.epoch < recipe.epochs:
        training.run_epoch()
    numbers = Numbers(
        metric=training.metric,
        valid=training.best_value,
        valid_epoch=training.best_epoch,
        parameters=training.parameters,
        train_seconds=1.5,
        test=training.evaluate("test").metrics,
        test_over_seeds=OverSeeds(0.5, 0.25, 0.75, 5),
    )
    export(
        folder,
        recipe=recipe,
        dataset=dataset,
        weights=training.best_weights(),
        numbers=numbers,
        environment=ENVIRONMENT,
    )
    return training


@pytest.fixture(scope="module")
def best(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Training]:
    folder = tmp_path_factory.mktemp("study") / "best"
    return folder, exported(folder, recipe_of("lstm"), digits)


def test_the_card_says_how_to_ask_the_model(best: tuple[Path, Training]) -> None:
    told = (best[0] / "README.md").read_text("utf-8")
    assert "seqtune predict . FILE -o answers.csv\n" in told
    assert '`{"inputs": [...]}`' in told


def test_the_loaded_model_gives_the_trained_outputs(
    best: tuple[Path, Training], digits: Dataset
) -> None:
    folder, training = best
    batch = DeviceData(digits).test.batch(torch.arange(64))
    model = load(folder)
    assert not model.training
    training.model.load_state_dict(training.best_weights())
    with torch.no_grad():
        ours = model(batch.inputs, batch.mask)
        assert torch.equal(ours, training.model.eval()(batch.inputs, batch.mask))
    assert len(ours.unique()) > 64


def test_a_loaded_decoder_gives_the_trained_answers(tmp_path: Path) -> None:
    dataset = load_benchmark("digits_spelled")
    recipe = recipe_of("gru", benchmark="digits_spelled")
    training = exported(tmp_path / "best", recipe, dataset)
    batch = DeviceData(dataset).test.batch(torch.arange(40))
    training.model.load_state_dict(training.best_weights())
    expected = training.model.eval().decode(batch.inputs, batch.mask, beam_width=3)
    answers = load(tmp_path / "best").decode(batch.inputs, batch.mask, beam_width=3)
    assert answers == expected
    letters = dataset.preprocessing["target_vocabulary"]
    names = {"".join(letters[letter] for letter in answer) for answer in answers}
    assert len(names) > 1
    assert all(name.isalpha() for name in names)
    card = (tmp_path / "best" / "README.md").read_text("utf-8")
    assert "answers = model.decode(inputs, mask, beam_width=1)" in card
    assert "Validation and test decoded greedily." in card
    assert "outputs = model(" not in card


def test_a_detector_of_anomalies_gives_the_trained_forecasts(
    tmp_path: Path, load_once: Callable[[str], Dataset]
) -> None:
    whole, some = load_once("nab"), np.arange(4)
    dataset = replace(
        whole,
        train=whole.train.select(some),
        valid=whole.valid.select(some + 20),
        test=whole.test.select(some),
    )
    training = exported(tmp_path / "best", recipe_of("gru", benchmark="nab"), dataset)
    batch = DeviceData(dataset).test.batch(torch.from_numpy(some))
    training.model.load_state_dict(training.best_weights())
    with torch.no_grad():
        expected = training.model.eval()(batch.inputs, batch.mask)
        assert torch.equal(load(tmp_path / "best")(batch.inputs, batch.mask), expected)
    card = (tmp_path / "best" / "README.md").read_text("utf-8")
    assert "window_f1 on test, this model" in card
    assert "`thresholds` in `preprocessing.json`" in card
    (tmp_path / "any.jsonl").write_text('{"inputs": [1, 2, 3, 4, 9]}', "utf-8")
    with pytest.raises(ValueError, match="exported again: it was without its thresholds"):
        predict(tmp_path / "best", tmp_path / "any.jsonl")


def test_what_is_no_decoder_does_not_decode(best: tuple[Path, Training]) -> None:
    with pytest.raises(ValueError, match="only a model for sequences of their own length decodes"):
        load(best[0]).decode(torch.zeros(1, 8, 8), torch.ones(1, 8, dtype=torch.bool))


def test_the_folder_holds_what_the_card_lists(best: tuple[Path, Training]) -> None:
    folder, training = best
    names = {file.name for file in folder.iterdir()}
    assert names == {
        "README.md",
        "config.toml",
        "environment.json",
        "metrics.json",
        "preprocessing.json",
        "weights.safetensors",
    }
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    assert metrics["valid"] == training.best_value
    assert metrics["valid_epoch"] == training.best_epoch
    assert metrics["test"]["accuracy"] == training.evaluate("test").metrics["accuracy"]
    assert metrics["test_over_seeds"] == {"mean": 0.5, "low": 0.25, "high": 0.75, "seeds": 5}
    kept = json.loads((folder / "preprocessing.json").read_text("utf-8"))
    assert kept["task"]["name"] == "classification"
    assert kept["scaler"]
    card = (folder / "README.md").read_text("utf-8")
    for part in (*names - {"README.md"}, "# lstm on digits_rows", "0.5 (0.25 to 0.75)", "5 seeds"):
        assert part in card


def test_the_config_trains_the_same_model_again(
    best: tuple[Path, Training], digits: Dataset
) -> None:
    folder, training = best
    recipe = Recipe.read(folder / "config.toml")
    assert recipe == replace(
        recipe_of("lstm").complete(
            family_space(load_family("lstm"), digits.task, len(digits.train))
        ),
        metric=None,
    )
    again = Training(
        load_family(recipe.family),
        recipe.config,
        DeviceData(digits),
        seed=recipe.seed,
        epochs=recipe.epochs,
    )
    while again.epoch < recipe.epochs:
        again.run_epoch()
    assert again.best_value == training.best_value


def test_own_code_runs_only_where_it_is_trusted(digits: Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "best"
    source = Source("my_model.py", OWN)
    exported(folder, recipe_of("somewhere/my_model.py:MyModel", source), digits)
    assert (folder / "my_model.py").read_text("utf-8") == OWN
    with pytest.raises(ValueError, match=r"must be trusted before its my_model\.py is run"):
        load(folder)
    assert load(folder, trust=True).backbone.output_size == 16
    (folder / "my_model.py").write_text(OWN + "\n# changed\n", "utf-8")
    with pytest.raises(ValueError, match=r"my_model\.py must be the file the model was trained"):
        load(folder, trust=True)


def test_an_export_replaces_only_an_export(digits: Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter.tex").write_text("years of work", "utf-8")
    (folder / "config.toml").write_text("[thesis]", "utf-8")  # an export has one, too
    with pytest.raises(FileExistsError, match="must be empty or an earlier export"):
        exported(folder, recipe_of("gru"), digits)
    assert {file.name for file in folder.iterdir()} == {"chapter.tex", "config.toml"}
    (folder / "chapter.tex").unlink()
    with pytest.raises(FileExistsError, match=r"got other files there: config\.toml"):
        exported(folder, recipe_of("gru"), digits)
    (folder / "config.toml").unlink()
    exported(folder, recipe_of("gru"), digits)
    exported(folder, recipe_of("lstm"), digits)
    assert tomllib.loads((folder / "config.toml").read_text("utf-8"))["model"]["name"] == "lstm"
    assert [file.name for file in tmp_path.iterdir()] == ["thesis"]


def test_weights_of_another_model_are_refused(
    best: tuple[Path, Training], digits: Dataset, tmp_path: Path
) -> None:
    exported(tmp_path / "gru", recipe_of("gru"), digits)
    file = tmp_path / "gru" / "weights.safetensors"
    file.write_bytes((best[0] / "weights.safetensors").read_bytes())
    with pytest.raises(ValueError, match="does not fit its config"):
        load(tmp_path / "gru")
    file.write_bytes(b"not safetensors at all")
    with pytest.raises(ValueError, match="does not fit its config"):
        load(tmp_path / "gru")
    with pytest.raises(FileNotFoundError, match="holds no exported model"):
        load(tmp_path)


def test_complete_takes_what_is_given_and_defaults(digits: Dataset) -> None:
    space = family_space(load_family("gru"), digits.task, len(digits.train))
    config = recipe_of("gru").complete(space).config
    assert config["model"]["hidden_size"] == 16
    assert config == default(narrow(space, {"model": {"hidden_size": 16}}))
    wrong = replace(recipe_of("gru"), config={"model": {"name": "gru", "hiden_size": 16}})
    with pytest.raises(ValueError, match="did you mean 'hidden_size'"):
        wrong.complete(space)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("benchmark = ", "must be a TOML file"),
        ('benchmark = "adding"', "`model` in .* must be given"),
        ('model.name = "gru"', "`benchmark` in .* must be given"),
        ('benchmark = "adding"\nepoch = 3', "unknown key 'epoch'; did you mean 'epochs'"),
        ('benchmark = "adding"\nmodel.name = "gru"\nepochs = 0', "must be at least 1, got 0"),
        ('benchmark = "adding"\nmodel.name = "gru"\nseed = -1', "must be at least 0, got -1"),
        (
            'benchmark = "adding"\nmodel.name = "gru"\nseed = true',
            "must be a whole number, got True",
        ),
        ('benchmark = "adding"\nmodel = "gru"', "must be a table, got 'gru'"),
        ('benchmark = 7\nmodel.name = "gru"', "must be a name or a table, got 7"),
        ('benchmark = "adding"\nmodel.name = "gru"\nsource.file = "x.py"', "`file` and `sha256`"),
    ],
)
def test_a_wrong_recipe_is_told_in_one_sentence(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text, "utf-8")
    with pytest.raises(ValueError, match=message):
        Recipe.read(file)

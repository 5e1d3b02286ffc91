"""How words are spelt: what like words share, and what a model makes of it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from spaces import default
from trainers.benchmarks.vocabulary import Vocabulary
from trainers.catalog import family_space
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset
from trainers.export.onnx_export import to_onnx
from trainers.model import build_model
from trainers.models import MODELS
from trainers.own_data import OwnData, load_own_data
from trainers.own_data.examples import encoded
from trainers.size import count_parameters, latency_ms
from trainers.spelling import FEATURES, ROWS, SpeltEmbedding, shape, spelling, spelt
from trainers.tasks import Classification, Tagging
from trainers.training.loop import Training

STEMS = "blar drin frop glim klat morn plen quib snar tvel wost zurm"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("Paris", "Xx"),
        ("B52", "X0"),
        ("e-mail", "x-x"),
        ("1,000", "0,0"),
        ("!!", "!"),
        ("NATO", "X"),
    ],
)
def test_the_shape_of_a_word(word: str, expected: str) -> None:
    assert shape(word) == expected


def test_like_words_share_what_they_have_in_common() -> None:
    walking, talking = spelling("walking"), spelling("talking")
    assert len(walking) == FEATURES
    assert all(0 <= number < ROWS for number in walking)
    same = [one == other for one, other in zip(walking, talking, strict=True)]
    assert same == [False] * 3 + [True] * 5  # other beginnings; the same ends and shape
    assert spelling("Walking")[:-1] == walking[:-1]  # case is in the shape alone
    assert spelling("é")[0] == spelling("É")[0]


def test_the_numbers_never_change() -> None:
    """They are those of models that were exported long ago."""
    assert spelling("Paris") == (3702, 3066, 244, 3406, 1988, 1679, 3791, 387)


def test_a_word_and_its_spelling_are_one_row() -> None:
    known = Vocabulary.build([["a", "a"]])
    rows = spelt(known.encode(["a", "Zoo"]), ["a", "Zoo"])
    assert rows.dtype == np.int32
    assert rows.tolist() == [[2, *spelling("a")], [1, *spelling("Zoo")]]
    (example,) = [encoded([["a", "Zoo"]], known, with_spelling=True).example(0)]
    assert example.tolist() == rows.tolist()


def test_vectors_are_sums_for_one_model_and_for_many() -> None:
    models = [SpeltEmbedding(5, 7) for _ in range(3)]
    inputs = torch.randint(5, (2, 4, 1 + FEATURES))
    model = models[0]
    expected = model.words.weight[inputs[..., 0]]
    for place in range(FEATURES):
        expected = expected + model.spelling.weight[inputs[..., 1 + place]]
    torch.testing.assert_close(model(inputs), expected)
    weights, _ = torch.func.stack_module_state(models)  # type: ignore[arg-type]
    together = torch.func.vmap(lambda state: torch.func.functional_call(model, state, (inputs,)))(
        weights
    )
    torch.testing.assert_close(together, torch.stack([each(inputs) for each in models]))


def test_only_words_are_spelt() -> None:
    with pytest.raises(ValueError, match="set a `vocabulary`"):
        Classification(classes=2, reads_spelling=True)


def invented(folder: Path) -> Dataset:
    """Words whose end is their tag; those of valid and test are nowhere in train."""
    ends = {"ed": "VERB", "ly": "ADV", "ness": "NOUN"}
    stems = [f"{stem}{vowel}" for stem in STEMS.split() for vowel in "aeiou"]

    def write(name: str, part: list[str]) -> str:
        rows = [f"{stem}{end}\t{tag}\n" for stem in part for end, tag in ends.items()]
        order = np.random.default_rng(len(part)).permutation(len(rows))
        lines = [rows[row] + "\n" * (place % 4 == 3) for place, row in enumerate(order)]
        (folder / name).write_text("".join(lines))
        return str(folder / name)

    files = {"data": stems[:36], "valid": stems[36:48], "test": stems[48:]}
    paths = {name: (write(f"{name}.conll", part),) for name, part in files.items()}
    return load_own_data(OwnData(task="tagging", **paths))


def test_unknown_words_are_tagged_by_how_they_end(tmp_path: Path) -> None:
    dataset = invented(tmp_path)
    assert dataset.task == Tagging(vocabulary=2, reads_spelling=True, classes=3)
    assert set(dataset.train.inputs.values[:, 0].tolist()) == {0}  # all words are unknown
    config = default(family_space(MODELS["gru"], dataset.task, len(dataset.train)))
    config["training"]["optimizer"]["learning_rate"] = 0.01
    training = Training(MODELS["gru"], config, DeviceData(dataset), seed=0, epochs=12)
    for _ in range(12):
        training.run_epoch()
    assert training.evaluate("test").metrics["accuracy"] > 0.9  # a third by chance


def test_such_models_have_a_size_and_a_latency() -> None:
    task = Tagging(vocabulary=50, reads_spelling=True, classes=3, causal=True)
    config = default(family_space(MODELS["gru"], task, 10))
    model = build_model(MODELS["gru"], config, task, seed=0)
    assert count_parameters(MODELS["gru"], config, task) == sum(
        p.numel() for p in model.parameters()
    )
    assert latency_ms(MODELS["gru"], config, task) > 0
    inputs = torch.randint(50, (1, 6, 1 + FEATURES))
    model.eval()
    whole = model(inputs, torch.ones(1, 6, dtype=torch.bool))
    state, told = model.initial_state(1), []
    for step in range(6):
        outputs, state = model.advance(inputs[:, step : step + 1], state)
        told.append(outputs)
    torch.testing.assert_close(torch.cat(told, 1), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_such_models_leave_as_onnx(tmp_path: Path) -> None:
    dataset = invented(tmp_path)
    config = default(family_space(MODELS["gru"], dataset.task, len(dataset.train)))
    model = build_model(MODELS["gru"], config, dataset.task, seed=0)
    assert to_onnx(model, DeviceData(dataset).valid).difference < 1e-4

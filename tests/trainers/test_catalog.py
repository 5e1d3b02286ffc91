import traceback
from pathlib import Path
from random import Random

import pytest
import torch

from spaces import contains, default, narrow, sample
from trainers.catalog import family_name, family_source, family_space, load_family
from trainers.model import build_model
from trainers.models import MODELS
from trainers.tasks import Classification, MultilabelFrames

MODEL = '''
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spaces import Int, SearchSpace
from trainers.model import Backbone


@dataclass
class Plan:
    size: "int"


class Sums(Backbone):
    """A running sum."""

    reference = "none"

    @classmethod
    def space(cls, causal: bool) -> SearchSpace:
        return SearchSpace({"hidden_size": Int(2, 8)})

    def __init__(self, input_size: int, *, causal: bool, hidden_size: int) -> None:
        super().__init__()
        self.output_size = Plan(hidden_size).size
        self.read = nn.Linear(input_size, hidden_size)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        if x.shape[1] > 100:
            raise RuntimeError("too long for me")
        return self.read(x).cumsum(1) * mask.unsqueeze(2)
'''
TASK = Classification(classes=2, input_size=3)


@pytest.mark.parametrize("name", MODELS)
def test_a_built_in_family_is_found_by_its_name(name: str) -> None:
    assert load_family(name) is MODELS[name]
    assert family_name(MODELS[name]) == name
    assert family_source(name) is None


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_the_space_is_a_whole_configuration(name: str, causal: bool) -> None:
    task = MultilabelFrames(labels=4, input_size=4, causal=causal)
    space = family_space(MODELS[name], task, 1000)
    rng = Random(0)
    for config in [default(space), *(sample(space, rng) for _ in range(5))]:
        assert set(config) == {"model", "head", "training"}
        assert config["model"]["name"] == name
        assert contains(narrow(space, {"model": {"name": name}}), config)
    model = build_model(MODELS[name], default(space), task, seed=0)
    assert model(torch.zeros(1, 5, 4), torch.ones(1, 5, dtype=torch.bool)).shape == (1, 5, 4)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a family in a file of its own, as seen from the working directory."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "my models"
    folder.mkdir()
    (folder / "sums.py").write_text(MODEL)
    return "my models/sums.py:Sums"


def test_a_family_of_ones_own_is_made_from_its_file(own: str) -> None:
    family = load_family(own)
    assert family_source(own) == MODEL
    assert family_name(family) == own
    config = default(family_space(family, TASK, 1000))
    assert config["model"] == {"name": own, "hidden_size": 5}
    model = build_model(family, config, TASK, seed=0)
    assert model(torch.zeros(1, 4, 3), torch.ones(1, 4, dtype=torch.bool)).shape == (1, 2)


def test_a_worker_has_the_text_and_not_the_file() -> None:
    family = load_family("not_here.py:Sums", MODEL)
    assert family_name(family) == "not_here.py:Sums"
    with pytest.raises(RuntimeError, match="too long") as error:
        family(3, causal=True, hidden_size=4)(torch.zeros(1, 101, 3), torch.ones(1, 101) > 0)
    shown = "".join(traceback.format_exception(error.value))
    assert 'File "not_here.py", line' in shown
    assert 'raise RuntimeError("too long for me")' in shown


def test_the_same_text_is_run_once_and_other_text_anew() -> None:
    family = load_family("a.py:Sums", MODEL)
    assert load_family("a.py:Sums", MODEL) is family
    assert load_family("a.py:Sums", MODEL + "\n") is not family
    assert family_name(load_family("b.py:Sums", MODEL)) == "b.py:Sums"


def test_text_that_failed_can_be_tried_again(tmp_path: Path) -> None:
    text = f"open({str(tmp_path / 'later')!r}).close()\n{MODEL}"
    with pytest.raises(ValueError, match="FileNotFoundError"):
        load_family("a.py:Sums", text)
    (tmp_path / "later").touch()
    assert load_family("a.py:Sums", text).__name__ == "Sums"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lsmt", "there is no family 'lsmt'; did you mean 'lstm'?"),
        ("sums.py", "a family in a file is named with its class, sums.py:Class; got 'sums.py'"),
        ("a.py:Sum", "class 'Sum' in a.py is not there; did you mean 'Sums'?"),
        ("a.py:Plan", "class 'Plan' in a.py is not a Backbone; it has: Sums"),
        ("a.py:torch", "class 'torch' in a.py is not a Backbone"),
        ("a.py:", "class '' in a.py is not there"),
    ],
)
def test_a_wrong_name_is_refused_with_a_hint(name: str, words: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 # the words are compared below
        load_family(name, MODEL)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = (", r"a\.py cannot be run: SyntaxError: .*line 1"),
        ("import no_such_module", "a.py cannot be run: ModuleNotFoundError: No module named"),
        ("1 / 0", "a.py cannot be run: ZeroDivisionError"),
        (
            "from trainers.model import Backbone\nclass Sums(Backbone): pass",
            "class 'Sums' in a.py must define forward, space",
        ),
    ],
)
def test_a_broken_file_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        load_family("a.py:Sums", text)


def test_a_missing_file_is_an_error_of_files() -> None:
    for find in (load_family, family_source):
        with pytest.raises(FileNotFoundError, match=r"nowhere\.py"):
            find("nowhere.py:Sums")

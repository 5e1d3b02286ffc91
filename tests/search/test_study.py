"""The study file: round trips, and one sentence for every fault."""

import copy
import datetime
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from search.complaint import StudyError
from search.study import Study
from search.study_file import override

DESIGN = """
name = "jsb"
benchmark = "jsb_chorales"
families = ["rnn", "lstm", "gru", "tcn", "transformer", "my_model.py:MinimalGRU"]
seed = 0
[budget]
trials_per_family = 24
epochs = 81
[search]
sampler = "tpe"
scheduler = "asha"
match_parameters = 300_000
[confirm]
top_per_family = 1
seeds = 5
[resources]
cpus_per_trial = 1
gpus_per_trial = "auto"
[space.lstm]
hidden_size = { low = 64, high = 512, log = true }
dropout = 0.2
"""


def minimal(**changes: Any) -> dict[str, Any]:
    study = {
        "name": "small",
        "benchmark": "digits_rows",
        "families": ["rnn", "lstm"],
        "budget": {"trials_per_family": 2},
    }
    return study | changes


def faults(mapping: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(StudyError) as caught:
        Study.from_mapping(mapping)
    return caught.value.sentences


def write(folder: Path, text: str) -> Path:
    path = folder / "study.toml"
    path.write_text(text)
    return path


def test_the_documented_file_is_read(tmp_path: Path) -> None:
    study = Study.load(write(tmp_path, DESIGN))
    assert study.families[-1] == "my_model.py:MinimalGRU"
    assert study.budget.trials_per_family == 24
    assert study.budget.seconds is None
    assert study.budget.epochs == 81
    assert study.resources.gpus_per_trial == "auto"
    assert study.space["lstm"]["hidden_size"] == {"low": 64, "high": 512, "log": True}
    assert study.benchmark_name == "jsb_chorales"
    assert study.benchmark_options == {}


def test_a_benchmark_may_have_options() -> None:
    study = Study.from_mapping(minimal(benchmark={"name": "adding", "length": 400}))
    assert study.benchmark_name == "adding"
    assert study.benchmark_options == {"length": 400}
    assert Study.from_mapping(tomllib.loads(study.to_toml())) == study


def test_a_study_is_frozen() -> None:
    study = Study.from_mapping(minimal())
    with pytest.raises(ValidationError):
        study.seed = 3


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
leaves = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
)
trees = st.dictionaries(
    texts,
    st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=3,
)


@given(
    name=st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,20}", fullmatch=True),
    families=st.lists(st.sampled_from(["rnn", "tcn", "a b.py:C"]), min_size=1, unique=True),
    seconds=st.none() | st.floats(1e-3, 1e9),
    trials=st.integers(1, 10**6),
    gpus=st.just("auto") | st.floats(0, 8) | st.integers(0, 8),
    space=trees,
    options=trees,
)
def test_toml_round_trip(
    name: str,
    families: list[str],
    seconds: float | None,
    trials: int,
    gpus: float | str,
    space: dict[str, Any],
    options: dict[str, Any],
) -> None:
    study = Study.from_mapping(
        {
            "name": name,
            "benchmark": options | {"name": "adding"},
            "families": families,
            "budget": {"seconds": seconds, "trials_per_family": trials},
            "resources": {"gpus_per_trial": gpus},
            "space": space,
        }
    )
    assert Study.from_mapping(tomllib.loads(study.to_toml())) == study


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "../up"}, "`name` must be letters, digits, `.`, `_` or `-` (it names a folder)"),
        ({"name": ""}, "`name` must be letters"),
        ({"name": ".hidden"}, "`name` must be letters"),
        ({"name": "ends."}, "`name` must be letters"),
        ({"name": "x" * 101}, "`name` must be letters"),
        ({"name": 3}, "`name` must be text, got 3"),
        ({"families": []}, "`families` must name at least one family, got []"),
        ({"families": ["rnn", "rnn"]}, "`families` must name each family once"),
        ({"families": "rnn"}, "`families` must be a list, got 'rnn'"),
        ({"families": ["mine.py"]}, "`families` must hold names such as 'lstm'"),
        ({"seed": -1}, "`seed` must be at least 0, got -1"),
        ({"seed": True}, "`seed` must be a whole number, got True"),
        ({"budget": {}}, "`budget` must set at least one of `trials_per_family`, `seconds`"),
        ({"budget": {"trials_per_family": 0}}, "`budget.trials_per_family` must be at least 1"),
        ({"budget": {"seconds": -1.0}}, "`budget.seconds` must be greater than 0, got -1.0"),
        ({"budget": {"device_seconds": 0}}, "`budget.device_seconds` must be greater than 0"),
        ({"budget": {"seconds": float("inf")}}, "`budget.seconds` must be a finite number"),
        ({"budget": {"seconds": 9, "epochs": 0}}, "`budget.epochs` must be at least 1, got 0"),
        ({"budget": 3}, "`budget` must be a table, got 3"),
        ({"search": {"sampler": 1}}, "`search.sampler` must be text, got 1"),
        ({"confirm": {"seeds": 0}}, "`confirm.seeds` must be at least 1, got 0"),
        ({"resources": {"cpus_per_trial": 0}}, "`resources.cpus_per_trial` must be at least 1"),
        ({"resources": {"gpus_per_trial": "all"}}, '`resources.gpus_per_trial` must be "auto" or'),
        ({"resources": {"gpus_per_trial": -1}}, '`resources.gpus_per_trial` must be "auto" or'),
        ({"benchmark": {"length": 3}}, "`benchmark` must be a name, or a table with a `name`"),
        ({"benchmark": ""}, "`benchmark` must be a name, or a table with a `name`"),
        ({"space": {"rnn": {"dropout": float("nan")}}}, "`space` must hold finite numbers"),
        ({"space": {"rnn": None}}, "`space` must hold text, numbers, true or false, lists"),
        ({"space": {"rnn": datetime.date(2020, 1, 1)}}, "`space` must hold text, numbers"),
        ({"space": 3}, "`space` must be a table, got 3"),
    ],
)
def test_each_fault_is_one_sentence(changes: dict[str, Any], sentence: str) -> None:
    (found,) = faults(minimal(**changes))
    assert found.startswith(sentence)
    assert ", got " in found
    assert "\n" not in found


def test_all_faults_of_a_file_are_listed() -> None:
    mapping = minimal(budgt=1, budget={"epochs": 0, "seconds": -2}, seed="x")
    found = faults(mapping)
    assert [sentence.split("`")[1] for sentence in found] == [
        "seed",
        "budget.seconds",
        "budget.epochs",
        "budgt",
    ]
    with pytest.raises(StudyError) as caught:
        Study.from_mapping(mapping)
    assert str(caught.value).splitlines() == list(found)


def test_what_is_missing_is_explained() -> None:
    found = faults({})
    assert [sentence.split("`")[1] for sentence in found] == [
        "name",
        "benchmark",
        "families",
        "budget",
    ]
    assert found[0] == "`name` must be given: the study's name, and that of its folder of results"


def keys(tree: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for key, value in tree.items():
        found.append((*path, key))
        if isinstance(value, dict) and key != "space":
            found += keys(value, (*path, key))
    return found


FULL = Study.from_mapping(minimal()).model_dump(mode="json")


@given(
    path=st.sampled_from([path for path in keys(FULL) if len(path[-1]) > 3]),
    data=st.data(),
)
def test_any_misspelt_key_is_named_with_the_right_one(
    path: tuple[str, ...], data: st.DataObject
) -> None:
    key = path[-1]
    where = data.draw(st.integers(0, len(key) - 2))
    swapped = key[:where] + key[where + 1] + key[where] + key[where + 2 :]
    mapping = copy.deepcopy(FULL)
    table = mapping
    for part in path[:-1]:
        table = table[part]
    if swapped in table:
        return
    table[swapped] = table.pop(key)
    wrong = ".".join((*path[:-1], swapped))
    start = f"`{wrong}` is not a known key; did you mean '"  # swapped letters may be nearer another
    assert any(sentence.startswith(start) for sentence in faults(mapping))


def test_an_unknown_key_far_from_any_lists_those_known() -> None:
    (found,) = faults(minimal(confirm={"xyzzy": 1}))
    assert (
        found == "`confirm.xyzzy` is not a known key; it has: racing, refit, seeds, top_per_family"
    )


def test_overrides_are_toml_values_and_bare_words(tmp_path: Path) -> None:
    study = Study.load(
        write(tmp_path, DESIGN),
        [
            "budget.epochs=5",
            "search.sampler=random",
            'families=["gru"]',
            "space.gru.dropout={low=0.1,high=0.2}",
            'space."my_model.py:MinimalGRU".hidden_size=8',
            "budget.seconds=1e3",
            "resources.gpus_per_trial=0.5",
            "name=2020-01-01",
        ],
    )
    assert study.budget.epochs == 5
    assert study.search.sampler == "random"
    assert study.families == ("gru",)
    assert study.space["gru"] == {"dropout": {"low": 0.1, "high": 0.2}}
    assert study.space["my_model.py:MinimalGRU"] == {"hidden_size": 8}
    assert study.space["lstm"]["dropout"] == 0.2
    assert study.budget.seconds == 1000
    assert study.resources.gpus_per_trial == 0.5
    assert study.name == "2020-01-01"


def test_overrides_leave_the_mapping_alone() -> None:
    mapping = minimal()
    changed = override(mapping, ["budget.epochs=5"])
    assert changed["budget"] == {"trials_per_family": 2, "epochs": 5}
    assert mapping == minimal()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("budget.epochs", "an override must be of the form key=value, got 'budget.epochs'"),
        ("=5", "an override needs a key such as budget.epochs, got ''"),
        ("a b=5", "an override needs a key such as budget.epochs, got 'a b'"),
        ("name.x=5", "`name.x` cannot be set: `name` is not a table"),
        ("budgt.epochs=5", "`budgt` is not a known key; did you mean 'budget'?"),
        ("seed=x", "`seed` must be a whole number, got 'x'"),
    ],
)
def test_wrong_overrides(tmp_path: Path, change: str, sentence: str) -> None:
    with pytest.raises(StudyError) as caught:
        Study.load(write(tmp_path, DESIGN), [change])
    assert caught.value.sentences == (sentence,)


def test_what_is_no_toml_names_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, 'name = "a\n')
    with pytest.raises(StudyError, match=r"study\.toml must be a TOML file: .*line 1"):
        Study.load(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(StudyError, match="must be a TOML file"):
        Study.load(path)
    with pytest.raises(FileNotFoundError, match="there is no study file"):
        Study.load(tmp_path / "none.toml")


def test_every_key_is_documented_in_the_schema() -> None:
    schema = Study.model_json_schema()
    tables = [schema, *schema["$defs"].values()]
    for table in tables:
        for key, field in table["properties"].items():
            assert field.get("description"), key

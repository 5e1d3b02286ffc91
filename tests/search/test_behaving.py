"""The heat maps of a report, from what was kept of the winner."""

import json
from pathlib import Path

import pytest

from search.report.behaving import behaviour_section
from search.report.report import report_html
from search.store.behaviour import BEHAVIOUR, read_behaviour, write_behaviour
from search.store.store import Store
from search.study import Study

TREE = {
    "example": 4,
    "steps": 6,
    "hidden": [[0.5, -1.0, 0.25], [0.0, 0.125, 2.0]],
    "gradient": [0.25, 1.0, 0.5],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    settings = {"name": "mine", "benchmark": "parity", "families": ["gru"]}
    with Store.create(
        tmp_path / "mine", Study.from_mapping(settings | {"budget": {"seconds": 9}})
    ) as store:
        return store.directory


def test_two_heat_maps_with_words_for_who_cannot_see_them(folder: Path) -> None:
    write_behaviour(folder, "my<b>.py:GRU", TREE)
    section = behaviour_section(read_behaviour(folder))
    hidden, gradient = section.charts
    assert (hidden.figure["data"][0]["z"], gradient.figure["data"][0]["z"]) == (
        TREE["hidden"],
        [TREE["gradient"]],
    )
    # six steps in three parts of two: their middles
    assert hidden.figure["data"][0]["x"] == [1.5, 3.5, 5.5]
    assert (hidden.figure["data"][0]["zmin"], hidden.figure["data"][0]["zmax"]) == (-2.0, 2.0)
    assert "from -1 to 2" in hidden.words
    assert "depends most on step 4; 2 of 3 parts" in gradient.words
    page = report_html(folder)
    assert 'id="behaviour"' in page
    assert "my&lt;b&gt;.py:GRU" in page
    assert "my<b>.py" not in page


@pytest.mark.parametrize(
    "spoiled",
    [
        {"gradient": [0.25]},
        {"hidden": []},
        {"gradient": [], "hidden": [[]]},
        {"gradient": [0.25, "1", 0.5]},
        {"hidden": 7},
        {"surprise": 1},
    ],
)
def test_what_is_not_whole_is_left_out(folder: Path, spoiled: dict[str, object]) -> None:
    write_behaviour(folder, "gru", {**TREE, **spoiled})
    assert read_behaviour(folder) is None
    assert 'id="behaviour"' not in report_html(folder)


def test_without_a_whole_file_there_is_no_section(folder: Path) -> None:
    assert behaviour_section(read_behaviour(folder)) is None
    (folder / BEHAVIOUR).write_text(json.dumps(TREE)[:-5], "utf-8")
    assert read_behaviour(folder) is None

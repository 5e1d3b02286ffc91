"""The speed scripts and their document belong together; what they measure is not asked here."""

import ast
from pathlib import Path

import pytest

from perf.__main__ import SCRIPTS
from perf.report import DOCUMENT, filled, judged, ratio, spread, table, with_section

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_script_renews_the_section_of_its_name(name: str) -> None:
    tree = ast.parse((ROOT / "perf" / f"{name}.py").read_text("utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    published = [
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "publish"
    ]
    assert published == [name]
    assert f"python -m perf.{name}" in ast.get_docstring(tree)
    document = DOCUMENT.read_text("utf-8")
    assert document.count(f"<!-- {name} -->") == document.count(f"<!-- end of {name} -->") == 1


def test_a_section_is_renewed_and_the_rest_stays() -> None:
    document = (
        "# Title\n\n<!-- a -->\nold\n<!-- end of a -->\n\nbetween\n\n"
        "<!-- b -->\n<!-- end of b -->\n"
    )
    renewed = with_section(document, "b", r"new \1 $")
    renewed = with_section(renewed, "a", "newer")
    assert renewed == (
        "# Title\n\n<!-- a -->\nnewer\n<!-- end of a -->\n\nbetween\n\n"
        "<!-- b -->\nnew \\1 $\n<!-- end of b -->\n"
    )


def test_a_section_that_is_new_comes_last() -> None:
    assert (
        with_section("# Title\n", "a", "new") == "# Title\n\n<!-- a -->\nnew\n<!-- end of a -->\n"
    )
    assert with_section("", "a", "new") == "<!-- a -->\nnew\n<!-- end of a -->\n"


def test_figures_as_they_are_shown() -> None:
    assert spread([3.0, 1.0, 2.0]) == "2.00 s (1.00 to 3.00)"
    assert spread([1234.5], "", 0) == "1,234"
    assert ratio([2.0, 9.0, 8.0], [1.0, 3.0, 2.0]) == 3.0
    assert table(["a", "b"], [[1, "x"]]) == "| a | b |\n| --- | --- |\n| 1 | x |"
    assert judged("so fast", met=False) == "- so fast: **missed**"
    assert filled(f"{'word ' * 30}\n\n| {'long ' * 40}|").count("\n") == 3

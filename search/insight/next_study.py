"""What to run next: the study file that answers what a study left open."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from search.insight.criticism import Search, Weakness, weaknesses
from search.results.statistics import BEATS_SEEDS
from search.results.verdict import Verdict
from search.store.store import read_study
from search.study import Study

MORE = 2  # times as much of whatever there was too little of

Tree = dict[str, Any]


def next_study(directory: str | Path) -> str:
    """A study file for what is worth running after the study in `directory`, with the reasons.

    Raises:
        FileNotFoundError: There is no study.
        ValueError: Its files cannot be read by this version.
    """
    study, search = read_study(directory), Search.of(directory)
    tree = study.model_dump(mode="json", exclude_none=True)
    tree["name"], tree["seed"] = f"{study.name[:90]}-next", study.seed + 1
    reasons = [f"After {study.name}, with another seed: a search is one draw."]
    verdict = Verdict.over(search.history.summary, search.places)
    reasons += _families(tree, verdict) + _seeds(tree, verdict)
    found = weaknesses(search)
    for kind, change in CHANGES.items():
        of_kind = [weakness for weakness in found if weakness.kind == kind]
        if of_kind:
            reasons += change(tree, of_kind)
    checked = Study.from_mapping(tree)
    return "".join(f"# {reason}\n" for reason in reasons) + "\n" + checked.to_toml()


def _families(tree: Tree, verdict: Verdict) -> list[str]:
    """Without those that the leader beats, as long as there is somebody left to compare."""
    beaten = {pair.worse for pair in verdict.pairs if pair.beats and pair.better == verdict.leader}
    left = [family for family in tree["families"] if family not in beaten]
    if not beaten or len(left) < 2:
        return []
    tree["families"] = left
    for family in beaten & tree["space"].keys():
        del tree["space"][family]
    return [f"Without {', '.join(sorted(beaten))}, beaten by {verdict.leader}."]


def _seeds(tree: Tree, verdict: Verdict) -> list[str]:
    """Enough seeds for a claim, and more of them where the leader could not be told apart."""
    confirm = tree["confirm"]
    if confirm["seeds"] < BEATS_SEEDS:
        confirm["seeds"] = BEATS_SEEDS
        return [f"{BEATS_SEEDS} seeds, as fewer allow no claim."]
    tied = [
        pair
        for pair in verdict.pairs
        if verdict.leader in {pair.better, pair.worse} and not pair.beats
    ]
    if not tied:
        return []
    confirm["seeds"] *= MORE
    others = {family for pair in tied for family in (pair.better, pair.worse)} - {verdict.leader}
    return [f"More seeds: {verdict.leader} and {', '.join(sorted(others))} were not told apart."]


def _epochs(tree: Tree, found: list[Weakness]) -> list[str]:
    tree["budget"]["epochs"] *= MORE
    return [f"More epochs: {_who(found)} still improving when training ended."]


def _trials(tree: Tree, found: list[Weakness]) -> list[str]:
    for unit in ("trials_per_family", "seconds", "device_seconds"):
        if unit in tree["budget"]:
            tree["budget"][unit] *= MORE
    return [f"More trials: {_who(found)} still finding better settings."]


def _rungs(tree: Tree, found: list[Weakness]) -> list[str]:
    search = tree["search"]
    later = search["first_rung_epochs"] * search["reduction_factor"]
    search["first_rung_epochs"] = min(later, tree["budget"]["epochs"])
    return [f"A later first rung: it foretold little of {_list(found)}."]


def _edges(tree: Tree, found: list[Weakness]) -> list[str]:
    """Give back what the study file had taken from a range; a family's own range is its end."""
    widened = []
    for weakness in found:
        name = (weakness.setting or "").rpartition("/")[2]
        for table in (tree["space"].get(weakness.family), tree["space"].get("training")):
            if isinstance(table, dict) and isinstance(table.get(name), dict):
                del table[name]
                widened.append(f"{weakness.family}: {name}")
    return [f"The whole range again of {'; '.join(widened)}."] if widened else []


def _who(found: list[Weakness]) -> str:
    return f"{_list(found)} {'was' if len(found) == 1 else 'were'}"


def _list(found: list[Weakness]) -> str:
    return ", ".join(weakness.family or "all" for weakness in found)


CHANGES: Mapping[str, Callable[[Tree, list[Weakness]], list[str]]] = {
    "epochs": _epochs,
    "trials": _trials,
    "rungs": _rungs,
    "edge": _edges,
}

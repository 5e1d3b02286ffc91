"""What a study has spent against what was planned before it began."""

import json
from pathlib import Path
from typing import Any

from search.results.cells import seconds
from search.results.summary import StudySummary

SUFFIX = ".plan.json"


def plan_path(directory: Path) -> Path:
    """Where the plan of a study lies: beside its folder, which is made when the study is run."""
    return directory.with_name(f"{directory.name}{SUFFIX}")


def against_plan(directory: Path, summary: StudySummary) -> list[str]:
    """A sentence for each family, and one for all; nothing where there is no plan.

    Only families that were planned are told, as the plan may be of an earlier state of the study.
    """
    try:
        planned = json.loads(plan_path(directory).read_text("utf-8"))["families"]
        return _sentences(planned, summary)
    except (OSError, ValueError, KeyError, TypeError):  # none, or a damaged one
        return []


def _sentences(planned: dict[str, Any], summary: StudySummary) -> list[str]:
    told, all_spent, all_planned = [], 0.0, 0.0
    for family in summary.families:
        if family not in planned:
            continue
        trials = [trial for trial in summary.trials.values() if trial.family == family]
        searched = sum(t.finalist_of is None and t.copied_from is None for t in trials)
        spent = sum(trial.train_seconds for trial in trials)
        plan = planned[family]
        most = plan["search_seconds"] + plan["confirm_seconds"]
        told.append(
            f"Plan for {family}: {searched} of {plan['trials']} trials, "
            f"{seconds(spent)} of {seconds(most)} of training{_share(spent, most)}"
        )
        all_spent, all_planned = all_spent + spent, all_planned + most
    if len(told) > 1:
        all_ = f"{seconds(all_spent)} of {seconds(all_planned)}"
        told.append(f"Plan for all: {all_} of training{_share(all_spent, all_planned)}")
    return told


def _share(spent: float, planned: float) -> str:
    return f" ({spent / planned:.0%})" if planned else ""

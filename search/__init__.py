"""Which configurations to try, and what came out: `from search import Study, run_study`.

The names are resolved when they are asked for, so that reading results loads neither torch nor ray.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.results.leaderboard import Leaderboard
    from search.runner.runner import run_study
    from search.study import Study

__all__ = ["Leaderboard", "Study", "run_study"]

HOMES = {
    "Leaderboard": "search.results.leaderboard",
    "Study": "search.study",
    "run_study": "search.runner.runner",
}


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)

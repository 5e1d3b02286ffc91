"""That the four packages are ours: their names are general, and others have packages so named."""

from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("cluster", "search", "spaces", "trainers")


def check_packages() -> None:
    """See to it that this process imports all our packages from one place.

    Raises:
        ValueError: One of them comes from elsewhere.
    """
    for package in PACKAGES:
        spec = find_spec(package)
        origin = spec.origin if spec else None
        if origin is None or Path(origin).resolve().parent.parent != ROOT:
            raise ValueError(
                f"the package {package!r} must be seqtune's own in {ROOT}, got {origin}: "
                f"install seqtune into an environment of its own"
            )

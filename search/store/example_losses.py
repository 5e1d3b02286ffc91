"""What a finalist loses on every single test example, kept beside its checkpoint."""

from pathlib import Path

import numpy as np

from search.store.copies import present
from search.store.drafts import draft_of

DTYPE = np.float32  # a test split of a million examples takes 4 MB


def losses_path(checkpoint: Path) -> Path:
    """Where the test losses of a checkpoint's trial lie."""
    return checkpoint.with_name(f"{checkpoint.name}.test.npy")


def write_losses(checkpoint: Path, losses: np.ndarray) -> None:
    """Write (examples,) losses beside a checkpoint, in full or not at all.

    Raises:
        OSError: They cannot be written.
    """
    path = losses_path(checkpoint)
    path.parent.mkdir(parents=True, exist_ok=True)
    with draft_of(path) as draft, draft.open("wb") as file:
        np.save(file, losses.astype(DTYPE), allow_pickle=False)


def read_losses(checkpoint: Path, mean: float) -> np.ndarray | None:
    """The (examples,) losses beside a checkpoint; None without them, or where they are of no use.

    Args:
        mean: The loss of the split.
    """
    try:
        with present(losses_path(checkpoint)).open("rb") as file:
            losses = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):  # none (another disk), or damaged
        return None
    return usable_losses(losses, mean)


def usable_losses(stored: np.ndarray, mean: float) -> np.ndarray | None:
    """Losses as they were stored, or None where their mean is not the loss of the split.

    A metric such as macro F1 is no mean of examples.
    """
    losses = stored.astype(float)
    if losses.ndim != 1 or not np.isfinite(losses).all():
        return None
    size = float(np.abs(losses).mean())
    matches = len(losses) > 1 and abs(float(losses.mean()) - mean) <= 1e-4 * max(size, 1e-12)
    return losses if matches else None

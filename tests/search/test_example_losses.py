"""The losses of single test examples: kept, damaged, of no use, and on the leaderboard."""

from pathlib import Path

import numpy as np
import pytest

from search.example_losses import losses_path, read_losses, write_losses
from search.leaderboard import Leaderboard
from search.log import encode_line

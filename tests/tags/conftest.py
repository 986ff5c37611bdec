"""Real recordings, where they are present: beside the repository, or where QLAB_SHARED_DATA says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="session")
def recording() -> Callable[[str], Path]:
    """Return the path of a real recording, or skip: their licences do not let us ship them."""
    root = Path(os.environ.get("QLAB_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))

    def find(name: str) -> Path:
        path = root / name
        if not path.exists():
            pytest.skip(f"recording {name} is not present in {root}")
        return path

    return find

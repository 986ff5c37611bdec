"""No test leaves a thread, a socket, a child process or a file descriptor behind; real recordings where they are present."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The gate tries the same examples each time; `QLAB_HYPOTHESIS=explore` (make explore) looks for new ones.  No deadlines: how
# long an example takes is the machine's affair.
settings.register_profile("gate", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("QLAB_HYPOTHESIS", "gate"))

# Daemon threads of libraries that live as long as the process does, once they were used.
_LASTING_THREADS = ("pymonitor", "ZMQbg", "asyncio_", "tiled", "AnyIO", "ophyd")


def _threads() -> set[threading.Thread]:
    return {t for t in threading.enumerate() if t.is_alive() and not t.name.startswith(_LASTING_THREADS)}


def _sockets() -> set[str]:
    targets = set()
    for fd in Path("/proc/self/fd").iterdir():
        try:
            target = os.readlink(fd)  # noqa: PTH115 - Path.readlink would resolve "socket:[1]" against the folder
        except FileNotFoundError:
            continue
        if target.startswith("socket:") or "/ptmx" in target or "/pts/" in target:
            targets.add(f"{fd.name} {target}")
    return targets


def _children() -> set[str]:
    return {
        child
        for task in Path("/proc/self/task").iterdir()
        if (task / "children").exists()
        for child in (task / "children").read_text().split()
    }


@pytest.fixture(scope="module", autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """Fail the module that leaves a thread, socket, pty or child process behind."""
    threads, sockets, children = _threads(), _sockets(), _children()
    yield
    gc.collect()
    for thread in _threads() - threads:
        thread.join(2.0)
    left = [f"thread {t.name}" for t in _threads() - threads]
    left += [f"descriptor {s}" for s in _sockets() - sockets]
    left += [f"process {c}" for c in _children() - children]
    assert not left, f"left behind by this module's tests: {left}"


@pytest.fixture(scope="session")
def recording() -> Callable[[str], Path]:
    """Return the path of a real recording, or skip: their licences do not let us ship them."""
    root = Path(os.environ.get("QLAB_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))

    def find(name: str) -> Path:
        path = root / name
        if not path.exists():
            pytest.skip(f"recording {name} is not present in {root}")
        return path

    return find

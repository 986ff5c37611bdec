"""Which engine runs a hot loop: NumPy, which is always there, or numba, which is quicker and optional.

Both give the same integers, so the choice is one of speed alone.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Literal, TypeAlias

from qlab.errors import BadRequestError

__all__ = ["ENGINES", "Engine", "EngineName", "chosen_engine"]

EngineName: TypeAlias = Literal["auto", "numpy", "numba"]
Engine: TypeAlias = Literal["numpy", "numba"]
ENGINES = ("numpy", "numba")

# Numba costs a third of a second to import and, once a machine, seconds to compile.  Less work than this is done sooner.
_WORTH_IT = 1 << 24


@cache
def _has_numba() -> bool:
    return find_spec("numba") is not None


def chosen_engine(name: str, work: int = 0) -> Engine:
    """Return the engine that `name` means.

    Parameters
    ----------
    name:
        ``numpy``, ``numba``, or ``auto``: numba where it is installed and there is enough to do.
    work:
        What there is to do, in elements of arrays; for ``auto``.

    Raises
    ------
    BadRequestError
        There is no such engine, or numba is asked for and not installed.
    """
    if name == "auto":
        return "numba" if work >= _WORTH_IT and _has_numba() else "numpy"
    if name == "numpy":
        return "numpy"
    if name == "numba":
        if not _has_numba():
            msg = "the engine 'numba' needs numba: pip install 'qlab[fast]'"
            raise BadRequestError(msg)
        return "numba"
    msg = f"there is no engine {name!r}; expected numpy or numba"
    raise BadRequestError(msg)

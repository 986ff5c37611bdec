"""Functions compiled by numba, kept on disk where that is possible.  Import this only where numba is meant to run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numba import njit

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["compiled"]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function of arrays and integers; it releases the interpreter while it runs.

    Notes
    -----
    Numba keeps the machine code beside the module or else in the user's cache folder.  Where neither can be written (a
    read-only installation run by a service without a home), it refuses; the function is then compiled in each process anew.
    """
    kept: Callable[..., Any]
    try:
        kept = njit(function, cache=True, nogil=True, error_model="numpy")
    except RuntimeError:  # "cannot cache function: no locator available"
        kept = njit(function, nogil=True, error_model="numpy")
    return kept

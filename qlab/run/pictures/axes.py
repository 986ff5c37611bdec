"""What the pictures of reports have in common."""

from __future__ import annotations

from typing import Any

__all__ = ["BLUE", "DARK", "ORANGE", "new_axes", "new_panels"]

BLUE, ORANGE, DARK = "#3b6ea5", "#e8a33d", "#1c2430"


def new_axes(width: float = 7.0, height: float = 3.4) -> Any:
    """Return a figure and its only axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def new_panels(rows: int, height: float = 4.8) -> Any:
    """Return a figure and axes one above the other that share their abscissa."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, height), layout="constrained")
    panels = figure.subplots(rows, 1, sharex=True)
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels

"""PicoQuant PHU files: histograms that the instrument made itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import TagFileError
from qlab.tags.files.pq_header import HISTOGRAMS, decimal, integer, read_header

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PhuCurve", "read_phu"]


@dataclass(frozen=True, slots=True)
class PhuCurve:
    """One histogram: `counts` of shape (bins,), each `bin_ps` long."""

    index: int
    bin_ps: float
    counts: NDArray[np.int64]


def read_phu(path: Path | str) -> list[PhuCurve]:
    """Read all histograms of a file.

    Raises
    ------
    TagFileError
        No PHU file, or a header that promises what the file does not hold.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            header, _ = read_header(path, file, HISTOGRAMS)
            curves = []
            for i in range(integer(path, header, "HistoResult_NumberOfCurves")):
                offset = integer(path, header, f"HistResDscr_DataOffset[{i}]")
                bins = integer(path, header, f"HistResDscr_HistogramBins[{i}]")
                there = max(file.seek(0, 2) - offset, 0) // 4
                if there < bins:
                    msg = f"{path}: histogram {i} promises {bins} bins, {there} are there; those before are sound"
                    raise TagFileError(msg)
                file.seek(offset)
                counts = np.fromfile(file, "<u4", count=bins)
                bin_ps = decimal(path, header, f"HistResDscr_MDescResolution[{i}]")
                curves.append(
                    PhuCurve(integer(path, header, f"HistResDscr_CurveIndex[{i}]"), bin_ps, counts.astype(np.int64))
                )
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise TagFileError(msg) from error
    return curves

"""What a repeater module tells: stored pairs, swaps, and event records of 32 bytes."""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qlab.errors import BadReplyError

if TYPE_CHECKING:
    from typing import Self

__all__ = ["EVENT_TYPES", "RECORD", "Distillation", "Events", "StoredPair", "Swap", "parse_events"]

RECORD = np.dtype(
    [
        ("sequence", "<u4"),
        ("type", "u1"),
        ("outcome", "u1"),
        ("qubit", "u1"),
        ("link", "u1"),
        ("t_ps", "<u8"),
        ("attempts", "<u4"),
        ("fidelity", "<f4"),
        ("pair_id", "<u4"),
        ("flags", "<u2"),
        ("crc16", "<u2"),
    ]
)
"""Times are picoseconds since the module's epoch; a failure has the outcome 255."""
EVENT_TYPES = {
    1: "INIT",
    2: "GATE",
    3: "MEAS",
    4: "HERALD",
    5: "HERALD_FAIL",
    6: "MOVE",
    7: "SWAP",
    8: "SYNC_FAIL",
    9: "CUTOFF",
    10: "LOSS_OF_LOCK",
    11: "OVERFLOW",
}
Events: TypeAlias = NDArray[np.void]
"""Of dtype `RECORD`, shape (n,)."""
CRC_START = 0xFFFF


@dataclass(frozen=True, slots=True)
class StoredPair:
    """Half of an entangled pair.

    Attributes
    ----------
    id:
        The same number at both ends.
    bell:
        0 Phi+, 1 Phi-, 2 Psi+, 3 Psi-.
    link:
        It came by.
    t_ps:
        When it was heralded, since the module's epoch.
    attempts:
        That it took.
    fidelity:
        What the module believes.
    """

    id: int
    bell: int
    link: int
    t_ps: int
    attempts: int
    fidelity: float

    @classmethod
    def parse(cls, pair: str, fidelity: str) -> Self:
        """Read the replies to `PAIR?` and `FID?`; raises `ValueError` for others."""
        number, bell, link, t_ps, attempts = (int(each) for each in pair.split(","))
        return cls(number, bell, link, t_ps, attempts, float(fidelity))


@dataclass(frozen=True, slots=True)
class Swap:
    """An entanglement swapping: the Bell label of the joined pair is `left ^ right ^ bell` of the labels."""

    bell: int
    left_id: int
    right_id: int


@dataclass(frozen=True, slots=True)
class Distillation:
    """One end of a purification: where both ends' outcomes differ as the labels say, the kept pair may stay."""

    outcome: int
    kept_id: int
    spent_id: int


def parse_events(device: str, data: bytes) -> Events:
    """Read records; raises `BadReplyError` for a wrong length or check sum."""
    if len(data) % RECORD.itemsize:
        what, expected = "event records are cut", f"a multiple of {RECORD.itemsize} bytes"
        raise BadReplyError(what, device=device, command="EVEN:DATA?", found=f"{len(data)} bytes", expected=expected)
    events = np.frombuffer(data, RECORD)
    for at, crc in enumerate(events["crc16"]):
        begin = at * RECORD.itemsize
        wanted = binascii.crc_hqx(data[begin : begin + RECORD.itemsize - 2], CRC_START)
        if wanted != crc:
            what = f"event record {at} has a wrong check sum"
            raise BadReplyError(
                what, device=device, command="EVEN:DATA?", found=f"{int(crc):#06x}", expected=f"{wanted:#06x}"
            )
    return events

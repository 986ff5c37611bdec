"""Purification of two pairs to one: a repeater module's half of it.

Both modules carry out a CNOT from the half that is kept to the half that is spent, and measure the spent one along Z
(Bennett et al., Phys. Rev. Lett. 76, 722 (1996)).  Whether the kept pair may stay, they find out by comparing outcomes,
which is not the modules' business; nor are the rotations before it, which choose the errors that are found (Deutsch et
al., Phys. Rev. Lett. 77, 2818 (1996)).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlab.physics.register import CNOT
from qlab.twin.scpi import ScpiError
from sim_devices.repeaters.qrm_events import EventType
from sim_devices.repeaters.qrm_qubits import Qubits

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Distilling"]


class Distilling(Qubits):
    """Qubits whose pairs can be purified."""

    distilled: tuple[tuple[int, int, int], ...] = ()
    """Of each purification of the last command: outcome, identities of the pair that was kept and of the one spent."""

    def distil(self, halves: Sequence[tuple[int, int]]) -> float:
        """Purify one pair for each (kept, spent), all at once; return how long it takes."""
        qubits = [n for two in halves for n in two]
        if len(set(qubits)) < len(qubits):
            raise ScpiError(-221)
        pairs = [(self.pair(kept), self.pair(spent)) for kept, spent in halves]
        if any(kept.link != spent.link for kept, spent in pairs):
            raise ScpiError(-221)  # their far ends are not in one place
        self.occupy(qubits)
        p = self.parameters
        self.distilled = ()

        def effect(t_ps: int) -> None:
            found = []
            for (kept, spent), (first, second) in zip(halves, pairs, strict=True):
                numbers = self.slots[kept].number, self.slots[spent].number
                self._register.apply(CNOT, numbers, t_ps, p.two_qubit_error * 4.0 / 3.0)
                self.record(EventType.GATE, t_ps, qubit=kept, pair_id=first.id)
                found.append((self._read(spent, "Z", t_ps), first.id, second.id))
            self.distilled = tuple(found)

        seconds = p.two_qubit_s + p.measure_s
        self.operate(qubits, seconds, effect)
        return seconds

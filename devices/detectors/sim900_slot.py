"""A slot of the SIM900 with a nanowire on it: SRS SIM928 voltage source or Quantum Opus amplifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ophyd import Component as Cpt
from ophyd import Device, Kind

from devices.detectors.sim900_errors import LINE_BITS, MAINFRAME, SIM928
from devices.signals import SoftSignal, parse_int
from qlab.errors import BadReplyError, InstrumentError

if TYPE_CHECKING:
    from devices.detectors.srs_sim900 import SIM900
    from devices.worker import WorkerStatus
    from qlab.clock import Clock

__all__ = ["BiasSlot"]

UA_PER_V = 10.0
"""[V2] 100 kOhm between the source and the nanowire."""
FULL_SCALE_UA, FULL_CODE = 25.0, 65535
HIGH_GAIN_V = 1.1
LATCHED_MV = 5.0
"""[INF] A superconducting nanowire shows no voltage; a normal one tens of millivolts."""
ZERO_S = 0.1
"""How long the bias stays at zero to let the wire cool down."""
STEP_UA = 0.02
TROUBLES = {
    1: "the source is overloaded",
    2: "the source has tripped and disconnected its output: switch its bias off and on",
    8: "a battery is broken",
}
"""[V2] Bits of a SIM928's `OVCR?`."""


class _Bias(SoftSignal):
    """The bias current: setting it sends it, and reads it back."""

    def set(self, value: Any, **_: Any) -> WorkerStatus:
        self.check_value(value)
        status: WorkerStatus = self.parent.mainframe.in_thread("bias", lambda: self.parent.store_bias(value))
        return status

    def put(self, value: Any, **_: Any) -> None:
        self.check_value(value)
        self.parent.store_bias(value)


class BiasSlot(Device):
    """One nanowire's bias; role `qlab.roles.BiasedDetector`.

    Parameters
    ----------
    number:
        The slot, from 1.
    """

    bias_ua = Cpt(_Bias, units="uA", precision=3, limits=(0.0, 25.0), kind="hinted")
    wire_mv = Cpt(SoftSignal, units="mV", precision=2, kind="normal")

    def __init__(self, prefix: str = "", *, number: int, **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self.number = number
        self.module = ""
        self.wanted_ua: float | None = None

    @property
    def mainframe(self) -> SIM900:
        """The mainframe."""
        mainframe: SIM900 = self.parent
        return mainframe

    @property
    def clock(self) -> Clock:
        """The lab's clock."""
        return self.mainframe.clock

    @property
    def sees_voltage(self) -> bool:
        """Whether the module measures the voltage across the wire; a SIM928 does not."""
        return self.module == "qoamp"

    def use(self, module: str) -> None:
        """Say what sits in the slot; a slot with nothing is not read."""
        self.module = module
        self.kind = Kind.normal if module else Kind.omitted
        self.wire_mv.kind = Kind.normal if self.sees_voltage else Kind.omitted

    def identify(self) -> None:
        """See that the module is what the lab file says; raises `InstrumentError` for another."""
        query, expected = ("+A?", "QO-AMP") if self.sees_voltage else ("*IDN?", "SIM928")
        found = self.ask(query)
        if expected not in found:
            what = f"slot {self.number} holds another module"
            raise InstrumentError(what, device=self.mainframe.name, command=query, found=found, expected=expected)

    def fetch(self) -> None:
        """Ask for bias and voltage; blocks for the wire."""
        if self.sees_voltage:
            self.bias_ua.remember(self._number("+B?") / FULL_CODE * FULL_SCALE_UA)
            self.wire_mv.remember(self._number("+C?") / FULL_CODE * HIGH_GAIN_V * 1e3)
        else:
            on = self._number("EXON?")
            self.bias_ua.remember(self._number("VOLT?") * UA_PER_V if on else 0.0)

    def store_bias(self, bias_ua: float) -> None:
        """Set the bias and see that it is there; blocks for the wire."""
        if self.sees_voltage:
            self.tell(f"+B{round(bias_ua / FULL_SCALE_UA * FULL_CODE)};")
        else:
            self.tell(f"VOLT {bias_ua / UA_PER_V:.3f}")
            self.tell("EXON 1" if bias_ua else "EXON 0")
        self.wanted_ua = bias_ua
        self.fetch()
        if abs(self.bias_ua.get() - bias_ua) > STEP_UA:
            why = ", ".join(self.complaints()) or "it does not say why"
            what, found = f"slot {self.number} did not take a bias: {why}", f"{self.bias_ua.get():.3f} uA"
            raise InstrumentError(what, device=self.mainframe.name, found=found, expected=f"{bias_ua:.3f} uA")

    def set(self, bias_ua: float) -> WorkerStatus:
        """Set the bias current in uA."""
        status: WorkerStatus = self.bias_ua.set(bias_ua)
        return status

    @property
    def latched(self) -> bool | None:
        """Whether the wire showed a voltage when it was fetched last; None where the module cannot tell."""
        return abs(self.wire_mv.get()) > LATCHED_MV if self.sees_voltage else None

    def recover(self) -> WorkerStatus:
        """Clear a latch: bias to zero for 0.1 s, and back to where it was."""
        return self.mainframe.in_thread(f"recover slot {self.number}", self._recover)

    def check_health(self) -> list[str]:
        """Return whether the wire has latched or the source is overloaded."""
        if not self.sees_voltage:
            bits = int(self._number("OVCR?"))
            return [f"{words} in slot {self.number}" for bit, words in TROUBLES.items() if bits & bit]
        self.fetch()
        return [f"the nanowire on slot {self.number} has latched"] if self.latched else []

    def complaints(self) -> list[str]:
        """Return what source and mainframe have found wrong since they were asked last; blocks for the wire."""
        found = []
        if not self.sees_voltage:
            found = [words.get(int(self._number(query)), "") for query, words in SIM928.items()]
            line = int(self._number("CESR?"))
            found += [words for bit, words in enumerate(LINE_BITS) if line >> bit & 1]
        for query, words in MAINFRAME.items():
            found.append(words.get(self.mainframe.link.ask_value(query, parse_int), ""))
        return [words for words in found if words]

    def ask(self, query: str) -> str:
        """Return the module's reply."""
        return self.mainframe.ask_module(self.number, query)

    def tell(self, command: str) -> None:
        """Send a set, which a module does not answer."""
        self.mainframe.tell_module(self.number, command)

    def _recover(self) -> None:
        bias_ua = self.bias_ua.get() if self.wanted_ua is None else self.wanted_ua
        self.store_bias(0.0)
        self.mainframe.wait_s(ZERO_S)
        self.store_bias(bias_ua)

    def _number(self, query: str) -> float:
        found = self.ask(query)
        try:
            return float(found)
        except ValueError as error:
            self.mainframe.link.distrust()
            what = f"the reply of slot {self.number} is no number"
            raise BadReplyError(what, device=self.mainframe.name, command=query, found=found) from error

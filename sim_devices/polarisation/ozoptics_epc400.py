"""Twin of the OZ Optics EPC-400 polarisation controller.  Written from protocol sheet 14, part A.

The world sees constant voltages; in AC mode a channel that is driven by a frequency stands at its last voltage there, as the
world has no scrambling faster than its cells.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from qlab.errors import TwinError
from qlab.twin.lines import LineError, LineTwin, line
from sim_devices.polarisation.piezo import Piezo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.twin.bench import Bench

__all__ = ["EPC400Twin"]

CHANNELS = 4
MOST_MV, MOST_HZ = 5000, 100  # [V2]
WAVEFORMS = {"1": "Sine", "2": "Triangle"}
DONE = "Done"

REFUSED = "Error!"


class Parameters(BaseModel):
    """The `twin:` section: properties of the squeezers."""

    model_config = ConfigDict(extra="forbid")

    v_pi_mv: float = Field(1500.0, gt=0, description="[INF] 1 to 2 V for a retardance of pi")
    hysteresis: float = Field(0.02, ge=0, lt=0.5, description="[INF] play of the piezo, as a share of the full voltage")
    tau_s: float = Field(0.002, gt=0, description="[INF] slews within milliseconds")
    creep_per_decade: float = Field(0.01, ge=0, description="[INF] slow drift: share of a step for each decade of time")


class EPC400Twin(LineTwin):
    """The controller: a text line and `Done` to every command."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "serial"
    terminators = b"\r"
    ignored = b"\n"
    unknown = error = busy = REFUSED

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        super().__init__(bench.clock)
        self._name = name
        p = parameters
        self._piezos = [
            Piezo(
                bench.knob(name, f"retardance_rad.{n}"),
                math.pi / p.v_pi_mv,
                p.hysteresis * MOST_MV,
                p.tau_s,
                p.creep_per_decade,
            )
            for n in range(1, CHANNELS + 1)
        ]
        self._dead: set[int] = set()
        self._saved = ([0] * CHANNELS, [0] * CHANNELS)
        self.reset_power()

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> EPC400Twin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    def reset_power(self) -> None:
        """Begin with what was saved in the flash memory, in DC mode [INF]."""
        self._mv, self._hz = list(self._saved[0]), list(self._saved[1])
        self._dc, self._waveform, self._mixed = True, "1", False
        self._by_voltage = [True] * CHANNELS
        for channel in range(CHANNELS):
            self._drive(channel)

    def device_fault(self, name: str, *, active: bool = True, channel: int = 1) -> None:
        """Break a squeezer, so that its voltage does nothing, or repair it."""
        if name != "dead_squeezer" or not 1 <= channel <= CHANNELS:
            msg = f"{self._name}: unknown device fault {name!r} of channel {channel}; expected dead_squeezer, 1 to 4"
            raise TwinError(msg)
        (self._dead.add if active else self._dead.discard)(channel - 1)
        self._drive(channel - 1)

    def peek(self) -> dict[str, object]:
        """Return the front panel's state."""
        return {"voltages_mv": list(self._mv), "frequencies_hz": list(self._hz), "dc": self._dc}

    @line("V([1-4]),(.*)")
    def _voltage(self, channel: str, value: str) -> list[str]:
        return self._set(channel, _integer(value, -MOST_MV, MOST_MV))

    @line("V([HLZ])([1-4])")
    def _extreme(self, letter: str, channel: str) -> list[str]:
        return self._set(channel, {"H": MOST_MV, "L": -MOST_MV, "Z": 0}[letter])

    @line("V?")
    def _voltages(self) -> list[str]:
        return ["Voltage(mV): " + " ".join(f"CH{n} {mv:+05d}" for n, mv in enumerate(self._mv, 1)), DONE]

    @line("F([1-4]),(.*)")
    def _frequency(self, channel: str, value: str) -> list[str]:
        self._hz[int(channel) - 1] = hz = _integer(value, 0, MOST_HZ)
        return [f"Set CH{channel} AC Frequency at: {hz}Hz", DONE]

    @line("F?")
    def _frequencies(self) -> list[str]:
        return ["Frequency(Hz): " + "  ".join(f"CH{n} {hz:03d}" for n, hz in enumerate(self._hz, 1)), DONE]

    @line("M(DC|AC)")
    def _set_mode(self, mode: str) -> list[str]:
        self._dc = mode == "DC"
        return [f"Set To {mode} Mode", DONE]

    @line("M?")
    def _mode(self) -> list[str]:
        return [f"Work Mode: {'DC' if self._dc else f'AC({WAVEFORMS[self._waveform]})'}", DONE]

    @line("WF([12])")
    def _set_waveform(self, number: str) -> list[str]:
        self._waveform = number
        return [f"Set AC Waveform at: {WAVEFORMS[number]}", DONE]

    @line("WF?")
    def _waveform_query(self) -> list[str]:
        return [f"AC Waveform: {WAVEFORMS[self._waveform]}", DONE]

    @line("ENVF([01])")
    def _mix(self, on: str) -> list[str]:
        self._mixed = on == "1"
        return [f"{'Enable' if self._mixed else 'Disable'} DC Voltage Output at AC Mode", DONE]

    @line("V(F)([1-4])", "F(V)([1-4])")
    def _choose(self, kind: str, channel: str) -> list[str]:
        self._by_voltage[int(channel) - 1] = kind == "F"
        return [f"Set CH{channel} output to: {'Volt' if kind == 'F' else 'Hz'} (if possible)", DONE]

    @line("VF?")
    def _chosen(self) -> list[str]:
        outputs = ",".join(f"CH{n}-{'V' if volt else 'F'}" for n, volt in enumerate(self._by_voltage, 1))
        return [f"Hz<->Volt at AC Mode is {'enabled' if self._mixed else 'disabled'}: {outputs}", DONE]

    @line("SAVE")
    def _save(self) -> list[str]:
        self._saved = (list(self._mv), list(self._hz))
        return ["Write Setting to Flash memory", DONE]

    def _set(self, channel: str, mv: int) -> list[str]:
        self._mv[int(channel) - 1] = mv
        self._drive(int(channel) - 1)
        return [f"Set CH{channel} DC Voltage at: {mv}mV", DONE]

    def _drive(self, channel: int) -> None:
        """Apply a channel's voltage to its piezo."""
        self._piezos[channel].drive(0 if channel in self._dead else self._mv[channel], self.clock.now_ps())


def _integer(text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"[-+]?\d{1,6}", text.strip(), re.ASCII) or not low <= int(text) <= high:
        raise LineError(REFUSED)
    return int(text)

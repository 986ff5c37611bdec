"""A Quantum Opus amplifier in a slot of a SIM900: it biases a nanowire and reads its voltage."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S

if TYPE_CHECKING:
    from qlab.clock import Clock
    from sim_devices.detectors.nanowire_channel import NanowireChannel

__all__ = ["QuantumOpusModule"]


FULL_SCALE_UA, FULL_SCALE_V = 25.0, 2.5  # [V1] of the amplifier's 16-bit DAC
HIGH_GAIN_V, LOW_GAIN_V = 1.1, 5.0  # [V1] full scale of its ADC
AUTO_BIAS = 0.95  # [V1] of the latching current
RESET_UNIT_PS = PS_PER_S // 100  # [V1] `+D`: 10 ms

QUANTUM_OPUS = re.compile(rb"\+([A-H])(\d{0,6})([?;])")  # [V1]


class QuantumOpusModule:
    """The amplifier that biases a nanowire and resets it by itself where it is told to."""

    def __init__(self, channel: NanowireChannel, clock: Clock, serial: str) -> None:
        self.channel = channel
        self.serial = serial
        self.baud = 9600
        self._clock = clock
        self._stored = 0
        self._buffer = b""
        self._low_gain, self._auto = False, False
        self._length, self._code = 10, 0

    def take(self, data: bytes) -> bytes:
        """Carry out the commands that these bytes complete: `+`, a letter, a number, `;`."""
        self._buffer += data
        out, end = b"", 0
        for found in QUANTUM_OPUS.finditer(self._buffer):
            end = found.end()
            reply = self._carry_out(found[1].decode(), found[2].decode(), asks=found[3] == b"?")
            out += b"" if reply is None else reply.encode() + b"\n"
        self._buffer = self._buffer[end:][-64:]
        return out

    def lose_power(self) -> None:
        """No bias at power-up."""
        self._buffer, self._low_gain, self._auto, self._length = b"", False, False, 10
        self._bias(0)

    def hear_break(self) -> None:
        """Drop half a command."""
        self._buffer = b""

    def garble(self, *, parity: bool = False) -> None:
        """Hear bytes at another baud rate or parity: nothing that it knows."""

    def fault(self, name: str, *, active: bool) -> bool:
        """Know no fault but a latch, which it ends by itself where it is told to."""
        if name == "latch" and active:
            self.channel.latch()
            self._heal()
        return name == "latch"

    def _carry_out(self, letter: str, digits: str, *, asks: bool) -> str | None:
        number = int(digits) if digits else None
        if letter == "A":
            return f"QO-AMP-SIM {self.serial}" if asks else None
        if letter == "B":
            if number is not None:
                self._bias(min(number, 0xFFFF))
            return str(self._code) if asks else None
        if letter == "C":
            if number is not None:
                self._low_gain = number == 1
            volt = abs(self.channel.voltage_mv) * 1e-3 / (LOW_GAIN_V if self._low_gain else HIGH_GAIN_V)
            return str(min(round(volt * 0xFFFF), 0xFFFF)) if asks else None
        if letter == "D":
            self._length = min(number, 255) if number is not None else self._length
            return str(self._length) if asks else None
        if letter == "E":
            self._auto = number == 1 if number is not None else self._auto
            self._heal()
            return str(int(self._auto)) if asks else None
        if letter == "F":
            self._reset()
        elif letter == "G":
            self._bias(round(AUTO_BIAS * self.channel.wire.switching_ua / FULL_SCALE_UA * 0xFFFF))
            self._reset()
        elif number is not None:
            self._stored = min(number, 0xFFFF)
        elif asks:
            return f"{self._stored:.1f}"
        else:
            self._bias(self._stored)
        return None

    def _bias(self, code: int) -> None:
        self._code = code
        self.channel.set_bias(code / 0xFFFF * FULL_SCALE_UA)
        self._heal()

    def _heal(self) -> None:
        if self._auto and self.channel.latched:
            self._reset()

    def _reset(self) -> None:
        """Take the bias to zero for as long as a reset event lasts, and back."""
        self.channel.reset(self._code / 0xFFFF * FULL_SCALE_UA, self._length * RESET_UNIT_PS)

"""The `DATA` and `FUNCtion:ARBitrary` commands."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from qlab.twin.scpi import ScpiError, command, parameter, query
from qlab.twin.scpi_values import parse_number
from sim_devices.sources.awg_channels import FORMAT, per_channel
from sim_devices.sources.awg_levels import Levels
from sim_devices.sources.awg_memory import BUILT_IN, points_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sim_devices.sources.awg_memory import Memory

__all__ = ["Arbitrary"]

NONE = np.zeros(1)


class Arbitrary(Levels):
    """Waveforms in memory, and the one that is played."""

    memory: dict[int, Memory]

    byte_order = parameter("FORMat:BORDer", "NORM", choices=("NORMal", "SWAPped"))
    sample_hz = per_channel("[SOURce#:]FUNCtion:ARBitrary:SRATe", 40e3)
    advance = per_channel("[SOURce#:]FUNCtion:ARBitrary:ADVance", "SRAT", choices=("TRIGger", "SRATe"))
    filter = per_channel("[SOURce#:]FUNCtion:ARBitrary:FILTer", "STEP", choices=("NORMal", "STEP", "OFF"))

    def select_built_in(self) -> None:
        """Play the power-on waveform on all channels."""
        self._playing = dict.fromkeys(range(1, self.channels + 1), BUILT_IN)

    def set_of(self, name: str, channel: int, text: str) -> None:
        """Set a channel's setting as the client would."""
        getattr(type(self), name)._set(self, (channel,), [text])  # noqa: SLF001

    def inverse(self, text: str, units: str) -> float:
        """Read a number that is not zero and return one over it."""
        value = parse_number(text, units)
        if not value > 0 or math.isinf(value):
            raise ScpiError(-222)
        return 1.0 / value

    def points(self, channel: int) -> NDArray[np.float64]:
        """Return what the channel plays; a model without arbitrary waveforms has none."""
        memory = self.memory[channel]
        return memory.find(self._playing[channel])[1] if memory.waveforms else NONE

    def arbitrary_hz(self, channel: int) -> float:
        """Return how often the waveform is repeated."""
        return self.sample_hz[channel] / self.points(channel).size

    @command("[SOURce#:]DATA:ARBitrary[1]")
    def _load(self, channel: int, *name_and_points: str) -> None:
        self._keep(channel, *name_and_points, dac=False)

    @command("[SOURce#:]DATA:ARBitrary[1]:DAC")
    def _load_dac(self, channel: int, *name_and_points: str) -> None:
        self._keep(channel, *name_and_points, dac=True)

    def _keep(self, channel: int, name: str = "", *points: str, dac: bool) -> None:
        if not points:
            raise ScpiError(-109)
        if not self.memory[self._check(channel)].exists:
            raise ScpiError(-241)
        self.memory[channel].load(name, points_of(points, dac=dac, swapped=self.byte_order == "SWAP"))

    @command("[SOURce#:]DATA:VOLatile:CLEar")
    def _clear(self, channel: int) -> None:
        self.memory[self._check(channel)].clear()
        self._playing[channel] = BUILT_IN
        self.follow(channel, "arbitrary")

    @query("[SOURce#:]DATA:VOLatile:CATalog?")
    def _catalogue(self, channel: int) -> str:
        return ",".join(f'"{name}"' for name, _ in self.memory[self._check(channel)].waveforms.values())

    @query("[SOURce#:]DATA:VOLatile:FREE?")
    def _free(self, channel: int) -> int:
        return self.memory[self._check(channel)].free

    @query("[SOURce#:]DATA:ATTRibute:POINts?", "[SOURce#:]FUNCtion:ARBitrary:POINts?")
    def _count(self, channel: int, name: str = "") -> int:
        return int(self._named(channel, name).size)

    @query("[SOURce#:]DATA:ATTRibute:AVERage?")
    def _average(self, channel: int, name: str = "") -> str:
        return f"{float(np.mean(self._named(channel, name))):+.4f}"

    @query("[SOURce#:]DATA:ATTRibute:PTPeak?")
    def _peak_to_peak(self, channel: int, name: str = "") -> str:
        return f"{float(np.ptp(self._named(channel, name))):+.4f}"

    @query("[SOURce#:]DATA:ATTRibute:CFACtor?")
    def _crest(self, channel: int, name: str = "") -> str:
        points = self._named(channel, name)
        rms = float(np.sqrt(np.mean(points**2)))
        return f"{float(np.max(np.abs(points))) / rms if rms else 1.0:+.4f}"

    def _named(self, channel: int, name: str) -> NDArray[np.float64]:
        return self.memory[self._check(channel)].find(name)[1] if name else self.points(self._check(channel))

    @command("[SOURce#:]FUNCtion:ARBitrary")
    def _play(self, channel: int, name: str) -> None:
        self._playing[channel] = self.memory[self._check(channel)].find(name)[0]
        self.follow(channel, "arbitrary")

    @query("[SOURce#:]FUNCtion:ARBitrary?")
    def _played(self, channel: int) -> str:
        return f'"{self._playing[self._check(channel)]}"'

    @command("[SOURce#:]FUNCtion:ARBitrary:FREQuency")
    def _set_frequency(self, channel: int, hertz: str) -> None:
        size = self.points(self._check(channel)).size
        self.set_of("sample_hz", channel, repr(parse_number(hertz, "HZ") * size))

    @query("[SOURce#:]FUNCtion:ARBitrary:FREQuency?")
    def _frequency(self, channel: int) -> str:
        return f"{self.arbitrary_hz(self._check(channel)):{FORMAT}}"

    @command("[SOURce#:]FUNCtion:ARBitrary:PERiod")
    def _set_arb_period(self, channel: int, seconds: str) -> None:
        size = self.points(self._check(channel)).size
        self.set_of("sample_hz", channel, repr(self.inverse(seconds, "S") * size))

    @query("[SOURce#:]FUNCtion:ARBitrary:PERiod?")
    def _arb_period(self, channel: int) -> str:
        return f"{1.0 / self.arbitrary_hz(self._check(channel)):{FORMAT}}"

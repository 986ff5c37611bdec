"""Bursts and triggers of a generator's channels."""

from __future__ import annotations

import math
from typing import ClassVar

from qlab.clock import PS_PER_S
from qlab.twin.scpi import ScpiError, ScpiTwin, command, parameter, query
from qlab.twin.scpi_values import parse_number
from sim_devices.sources.awg_channels import clipped, per_channel, written

__all__ = ["Triggers"]

MOST_CYCLES = 100_000_000.0  # [V1] beyond, only an infinite burst
REARM_S = 1e-6  # [INF] between the end of a burst and the next
IGNORED = (-211, "Trigger ignored")
NEVER = -(2**62)
NCYCLES = "[SOURce#:]BURSt:NCYCles"


class Triggers(ScpiTwin):
    """The `BURSt` and `TRIGger` commands."""

    channels: ClassVar[int] = 2
    burst_on = per_channel("[SOURce#:]BURSt:STATe", False)
    burst_mode = per_channel("[SOURce#:]BURSt:MODE", "TRIG", choices=("TRIGgered", "GATed"))
    burst_period_s = per_channel("[SOURce#:]BURSt:INTernal:PERiod", 0.01, limits=(1e-6, 8000.0), units="S")
    burst_phase_deg = per_channel("[SOURce#:]BURSt:PHASe", 0.0, limits=(-360.0, 360.0))
    gate_polarity = per_channel("[SOURce#:]BURSt:GATE:POLarity", "NORM", choices=("NORMal", "INVerted"))
    source = per_channel("TRIGger#:SOURce", "IMM", choices=("IMMediate", "EXTernal", "TIMer", "BUS"))
    slope = per_channel("TRIGger#:SLOPe", "POS", choices=("POSitive", "NEGative"))
    level_v = per_channel("TRIGger#:LEVel", 1.65, limits=(0.9, 3.8), units="V")  # [INF]
    delay_s = per_channel("TRIGger#:DELay", 0.0, limits=(0.0, 1000.0), units="S")
    timer_s = per_channel("TRIGger#:TIMer", 1.0, limits=(1e-6, 8000.0), units="S")
    count = per_channel("TRIGger#:COUNt", 1.0, limits=(1.0, 1e6))
    continuous = per_channel("INITiate#:CONTinuous", True)
    trigger_out = parameter("OUTPut:TRIGger[:STATe]", False)
    trigger_out_slope = parameter("OUTPut:TRIGger:SLOPe", "POS", choices=("POSitive", "NEGative"))
    trigger_out_source = parameter("OUTPut:TRIGger:SOURce", "CH1", choices=("CH1", "CH2"))

    def reset_triggers(self) -> None:
        """Wait for triggers with one cycle each."""
        self._cycles = dict.fromkeys(range(1, self.channels + 1), 1.0)
        self._fired_ps = dict.fromkeys(range(1, self.channels + 1), NEVER)
        self._left = dict.fromkeys(range(1, self.channels + 1), 0)

    def cycle_hz(self, channel: int) -> float:
        """Return the frequency within a burst."""
        raise NotImplementedError

    def function_of(self, channel: int) -> str:
        """Return the function of a channel."""
        raise NotImplementedError

    def follow(self, channel: int, name: str) -> None:
        """Follow a setting of a channel that was changed."""
        raise NotImplementedError

    def burst_s(self, channel: int) -> float:
        """Return how long a burst lasts."""
        return self._cycles[channel] / self.cycle_hz(channel)

    def bursts_hz(self, channel: int) -> float:
        """Return how often bursts come by themselves: with the burst period, or with the trigger's timer."""
        if self.burst_mode[channel] == "GAT" or math.isinf(self._cycles[channel]):
            return 0.0
        source = self.source[channel]
        return {"IMM": 1.0 / self.burst_period_s[channel], "TIM": 1.0 / self.timer_s[channel]}.get(source, 0.0)

    def cycles_at(self, channel: int, t_ps: int) -> float | None:
        """Return how many cycles of a burst have passed; None between bursts.  An external trigger never comes."""
        rate = self.bursts_hz(channel)
        begun_ps = self._fired_ps[channel] if not rate else t_ps - round((t_ps / PS_PER_S % (1.0 / rate)) * PS_PER_S)
        begun_ps += round(self.delay_s[channel] * PS_PER_S)
        cycles = (t_ps - begun_ps) / PS_PER_S * self.cycle_hz(channel)
        return cycles if 0 <= cycles < self._cycles[channel] else None

    def check_bursts(self, channel: int) -> None:
        """Change what contradicts itself, and say so [INF] the words."""
        if not self.burst_on[channel] or self.burst_mode[channel] == "GAT":
            return
        if self.function_of(channel) in ("NOIS", "DC"):
            self.burst_on[channel] = False
            self.fail(ScpiError(-221, "Settings conflict; triggered burst not available for this function"))
        elif math.isinf(self._cycles[channel]):
            if self.source[channel] in ("IMM", "TIM"):
                self.source[channel] = "BUS"
                self.fail(ScpiError(-221, "Settings conflict; infinite burst changed trigger source to BUS"))
        elif self.source[channel] == "IMM" and self.burst_period_s[channel] < self.burst_s(channel) + REARM_S:
            self.burst_period_s[channel] = self.burst_s(channel) + REARM_S
            self.fail(ScpiError(-221, "Settings conflict; burst period increased to fit entire burst"))

    @command(NCYCLES)
    def _set_cycles(self, channel: int, text: str) -> None:
        self._channel(channel)
        known = {"MIN": 1.0, "MAX": MOST_CYCLES, "DEF": 1.0, "INF": math.inf}
        said = known.get(text.strip().upper()[:3])
        value = parse_number(text) if said is None else said
        if math.isnan(value):
            raise ScpiError(-222)
        cycles = math.inf if value >= 9.9e37 else min(max(float(round(value)), 1.0), MOST_CYCLES)
        self._cycles[channel] = cycles
        self.follow(channel, "cycles")
        if not math.isinf(cycles) and not 1.0 <= value <= MOST_CYCLES:
            raise clipped(value, 1.0, MOST_CYCLES)

    @query(NCYCLES + "?")
    def _cycles_query(self, channel: int, which: str = "") -> str:
        self._channel(channel)
        value = {"MIN": 1.0, "MAX": MOST_CYCLES}.get(which.strip().upper()[:3], self._cycles[channel])
        return written(value)

    @command("*TRG")
    def _bus_trigger(self) -> None:
        """Trigger every channel that waits for the bus."""
        waiting = [n for n in range(1, self.channels + 1) if self.source[n] == "BUS" and self._armed(n)]
        if not waiting:
            raise ScpiError(*IGNORED)
        for channel in waiting:
            self._fire(channel)

    @command("TRIGger#[:IMMediate]")
    def _trigger(self, channel: int) -> None:
        """Trigger one channel, whatever it waits for but IMMediate."""
        if self.source[self._channel(channel)] == "IMM" or not self._armed(channel):
            raise ScpiError(*IGNORED)
        self._fire(channel)

    @command("INITiate#[:IMMediate]")
    def _initiate(self, channel: int) -> None:
        if self.continuous[self._channel(channel)]:
            raise ScpiError(-213, "INIT ignored")
        self._left[channel] = round(self.count[channel])

    @command("ABORt")
    def _abort(self) -> None:
        self._fired_ps = dict.fromkeys(self._fired_ps, NEVER)
        self._left = dict.fromkeys(self._left, 0)
        self.end_operations()

    def _channel(self, channel: int) -> int:
        if not 1 <= channel <= self.channels:
            raise ScpiError(-114)
        return channel

    def _armed(self, channel: int) -> bool:
        return self.continuous[channel] or self._left[channel] > 0

    def _fire(self, channel: int) -> None:
        """Begin a burst; a trigger during one is missed."""
        now = self.clock.now_ps()
        if self.cycles_at(channel, now) is not None and not math.isinf(self._cycles[channel]):
            raise ScpiError(*IGNORED)
        self._left[channel] = max(self._left[channel] - 1, 0)
        self._fired_ps[channel] = now
        if self.burst_on[channel] and not math.isinf(self._cycles[channel]):
            self.begin_operation(self.delay_s[channel] + self.burst_s(channel))

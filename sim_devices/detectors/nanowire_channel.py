"""One nanowire behind a bias source: its bias, whether it has latched, and what the world sees of it.

Temperature comes from the cryostat's knob and may change at any time, so that efficiency and darks are profiles: computed for
the moment that is asked for, always the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from qlab.clock import PS_PER_S
from qlab.physics.knob import CELL_PS, Following, Step
from qlab.physics.nanowire import ZERO_UA, Nanowire

if TYPE_CHECKING:
    from qlab.clock import Clock
    from qlab.physics.knob import Knob
    from qlab.twin.bench import Bench

__all__ = ["NanowireChannel"]

LOOK_PS = PS_PER_S
"""How often the temperature is compared with what the bias can stand."""
COOLING_PS = 5 * PS_PER_S // 1000
"""[V2] A latch clears after a few ms to 100 ms without bias: here, when the wire has cooled down."""
ALWAYS_PS = 2**62


@dataclass(slots=True)
class _Bias:
    """A bias current from a moment on; latched from another, if at all; the wire is warm from a latch until a third."""

    start_ps: int
    ua: float
    latched_ps: int | None
    looked_ps: int
    warm_ps: int = 0


class NanowireChannel:
    """A nanowire and its bias.

    Parameters
    ----------
    bench, name, channel:
        The detector is `NAME.CHANNEL` in the world; it is as warm as the knob `temperature_k` of `NAME`.
    wire:
        What it is.
    """

    def __init__(self, bench: Bench, name: str, channel: str, wire: Nanowire) -> None:
        self.wire = wire
        self._world = bench.world
        self._clock: Clock = bench.clock
        self._temperature: Knob = bench.knob(name, "temperature_k", wire.base_k)
        self._number = bench.detector_id(f"{name}.{channel}")
        self._detector = bench.detector(f"{name}.{channel}")
        self._biases: list[_Bias] = []
        self.set_bias(0.0)

    @property
    def bias_ua(self) -> float:
        """The bias current."""
        return self._at(self._clock.now_ps()).ua

    @property
    def latched(self) -> bool:
        """Whether the wire is normal now."""
        return self._latched(self._clock.now_ps())

    @property
    def voltage_mv(self) -> float:
        """Voltage across the wire in mV."""
        now = self._clock.now_ps()
        normal = self._latched(now) or self.wire.switching_at(self._temperature.value(now)) <= 0.0
        return self.bias_ua * self.wire.normal_kohm if normal else 0.0

    def set_bias(self, ua: float) -> None:
        """Change the bias from now on, which ends a reset; zero clears a latch, if it lasts for long enough."""
        now = self._clock.now_ps()
        while self._biases and self._biases[-1].start_ps > now:
            self._biases.pop()
        latched = bool(self._biases) and self._latched(now)
        warm_ps = self._biases[-1].warm_ps if self._biases else 0
        if abs(ua) <= ZERO_UA:
            self._begin(now, ua, None, now + COOLING_PS if latched else warm_ps)
        else:
            self._begin(now, ua, now if latched or now < warm_ps else None)

    def reset(self, ua: float, zero_ps: int) -> None:
        """Take the bias to zero for a while, and then to another by itself."""
        self.set_bias(0.0)
        if zero_ps == 0:
            self.set_bias(ua)
            return
        now = self._clock.now_ps()
        back_ps, warm = now + zero_ps, self._biases[-1].warm_ps > now + zero_ps
        self._biases.append(_Bias(back_ps, ua, back_ps if warm and abs(ua) > ZERO_UA else None, back_ps - 1))
        self._show(now)

    def latch(self) -> None:
        """Become normal, as by a burst of light; nothing happens without a bias."""
        now = self._clock.now_ps()
        if abs(self.bias_ua) > ZERO_UA:
            self._begin(now, self.bias_ua, now)

    def counts(self, start_ps: int, stop_ps: int) -> int:
        """Return the clicks in an interval."""
        return int(self._world.clicks(self._number, start_ps, stop_ps).size)

    def efficiency_at(self, t_ps: int) -> float:
        """Return the efficiency at a time."""
        bias = self._at(t_ps)
        return 0.0 if self._blind(bias, t_ps) else self.wire.efficiency_at(bias.ua, self._temperature.value(t_ps))

    def darks_at(self, t_ps: int) -> float:
        """Return the dark count rate in Hz at a time."""
        bias = self._at(t_ps)
        return 0.0 if self._blind(bias, t_ps) else self.wire.darks_at(bias.ua, self._temperature.value(t_ps))

    @property
    def is_constant(self) -> bool:
        """Whether nothing but a new bias can change anything."""
        return self._temperature.settings_before(ALWAYS_PS) == 0

    def _begin(self, now: int, ua: float, latched_ps: int | None, warm_ps: int = 0) -> None:
        self._biases.append(_Bias(now, ua, latched_ps, now - 1, warm_ps))
        self._show(now)

    def _show(self, now: int) -> None:
        """Let the world see the bias of now, and of a moment to come where there is one."""
        constant, last = self.is_constant, self._biases[-1]
        later = last.start_ps > now
        for knob, profile in (
            (self._detector.efficiency, _Efficiency(self)),
            (self._detector.dark_rate_hz, _Darks(self)),
        ):
            if constant and later:
                knob.set(Step(profile.value(now), last.start_ps, profile.value(last.start_ps)), now)
            elif later:
                knob.set(Following(_second, Step(0.0, last.start_ps, 1.0), profile), now)
            else:
                knob.set(profile.value(now) if constant else profile, now)
        jitter = self._jitter_scale(last.ua)
        self._detector.jitter_scale.set(Step(self._jitter_scale(0.0), last.start_ps, jitter) if later else jitter, now)

    def _jitter_scale(self, ua: float) -> float:
        return self.wire.jitter_scale_at(ua) if abs(ua) > ZERO_UA else 1.0

    def _at(self, t_ps: int) -> _Bias:
        return next((bias for bias in reversed(self._biases) if bias.start_ps <= t_ps), self._biases[0])

    def _latched(self, t_ps: int) -> bool:
        bias = self._at(t_ps)
        self._look(bias, t_ps)
        return bias.latched_ps is not None and bias.latched_ps <= t_ps

    def _look(self, bias: _Bias, until_ps: int) -> None:
        """Find out whether the wire became too warm for its bias."""
        if bias.latched_ps is not None or abs(bias.ua) <= ZERO_UA:
            return
        if self.is_constant:
            if bias.looked_ps < bias.start_ps:
                bias.looked_ps = bias.start_ps
                too_much = abs(bias.ua) > self.wire.switching_at(self._temperature.value(bias.start_ps))
                bias.latched_ps = bias.start_ps if too_much else None
            return
        t_ps = bias.start_ps if bias.looked_ps < bias.start_ps else bias.looked_ps + LOOK_PS
        while t_ps <= until_ps:
            bias.looked_ps = t_ps
            if abs(bias.ua) > self.wire.switching_at(self._temperature.value(t_ps)):
                bias.latched_ps = t_ps
                return
            t_ps += LOOK_PS

    def _blind(self, bias: _Bias, t_ps: int) -> bool:
        cold = self.wire.switching_at(self._temperature.value(t_ps)) > 0.0
        return abs(bias.ua) <= ZERO_UA or not cold or self._latched(t_ps)


def _second(first: float, second: float) -> float:
    """Return the second: the first only says when to look."""
    del first
    return second


@dataclass(frozen=True, slots=True)
class _Efficiency:
    """A channel's efficiency, as a knob's profile."""

    channel: NanowireChannel
    end_ps: ClassVar[int] = ALWAYS_PS
    step_ps: ClassVar[int] = CELL_PS

    def value(self, t_ps: int) -> float:
        """Return the efficiency at `t_ps`."""
        return self.channel.efficiency_at(t_ps)


@dataclass(frozen=True, slots=True)
class _Darks:
    """A channel's dark count rate, as a knob's profile."""

    channel: NanowireChannel
    end_ps: ClassVar[int] = ALWAYS_PS
    step_ps: ClassVar[int] = CELL_PS

    def value(self, t_ps: int) -> float:
        """Return the rate at `t_ps`."""
        return self.channel.darks_at(t_ps)

"""Weak coherent pulses: what stands in for single photons in decoy-state BB84, and Alice's record of what she sent.

Without a common phase from pulse to pulse, a pulse of mean photon number mu holds n photons with probability
exp(-mu) mu^n / n! (Lo, Ma, Chen, PRL 94, 230504, 2005), and what each detector sees of it is Poissonian too, independent
of the others.  Modulators choose an intensity and a state for each pulse; the choice is a function of the pulse's own time,
so that Alice's record needs no memory and never disagrees with the light.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qlab.errors import WorldError
from qlab.physics.keys import QUANTILES, mix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qlab.physics.eavesdropper import PhotonNumberSplitting
    from qlab.physics.knob import Knob
    from qlab.physics.pulses import ClockedGrid, Grid, PulseTrain

__all__ = ["BB84_DEG", "Modulation", "SentPulses", "SentSignal", "WeakSource", "photons_per_watt"]

Times: TypeAlias = NDArray[np.int64]
Indices: TypeAlias = NDArray[np.uint8]
BB84_DEG = {"H": 0.0, "V": 90.0, "D": 45.0, "A": -45.0}
"""Angles of the four states' polarisation."""
PLANCK_J_S, LIGHT_M_PER_S = 6.62607015e-34, 299_792_458.0


@dataclass(frozen=True, slots=True)
class SentPulses:
    """What left the source.

    Attributes
    ----------
    t_ps:
        When the pulses were triggered, int64, sorted, shape (n,).
    level, state:
        Numbers of intensity and state, uint8, shape (n,).
    """

    t_ps: Times
    level: Indices
    state: Indices


@dataclass(frozen=True, slots=True)
class Modulation:
    """An intensity and a polarisation modulator, and how they are driven.

    Parameters
    ----------
    levels, level_shares:
        What the intensity modulator is asked to let through, from 0 to 1, and how often.
    angles_deg, state_shares:
        Linear polarisations, and how often.
    level_extinction_db:
        The intensity modulator lets so much through at least.
    state_extinction_db, misalignment_deg:
        So much of the light has the orthogonal polarisation; all states are turned by so much.
    pattern:
        Pairs of level and state that are sent in turn, from the first pulse of the train on; None: at random.
    key:
        Of the random choice, which is right to 1 in 65536.
    """

    levels: tuple[float, ...] = (1.0,)
    level_shares: tuple[float, ...] = (1.0,)
    angles_deg: tuple[float, ...] = (0.0,)
    state_shares: tuple[float, ...] = (1.0,)
    level_extinction_db: float = math.inf
    state_extinction_db: float = math.inf
    misalignment_deg: float = 0.0
    pattern: tuple[tuple[int, int], ...] | None = None
    key: int = 0
    _tables: tuple[Indices, Indices] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Make the tables of choices."""
        for what, shares in ((self.levels, self.level_shares), (self.angles_deg, self.state_shares)):
            if len(what) != len(shares) or min(shares, default=-1.0) < 0.0 or not sum(shares) > 0.0:
                msg = f"a modulator has {len(what)} settings and the shares {shares}; expected as many, none negative"
                raise WorldError(msg)
        tables = (_table(self.level_shares), _table(self.state_shares))
        object.__setattr__(self, "_tables", tables)

    def choose(self, t_ps: Times, first: int, k: Times) -> tuple[Indices, Indices]:
        """Return level and state of the pulses number `first` + k, triggered at `t_ps`; uint8, shape of k."""
        if self.pattern is not None:
            places = (k + first % len(self.pattern)) % len(self.pattern)
            chosen = np.array(self.pattern, np.uint8).reshape(-1, 2).take(places, axis=0)
            return chosen[:, 0], chosen[:, 1]
        words = mix(t_ps, self.key)
        levels, states = self._tables
        level = levels.take((words >> np.uint64(48)).view(np.int64))
        return level, states.take(((words >> np.uint64(32)) & np.uint64(0xFFFF)).view(np.int64))

    def transmission(self, level: int) -> float:
        """Return what the intensity modulator lets through."""
        leak: float = 10.0 ** (-self.level_extinction_db / 10.0)
        return leak + (1.0 - leak) * self.levels[level]

    def density(self, state: int) -> NDArray[np.complex128]:
        """Return the density matrix of a photon of a state, shape (2, 2)."""
        leak = 10.0 ** (-self.state_extinction_db / 10.0)
        angle = math.radians(self.angles_deg[state] + self.misalignment_deg)
        c, s = math.cos(angle), math.sin(angle)
        right = np.array([[c * c, c * s], [c * s, s * s]], np.complex128)
        rho: NDArray[np.complex128] = (1.0 - leak) * right + leak * (np.eye(2) - right)
        return rho


def _table(shares: Sequence[float]) -> Indices:
    """Return the choice by 16 bits, shape (65536,)."""
    bounds = np.round(np.cumsum(shares) / math.fsum(shares) * QUANTILES).astype(np.int64)
    bounds[-1] = QUANTILES
    return np.arange(len(shares), dtype=np.uint8).repeat(np.diff(bounds, prepend=0))


@dataclass(frozen=True, slots=True)
class WeakSource:
    """A laser that pulses at a trigger, behind modulators.

    Parameters
    ----------
    train:
        A pulse leaves at each leading edge.
    photons:
        Mean photon number of a pulse where the intensity modulator is open; of a pulse of 1 W where there is a `power_w`.
    power_w:
        Knob of the power that pulses are cut from, or None.
    pulse_fwhm_ps:
        Length of a pulse.
    modulation:
        What is done to it.
    splitting:
        What an eavesdropper does to it; None: nothing.
    """

    train: PulseTrain
    photons: float = 1.0
    power_w: Knob | None = None
    pulse_fwhm_ps: float = 0.0
    modulation: Modulation = field(default_factory=Modulation)
    splitting: PhotonNumberSplitting | None = None

    @property
    def knobs(self) -> tuple[Knob, ...]:
        """What the light depends on."""
        of_eve = () if self.splitting is None else (self.splitting.fraction,)
        of_laser = () if self.power_w is None else (self.power_w,)
        return (*self.train.knobs, *of_laser, *of_eve)

    def sent_photons(self, mean_photons: float, level: int, t_ps: int) -> float:
        """Return the mean photon number of a pulse of a level, behind an eavesdropper where there is one."""
        sent = mean_photons * self.modulation.transmission(level)
        return sent if self.splitting is None else self.splitting.forwarded(sent, t_ps)

    def mean_photons(self, t_ps: int) -> float:
        """Return the mean photon number behind an open intensity modulator."""
        return self.photons * (self.power_w.value(t_ps) if self.power_w is not None else 1.0)

    def sent(self, start_ps: int, stop_ps: int) -> SentPulses:
        """Return what was sent in a half-open interval: Alice's record, settled from now on."""
        for knob in self.train.knobs:
            knob.freeze(stop_ps)
        empty = np.empty(0, np.uint8)
        t, level, state = [np.empty(0, np.int64)], [empty], [empty]
        for begin, end, grid in self.train.stretches(start_ps, stop_ps):
            if grid is not None:
                some = self._between(grid, begin, end)
                t.append(some.t_ps)
                level.append(some.level)
                state.append(some.state)
        return SentPulses(np.concatenate(t), np.concatenate(level), np.concatenate(state))

    def _between(self, grid: Grid | ClockedGrid, start_ps: int, stop_ps: int) -> SentPulses:
        first = grid.first(start_ps)
        k = np.arange(max(grid.first(stop_ps) - first, 0))
        t = grid.times(first, k)
        return SentPulses(t, *self.modulation.choose(t, first, k))


def photons_per_watt(pulse_ps: float, wavelength_nm: float) -> float:
    """Return how many photons a pulse cut from 1 W holds."""
    return pulse_ps * 1e-12 * wavelength_nm * 1e-9 / (PLANCK_J_S * LIGHT_M_PER_S)


@dataclass(frozen=True, slots=True)
class SentSignal:
    """The drive of a modulator as an electric pulse, for each light pulse of one level or one state.

    Parameters
    ----------
    source:
        Whose modulator it is.
    level, state:
        The number of the level or of the state; None: any.
    """

    source: WeakSource
    level: int | None = None
    state: int | None = None

    @property
    def knobs(self) -> tuple[Knob, ...]:
        """What the pulses depend on."""
        return self.source.train.knobs

    def edges(self, start_ps: int, stop_ps: int) -> Times:
        """Return when such pulses were triggered, int64 ps, sorted."""
        sent = self.source.sent(start_ps, stop_ps)
        chosen = np.ones(sent.t_ps.size, np.bool_)
        if self.level is not None:
            chosen &= sent.level == self.level
        if self.state is not None:
            chosen &= sent.state == self.state
        return sent.t_ps[chosen]

"""What each click of a joint pulse sees of the modes of all sources, and so how probable each pattern of clicks is."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qlab.errors import WorldError
from qlab.physics.squeezed import exact_patterns, none_clicks, pair_amplitudes
from qlab.physics.wavepacket import is_apart, overlap_matrix

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qlab.physics.meeting import Leaf
    from qlab.physics.wavepacket import WavePacket

__all__ = ["MOST_SIGHTS", "Emitter", "Sight", "pattern_probabilities", "sights"]

Matrix: TypeAlias = NDArray[np.complex128]
Floats: TypeAlias = NDArray[np.float64]
MOST_SIGHTS = 12
_PS_PER_NM_TO_PS2 = 1.0 / (2.0 * math.pi * 299_792.458)


@dataclass(frozen=True, slots=True)
class Emitter:
    """A source in one pulse.

    Parameters
    ----------
    mean_pairs:
        In the pulse.
    mixture:
        Its state, as `qlab.physics.squeezed.bell_mixture` has it.
    packets:
        Signal and idler.
    """

    mean_pairs: float
    mixture: Sequence[tuple[float, Matrix]]
    packets: tuple[WavePacket, WavePacket]


@dataclass(frozen=True, slots=True)
class Sight:
    """What a detector sees at one time after the pulse.

    Parameters
    ----------
    effect:
        M, of the modes of all photons, efficiency included; shape (modes, modes).
    delay_ps:
        When it clicks.
    dispersion_ps_per_nm, bandwidth_nm:
        What smears it.
    photon:
        The (first) one that it sees: signal and idler of the first source, of the second, ...
    """

    detector_id: int
    effect: Matrix
    delay_ps: int
    dispersion_ps_per_nm: float
    bandwidth_nm: float
    photon: int


def sights(leaves: Sequence[Leaf], packets: Sequence[WavePacket], efficiencies: Mapping[int, float]) -> list[Sight]:
    """Return what each detector sees, by time: photons that miss each other at a splitter are seen one after the other.

    Modes are ordered by photon, then by Schmidt mode, then H and V.

    Raises
    ------
    WorldError
        Too many for a table of click patterns, or more is seen than there is.
    """
    begins = [0, *itertools.accumulate(2 * len(packet.weights) for packet in packets)]
    found: dict[tuple[int, int], Sight] = {}
    for leaf in leaves:
        efficiency = efficiencies[leaf.detector_id]
        for delay_ps, chosen, alike in _groups(leaf, packets):
            effect = np.zeros((begins[-1], begins[-1]), np.complex128)
            for (i, one), (j, other) in itertools.product(enumerate(chosen), repeat=2):
                a, b = leaf.parts[one], leaf.parts[other]
                in_time = np.eye(len(packets[a.photon].weights)) if i == j else (alike if i < j else alike.conj().T)
                block = np.kron(in_time, efficiency * (a.jones.conj().T @ b.jones))
                rows = slice(begins[a.photon], begins[a.photon + 1])
                effect[rows, begins[b.photon] : begins[b.photon + 1]] += block
            if np.abs(effect).max() <= 0.0:
                continue
            key = (leaf.detector_id, delay_ps)
            if key in found:
                effect += found[key].effect
            dispersion = leaf.dispersion_ps_per_nm + leaf.entries[chosen[0]].dispersion_ps_per_nm
            photon = leaf.parts[chosen[0]].photon
            found[key] = Sight(leaf.detector_id, effect, delay_ps, dispersion, packets[photon].bandwidth_nm, photon)
    if len(found) > MOST_SIGHTS:
        msg = (
            f"sources that interfere are seen by detectors at {len(found)} times after a pulse; at most {MOST_SIGHTS} are "
            "possible: bring paths to one detector to the same length, or leave detectors out"
        )
        raise WorldError(msg)
    total = sum(sight.effect for sight in found.values())
    if found and float(np.linalg.eigvalsh(total)[-1]) > 1.0 + 1e-9:
        msg = "the detectors see more than all photons: efficiencies and transmissions sum to more than 1"
        raise WorldError(msg)
    return list(found.values())


def _groups(leaf: Leaf, packets: Sequence[WavePacket]) -> list[tuple[int, list[int], Matrix]]:
    """Return when something is seen, of which of the leaf's photons, and the inner products of their modes."""
    when = [leaf.delay_ps + entry.delay_ps for entry in leaf.entries]
    nothing = np.zeros((0, 0), np.complex128)
    if len(when) == 1:
        return [(round(when[0]), [0], nothing)]
    a, b = (packets[part.photon] for part in leaf.parts)
    # Group delay dispersion: dtau/dw = -D lambda^2 / (2 pi c).
    chirp_ps2 = sum(
        -sign * entry.dispersion_ps_per_nm * packet.wavelength_nm**2 * _PS_PER_NM_TO_PS2
        for sign, entry, packet in zip((-1.0, 1.0), leaf.entries, (a, b), strict=True)
    )
    late_ps = when[1] - when[0]
    if is_apart(a, b, late_ps, chirp_ps2):
        return [(round(when[0]), [0], nothing), (round(when[1]), [1], nothing)]
    alike = math.sqrt(leaf.overlap) * overlap_matrix(a, b, late_ps, chirp_ps2)
    return [(round(sum(when) / 2.0), [0, 1], alike)]


def pattern_probabilities(emitters: Sequence[Emitter], seen: Sequence[Sight]) -> Floats:
    """Return the probability of each pattern of clicks in a pulse, by its bits; shape (2^sights,)."""
    first, second, sides = [], [], []
    begin = 0
    for emitter in emitters:
        n = 2 * len(emitter.packets[0].weights)
        modes = np.arange(begin, begin + 2 * n)
        sides.append((modes[:n], modes[n:]))
        begin += 2 * n
    crossed = [any(np.abs(s.effect[np.ix_(modes, _others(modes, begin))]).max(initial=0.0) > 0.0 for s in seen)
               for pair in sides for modes in pair]  # fmt: skip
    # Of each source, the photon that meets nobody comes first: then M has no block between the two groups.
    for k, (signal, idler) in enumerate(sides):
        a, b = (idler, signal) if crossed[2 * k] and not crossed[2 * k + 1] else (signal, idler)
        first.append(a)
        second.append(b)
    i, j = np.concatenate(first), np.concatenate(second)

    def added(rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Matrix:
        """Return the sum of the effects of each set of sights: twice as many sets with each sight."""
        sums: Matrix = np.zeros((1 << len(seen), rows.size, columns.size), np.complex128)
        for k, sight in enumerate(seen):
            np.add(sums[: 1 << k], sight.effect[np.ix_(rows, columns)], out=sums[1 << k : 2 << k])
        return sums

    meet = any(np.abs(sight.effect[np.ix_(i, j)]).max() > 0.0 for sight in seen)
    arguments = (added(i, i), added(j, j), added(i, j) if meet else None)
    none = np.zeros(1 << len(seen))
    for labels in itertools.product(*(emitter.mixture for emitter in emitters)):
        pairs = np.zeros((i.size, j.size), np.complex128)
        at = 0
        for (emitter, (_, amplitudes)), (signal, _), one in zip(
            zip(emitters, labels, strict=True), sides, first, strict=True
        ):
            block = pair_amplitudes(amplitudes, emitter.mean_pairs, emitter.packets[0].weights)
            pairs[at : at + len(one), at : at + len(one)] = block if one is signal else block.T
            at += len(one)
        none += math.prod(weight for weight, _ in labels) * none_clicks(pairs, *arguments)
    return exact_patterns(none)


def _others(modes: NDArray[np.intp], total: int) -> NDArray[np.intp]:
    return np.setdiff1d(np.arange(total), modes)

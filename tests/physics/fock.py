"""An independent calculation of what clicks: Fock states, pair by pair, creation operator by creation operator."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict

import numpy as np

__all__ = ["PSI_MINUS", "PSI_PLUS", "bits", "correlation", "fock_bell_pairs", "fock_clicks", "splitter"]


def fock_clicks(
    pair_numbers: list[float],
    pair_terms: list[list[tuple[complex, int, int]]],
    modes: dict[int, dict[int, complex]],
    detectors: dict[int, list[int]],
    efficiency: float,
    most: int,
) -> np.ndarray:
    """Return the probability of each pattern of clicks, by bits, by summing over Fock states with up to `most` pairs in all.

    Parameters
    ----------
    pair_numbers:
        tanh r of each source: |psi> = N sum_n (tanh r)^n (sum_t c_t a_t+ b_t+)^n / n! |0>, with terms of weight 1.
    pair_terms:
        For each source (c, mode of one photon, mode of the other).
    modes:
        What becomes of a mode's creation operator: amplitudes by output mode.
    detectors:
        The output modes that each sees.
    """
    result = np.zeros(1 << len(detectors))
    left = 1.0
    for numbers in itertools.product(range(most + 1), repeat=len(pair_numbers)):
        if sum(numbers) > most:
            continue
        state: dict[tuple[tuple[int, int], ...], complex] = {(): 1.0 + 0.0j}
        for n, terms in zip(numbers, pair_terms, strict=True):
            for _ in range(n):
                grown: dict[tuple[tuple[int, int], ...], complex] = defaultdict(complex)
                for occupation, amplitude in state.items():
                    for c, one, other in terms:
                        for (i, x), (j, y) in itertools.product(modes[one].items(), modes[other].items()):
                            new = dict(occupation)
                            new[i] = new.get(i, 0) + 1
                            new[j] = new.get(j, 0) + 1
                            grown[tuple(sorted(new.items()))] += amplitude * c * x * y
                state = grown
        weight = 1.0
        for n, terms, tanh in zip(numbers, pair_terms, pair_numbers, strict=True):
            weight *= (1 - tanh**2) ** len(terms) * tanh ** (2 * n) / math.factorial(n) ** 2
        for occupation, amplitude in state.items():
            p = weight * abs(amplitude) ** 2 * math.prod(math.factorial(k) for _, k in occupation)
            left -= p
            held, clicks = dict(occupation), np.ones(1)
            for seen in detectors.values():
                dark = math.prod((1 - efficiency) ** held.get(mode, 0) for mode in seen)
                clicks = np.concatenate([clicks * dark, clicks * (1 - dark)])
            result += p * clicks
    assert 0 <= left < 1e-4  # of the pulses have more pairs
    return result


def splitter(
    t: float, v: complex, first: int, c: int, d: int, spare_c: int, spare_d: int
) -> dict[int, dict[int, complex]]:
    """Return where modes `first` and `first + 1` go; the second is alike by v, the rest leaves in spare modes."""
    r, u = math.sqrt(1 - t), math.sqrt(1 - abs(v) ** 2)
    t = math.sqrt(t)
    return {
        first: {c: t, d: -r},
        first + 1: {c: r * v, d: t * v, spare_c: r * u, spare_d: t * u},
    }


def fock_bell_pairs(
    outer: tuple[float, float], inner: tuple[float, float], transmittances: tuple[float, float], *, mean: float, eta: float,
    v: float = 1.0, most: int = 4,
) -> np.ndarray:  # fmt: skip
    """Return the same by Fock states; v is the overlap of the amplitudes of the photons that meet."""
    terms = [[(1.0, 10, 20), (1.0, 11, 21)], [(1.0, 12, 22), (1.0, 13, 23)]]
    modes: dict[int, dict[int, complex]] = {}
    for k in (0, 1):
        cos, sin = math.cos(outer[k]), math.sin(outer[k])
        modes[10 + 2 * k] = {1 + 2 * k: cos, 2 + 2 * k: sin}
        modes[11 + 2 * k] = {1 + 2 * k: sin, 2 + 2 * k: -cos}
    u = math.sqrt(1 - v * v)
    for k, polarisation in itertools.product((0, 1), (0, 1)):
        r, t = math.sqrt(1 - transmittances[polarisation]), math.sqrt(transmittances[polarisation])
        found: dict[int, complex] = defaultdict(complex)
        for output, amplitude in ((0, t if k == 0 else r), (1, -r if k == 0 else t)):
            cos, sin = math.cos(inner[output]), math.sin(inner[output])
            for port, share in ((0, (cos, sin)[polarisation]), (1, (sin, -cos)[polarisation])):
                place = 5 + 2 * output + port
                found[place] += amplitude * share * (v if k else 1.0)
                if k and u:
                    found[100 + place] += amplitude * share * u
        modes[20 + 2 * k + polarisation] = {mode: a for mode, a in found.items() if abs(a) > 1e-12}
    tanh = math.sqrt(mean / 2 / (1 + mean / 2))  # each of two polarisation modes holds half of the pairs
    seen = {d: [d, 100 + d] for d in range(1, 9)}
    return fock_clicks([tanh, tanh], terms, modes, seen, eta, most)


def bits(*detectors: int) -> int:
    return sum(1 << (d - 1) for d in detectors)


PSI_MINUS, PSI_PLUS = ((5, 8), (6, 7)), ((5, 6), (7, 8))


def correlation(p: np.ndarray, heralds: tuple[tuple[int, int], ...]) -> tuple[float, float]:
    """Return E of the outer photons and the probability of the four-folds that it is of."""
    signs = {(1, 3): 1, (2, 4): 1, (1, 4): -1, (2, 3): -1}
    found = {pair: sum(p[bits(*pair, *herald)] for herald in heralds) for pair in signs}
    total = sum(found.values())
    return float(sum(signs[pair] * found[pair] for pair in signs) / total), float(total)

"""What `qlab tags coincidences` does: two parties' delays, coincidences and error rates."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from qlab.errors import BadRequestError
from qlab.tags.clean import Echo, find_echo, without_echoes
from qlab.tags.coincidence import coincidence_matrix
from qlab.tags.delays import find_delays
from qlab.tags.files.sniff import open_tags
from qlab.tags.info import echo_text
from qlab.tags.one_to_one import one_to_one_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from qlab.tags.delays import DelaySolution
    from qlab.tags.stream import TagBlock

__all__ = [
    "BasisErrors",
    "TagsCoincidences",
    "count_parties",
    "tags_coincidences",
]

_BASES = ("HV", "AD")
_OUTCOMES = ("H", "V", "A", "D")


@dataclass(frozen=True, slots=True)
class BasisErrors:
    """Errors of one basis: which outcomes agree is taken from the majority."""

    basis: str
    relation: str
    coincidences: int
    errors: int
    error_rate: float
    error_rate_sigma: float


@dataclass(frozen=True, slots=True)
class TagsCoincidences:
    """Delays, coincidences and error rates of two parties.

    `matrix` has Alice's channels as rows and Bob's as columns, both in the order H, V, A, D where there are four, and
    counts all pairs; `one_to_one` uses every tag at most once, as a key does.  `bases` and `bases_one_to_one` are the
    error rates of either.  `accidentals` is what the rates of the channels alone would give for all pairs.
    """

    path: str
    window_ps: float
    alice: tuple[int, ...]
    bob: tuple[int, ...]
    delays_ps: dict[int, float]
    groups: tuple[tuple[int, ...], ...]
    unresolved: tuple[int, ...]
    echoes: tuple[Echo, ...]
    matrix: tuple[tuple[int, ...], ...]
    one_to_one: tuple[tuple[int, ...], ...]
    accidentals: tuple[tuple[float, ...], ...]
    total: int
    total_one_to_one: int
    bases: tuple[BasisErrors, ...]
    bases_one_to_one: tuple[BasisErrors, ...]

    def render(self) -> str:
        """Return a report for people."""
        names = dict(zip((*self.alice, *self.bob), _OUTCOMES * 2, strict=False)) if len(self.alice) == 4 else {}
        label = {c: f"{c} {names[c]}" if c in names else str(c) for c in (*self.alice, *self.bob)}
        lines = [f"{self.path}: {self.total} coincidences with |dt| <= {self.window_ps / 2000:.4g} ns, all pairs"]
        lines += [f"echo of channel {e.channel}: {echo_text(e)}; removed" for e in self.echoes]
        lines.append("delays/ns: " + ", ".join(f"{c}: {d / 1000:.3f}" for c, d in self.delays_ps.items()))
        if len(self.groups) > 1:
            groups = " | ".join(",".join(map(str, group)) for group in self.groups)
            lines.append(f"nothing ties these channels together: {groups}; coincidences across may be missed")
        if self.unresolved:
            lines.append(f"no correlations found for channels {list(self.unresolved)}: their delay is taken as 0")
        lines.append("Alice \\ Bob" + "".join(f"{label[c]:>8s}" for c in self.bob))
        for channel, row in zip(self.alice, self.matrix, strict=True):
            lines.append(f"{label[channel]:>11s}" + "".join(f"{n:8d}" for n in row))
        expected = sum(map(sum, self.accidentals))
        lines.append(f"accidentals expected from the rates: {expected:.0f} of {self.total}")
        lines.append(f"every tag used at most once: {self.total_one_to_one} coincidences")
        for counting, bases in (("all pairs", self.bases), ("one to one", self.bases_one_to_one)):
            lines += [
                f"error rate in {b.basis}, {counting}: {100 * b.error_rate:.2f} % +- {100 * b.error_rate_sigma:.2f} %"
                f" ({b.errors} of {b.coincidences}, outcomes {b.relation})"
                for b in bases
            ]
        return "\n".join(lines)

    def to_json(self) -> str:
        """Return JSON for programs."""
        return json.dumps(asdict(self), indent=2)


def tags_coincidences(
    path: Path | str,
    bin_ps: float | None = None,
    window_ps: float | None = None,
    alice: Sequence[int] | None = None,
    bob: Sequence[int] | None = None,
) -> TagsCoincidences:
    """Find echoes and delays in a recording, then count coincidences of two parties and their error rates.

    Parameters
    ----------
    path:
        The file.
    bin_ps:
        Length of one time bin, for text.
    window_ps:
        Full width of the coincidence window (default: 12 bins for text that says its bin, 2000 ps otherwise).
    alice, bob:
        The parties' channels, as H, V, A, D where there are four (default 0 to 3 and 4 to 7).
    """
    return count_parties(open_tags(path, bin_ps=bin_ps), str(path), bin_ps, window_ps, alice, bob)


def count_parties(
    block: TagBlock,
    name: str,
    bin_ps: float | None = None,
    window_ps: float | None = None,
    alice: Sequence[int] | None = None,
    bob: Sequence[int] | None = None,
) -> TagsCoincidences:
    """Do what `tags_coincidences` does with a file, on tags that are here already.

    Parameters
    ----------
    block:
        The tags.
    name:
        What they are called in the result.
    bin_ps, window_ps, alice, bob:
        As for `tags_coincidences`.
    """
    a, b = tuple(alice or (0, 1, 2, 3)), tuple(bob or (4, 5, 6, 7))
    if set(a) & set(b) or len(set(a)) < len(a) or len(set(b)) < len(b):
        msg = f"channels of Alice {list(a)} and Bob {list(b)}: every channel belongs to one party, once"
        raise BadRequestError(msg)
    if window_ps is None:
        window_ps = 12 * bin_ps if bin_ps else 2000.0
    if not window_ps > 0:
        msg = f"coincidence window of {window_ps} ps: expected a positive full width"
        raise BadRequestError(msg)
    echoes = tuple(e for c in (*a, *b) if (e := find_echo(block, c)) is not None)
    block = without_echoes(block.select((*a, *b)), echoes)
    width_ps = max(int(window_ps), 4)
    solution = find_delays(block, a, b, width_ps=width_ps)
    return _counted(name, block, a, b, window_ps, solution, echoes, bin_ps)


def _counted(
    path: str,
    block: TagBlock,
    a: tuple[int, ...],
    b: tuple[int, ...],
    window_ps: float,
    solution: DelaySolution,
    echoes: tuple[Echo, ...],
    bin_ps: float | None,
) -> TagsCoincidences:
    resolution_ps = float(bin_ps or 1)
    delays = {c: round(_whole_bins(d, resolution_ps)) for c, d in solution.delays_ps.items()}
    # Rounding times of fractional bins to whole ps moves a difference by up to 1 ps: the edge has room for it.
    slack_ps = 0 if float(resolution_ps).is_integer() else 1
    half_ps = int(window_ps / 2) + slack_ps
    matrix = coincidence_matrix(block, a, b, 2 * half_ps, delays)
    single = one_to_one_matrix(block, a, b, 2 * half_ps, delays)
    # On times of a coarse bin a window holds a whole number of differences, both edges included.
    effective_ps = (2 * int(half_ps / resolution_ps) + 1) * resolution_ps
    rates = block.counts(256) / max(block.live_s, 1e-12)
    accidentals = np.outer(rates[list(a)], rates[list(b)]) * effective_ps * 1e-12 * block.live_s
    return TagsCoincidences(
        path,
        window_ps,
        a,
        b,
        {c: float(_whole_bins(d, resolution_ps)) for c, d in solution.delays_ps.items()},
        solution.groups,
        solution.unresolved,
        echoes,
        tuple(tuple(row) for row in matrix.tolist()),
        tuple(tuple(row) for row in single.tolist()),
        tuple(tuple(row) for row in accidentals.tolist()),
        int(matrix.sum()),
        int(single.sum()),
        _errors(matrix),
        _errors(single),
    )


def _whole_bins(delay_ps: float, bin_ps: float) -> Fraction:
    """Round to whole bins: between them a window would hold one difference more or fewer, depending on the delay."""
    length = Fraction(str(bin_ps))
    return round(Fraction(delay_ps) / length) * length


def _errors(matrix: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> tuple[BasisErrors, ...]:
    """Return the error rate of each basis, where there are two bases."""
    if matrix.shape != (4, 4):
        return ()
    return tuple(_basis_errors(name, matrix[s, s]) for name, s in zip(_BASES, (slice(0, 2), slice(2, 4)), strict=True))


def _basis_errors(name: str, counts: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> BasisErrors:
    same, total = int(np.trace(counts)), int(counts.sum())
    errors = min(same, total - same)
    rate = errors / total if total else 0.0
    sigma = (rate * (1 - rate) / total) ** 0.5 if total else 0.0
    relation = "correlated" if 2 * same >= total else "anticorrelated"
    return BasisErrors(name, relation, total, errors, rate, sigma)

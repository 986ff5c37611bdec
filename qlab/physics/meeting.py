"""Where photons of several sources meet: a beam splitter with two inputs, and every photon's ways through it to detectors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qlab.errors import WorldError
from qlab.physics.arm import Outcome, Path, Port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from qlab.physics.arm import Arm
    from qlab.physics.detector import Detector
    from qlab.physics.knob import Knob

__all__ = ["Entrance", "Entry", "Leaf", "Meeting", "Part", "leaves"]

Matrix: TypeAlias = NDArray[np.complex128]


@dataclass(frozen=True, slots=True)
class _Arrival(Outcome):
    """An outcome that knows its delay better than to a picosecond."""

    exact_ps: float


@dataclass(slots=True)
class Entrance:
    """The end of a path at an input of a meeting.

    Parameters
    ----------
    number:
        The world's number of the input.
    """

    number: int

    def outcomes(self, t_ps: int, before: Path) -> Iterator[Outcome]:
        """Yield the one outcome."""
        del t_ps
        effect = before.jones.conj().T @ before.jones
        dispersion = before.dispersion_ps_per_nm
        yield _Arrival(Port(self.number), effect, round(before.delay_ps), dispersion, before.jones, before.delay_ps)

    def knobs(self) -> Iterator[Knob]:
        """Yield nothing."""
        yield from ()

    def drifts(self) -> bool:
        """Return False."""
        return False


@dataclass(slots=True)
class Meeting:
    """A beam splitter at which photons of two paths meet.

    What comes in by the first input is transmitted to the first output and reflected to the second; what comes in by the
    second, the other way round.  Amplitudes are real, [[t, r], [-r, t]] for each polarisation, so that the singlet
    leaves a balanced splitter by both outputs (Braunstein, Mann, PRA 51, R1727, 1995).

    Parameters
    ----------
    inputs:
        The world's numbers of its inputs.
    outputs:
        What follows.
    transmittances:
        Of H and V: 0.5 and 0.5 for a balanced splitter, 1 and 0 for a polarising one.
    overlap:
        |<a|b>|^2 of the two inputs' modes in space, 1 for perfect alignment.
    """

    inputs: tuple[int, int]
    outputs: tuple[Arm, Arm]
    transmittances: tuple[float, float] = (0.5, 0.5)
    overlap: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what no splitter does."""
        if not all(0.0 <= value <= 1.0 for value in (*self.transmittances, self.overlap)):
            msg = (
                f"transmittances {self.transmittances} and overlap {self.overlap:g} of a splitter: expected 0 to 1 each"
            )
            raise WorldError(msg)

    def scattering(self, output: int, entrance: int) -> Matrix:
        """Return the Jones matrix from an input to an output, both 0 or 1."""
        through = np.diag([math.sqrt(t) for t in self.transmittances]).astype(np.complex128)
        aside = np.diag([math.sqrt(1.0 - t) for t in self.transmittances]).astype(np.complex128)
        return through if output == entrance else aside * (1.0 if output == 0 else -1.0)

    def knobs(self) -> Iterator[Knob]:
        """Yield what the ways on depend on."""
        for output in self.outputs:
            yield from output.knobs()

    def drifts(self) -> bool:
        """Return whether something behind the splitter changes by itself."""
        return any(output.drifts() for output in self.outputs)


@dataclass(frozen=True, slots=True)
class Entry:
    """How a photon came to an input: with which delay and dispersion."""

    delay_ps: float
    dispersion_ps_per_nm: float


@dataclass(frozen=True, slots=True)
class Part:
    """One photon's share of what ends in a place."""

    photon: int
    jones: Matrix


@dataclass(frozen=True, slots=True)
class Leaf:
    """A place at a detector, and the photons that may end there.

    Parameters
    ----------
    detector_id:
        Who stands there.
    parts:
        One or two photons; two interfere.
    entries:
        How each of them came to the splitter, one for each part.
    delay_ps, dispersion_ps_per_nm:
        From the splitter, or for a photon alone from the source.
    overlap:
        Of the modes in space.
    """

    detector_id: int
    parts: tuple[Part, ...]
    entries: tuple[Entry, ...]
    delay_ps: float
    dispersion_ps_per_nm: float
    overlap: float = 1.0


def leaves(
    photons: Sequence[tuple[Arm, float]], meetings: Sequence[Meeting], detectors: Mapping[int, Detector], t_ps: int
) -> list[Leaf]:
    """Follow every photon, given by its arm and how late in ps it begins, to the detectors.

    Raises
    ------
    WorldError
        A photon comes to a splitter by two ways: the phase between them is nobody's to say.
    """
    inputs = {number: (m, i) for m, meeting in enumerate(meetings) for i, number in enumerate(meeting.inputs)}
    found: list[Leaf] = []
    arrived: dict[tuple[int, int], tuple[int, Matrix, Entry]] = {}
    for photon, (arm, late_ps) in enumerate(photons):
        for outcome in arm.outcomes(t_ps, Path()):
            number = outcome.port.detector_id
            if isinstance(outcome, _Arrival) and number in inputs:
                entry = Entry(outcome.exact_ps + late_ps, outcome.dispersion_ps_per_nm)
                if inputs[number] in arrived or any(
                    m == inputs[number][0] and photon == other for (m, _), (other, _, _) in arrived.items()
                ):
                    msg = "two ways lead to one input of a splitter, or one photon to both; each input takes one photon"
                    raise WorldError(msg)
                arrived[inputs[number]] = (photon, outcome.jones, entry)
            elif number in detectors:
                part = Part(photon, outcome.jones)
                alone = (Entry(late_ps, 0.0),)
                found.append(Leaf(number, (part,), alone, outcome.delay_ps, outcome.dispersion_ps_per_nm))
    for m, meeting in enumerate(meetings):
        here = [(i, *arrived[m, i]) for i in (0, 1) if (m, i) in arrived]
        for output, arm in enumerate(meeting.outputs):
            for outcome in arm.outcomes(t_ps, Path()):
                if outcome.port.detector_id not in detectors or not here:
                    continue
                parts = tuple(
                    Part(photon, outcome.jones @ meeting.scattering(output, i) @ jones) for i, photon, jones, _ in here
                )
                entries = tuple(entry for *_, entry in here)
                where = outcome.port.detector_id
                leaf = Leaf(where, parts, entries, outcome.delay_ps, outcome.dispersion_ps_per_nm, meeting.overlap)
                found.append(leaf)
    return found

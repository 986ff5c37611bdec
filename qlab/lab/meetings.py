"""Which sources of a lab file interfere: interferometers, who comes in and what leaves, and what joins them in one line."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qlab.errors import WorldError
from qlab.lab.arms import stable_id
from qlab.lab.optic_models import InterferometerModel
from qlab.physics.arm import Path
from qlab.physics.joint import JointLine
from qlab.physics.meeting import Entrance, Meeting
from qlab.physics.pulsed import PulsedPairLine
from qlab.physics.wavepacket import MOST_SCHMIDT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.lab.check import Checked
    from qlab.lab.models import LabFile
    from qlab.lab.optic_models import PairSourceModel
    from qlab.lab.source import Key
    from qlab.physics.arm import Arm
    from qlab.physics.line import Line, PairLine

__all__ = ["MeetingBuilder", "meeting_outputs"]

_INPUTS, _OUTPUTS = ("a", "b"), ("c", "d")


def meeting_outputs(lab: LabFile) -> list[str]:
    """Return where paths begin that leave interferometers."""
    found = [name for name, optic in lab.optics.items() if isinstance(optic, InterferometerModel)]
    return [f"{name}.{output}" for name in found for output in _OUTPUTS]


class MeetingBuilder:
    """Notes who comes to which interferometer, and joins sources that meet.

    Parameters
    ----------
    checked:
        The lab file; takes the complaints.

    Attributes
    ----------
    used:
        The interferometers that light comes to.
    """

    def __init__(self, checked: Checked) -> None:
        self._checked = checked
        self._entered: dict[str, list[tuple[str, str]]] = {}
        self._places: dict[int, tuple[str, str]] = {}
        self._keys: dict[str, Key] = {}
        self._lines: dict[str, PairLine] = {}
        self._optics: dict[str, PairSourceModel] = {}
        self.used: set[str] = set()

    def entrance(self, name: str, entrance: str, key: Key) -> Entrance | None:
        """Return an input of an interferometer as the end of a path, None after a complaint."""
        if entrance not in _INPUTS:
            text = f"found {f'{name}.{entrance}' if entrance else name!r}; expected an input, {name}.a or {name}.b"
            self._checked.complain(key, text)
            return None
        number = stable_id(f"{name}.{entrance}")
        self._places[number] = (name, entrance)
        self._keys[f"{name}.{entrance}"] = key
        self.used.add(name)
        return Entrance(number)

    def enter(self, source: str, arms: Mapping[str, Arm | None]) -> None:
        """Note to which inputs a source's photons come."""
        for photon, arm in arms.items():
            for outcome in arm.outcomes(0, Path()) if arm is not None else ():
                if outcome.port.detector_id in self._places:
                    name, entrance = self._places[outcome.port.detector_id]
                    self._entered.setdefault(name, []).append((entrance, f"{source}.{photon}"))

    def add(self, name: str, optic: PairSourceModel, line: PairLine) -> None:
        """Take a source, whether it meets another or not."""
        self._lines[name], self._optics[name] = line, optic

    def lines(self, ways: Mapping[str, Arm | None]) -> list[Line]:
        """Return the lines of all sources; those that meet are one.

        Parameters
        ----------
        ways:
            What follows each output.
        """
        meetings: dict[str, Meeting] = {}
        groups = {name: {name} for name in self._lines}
        for name, optic in self._checked.lab.optics.items():
            if not isinstance(optic, InterferometerModel):
                continue
            meeting = self._meeting(name, optic, ways)
            if meeting is None:
                continue
            one, other = (photon.partition(".")[0] for _, photon in self._entered[name])
            if one not in groups or other not in groups:
                continue
            if one != other and groups[one] is groups[other]:
                text = f"{one} and {other} meet elsewhere as well; the phase between the two places is not modelled"
                self._checked.complain(("optics", name), text)
                continue
            meetings[name] = meeting
            joined = groups[one] | groups[other]
            for member in joined:
                groups[member] = joined
        return self._join(groups, meetings)

    def _meeting(self, name: str, optic: InterferometerModel, ways: Mapping[str, Arm | None]) -> Meeting | None:
        key: Key = ("optics", name)
        came = self._entered.get(name, [])
        alone = True
        for entrance in _INPUTS:
            who = [photon for place, photon in came if place == entrance]
            if len(who) != 1:
                what = f"{' and '.join(who)} come to {name}.{entrance}" if who else f"no path ends at {name}.{entrance}"
                where = self._keys.get(f"{name}.{entrance}", key)
                text = f"{what}; one photon of a pair_source must come to each of {name}.a and {name}.b"
                self._checked.complain(where, text)
                alone = False
        if not alone:
            return None
        if came[0][1] == came[1][1]:
            self._checked.complain(
                key, f"{came[0][1]} comes to both inputs; the phase between its two ways is not modelled"
            )
            return None
        arms = [ways.get(f"{name}.{output}") for output in _OUTPUTS]
        if arms[0] is None or arms[1] is None:
            return None
        leak = 10.0 ** (-optic.extinction_db / 10.0)
        of_both = (optic.transmittance, optic.transmittance)
        transmittances = (1.0 - leak, leak) if optic.splitter == "pbs" else of_both
        inputs = (stable_id(f"{name}.a"), stable_id(f"{name}.b"))
        return Meeting(inputs, (arms[0], arms[1]), transmittances, optic.overlap)

    def _join(self, groups: Mapping[str, set[str]], meetings: Mapping[str, Meeting]) -> list[Line]:
        found: list[Line] = []
        done: set[str] = set()
        for name, line in self._lines.items():
            pulsed = self._optics[name].pulsed
            here = [meetings[m] for m in meetings if self._entered[m][0][1].partition(".")[0] in groups[name]]
            if name in done:
                continue
            if not here and not (pulsed is not None and pulsed.stimulated):
                found.append(line)
                continue
            done |= groups[name]
            members = [one for one in self._lines if one in groups[name]]
            sources = [self._lines[one] for one in members]
            if not all(self._pure(one) for one in members):
                continue
            try:
                pulsing = [one for one in sources if isinstance(one, PulsedPairLine)]
                found.append(JointLine(stable_id("+".join(members)), pulsing, here))
            except WorldError as error:
                others = ", ".join(f"{one}: {self._trigger(one)}" for one in members)
                self._checked.complain(("optics", name, "pulsed", "trigger", "from"), f"{error} ({others})")
        return found

    def _pure(self, name: str) -> bool:
        """Return whether a source's photons can interfere, and complain if not."""
        pulsed = self._optics[name].pulsed
        key: Key = ("optics", name)
        if pulsed is None:
            self._checked.complain(
                key, f"the photons of {name} meet others, so it must pulse: give it a 'pulsed' section"
            )
            return False
        modes = math.inf if pulsed.modes is None else pulsed.modes
        if not 1.0 <= modes <= MOST_SCHMIDT:
            shown = "none (Poissonian)" if pulsed.modes is None else f"{pulsed.modes:g}"
            text = f"found {shown}; photons that interfere have a purity 1/modes, expected 1 to {MOST_SCHMIDT:g}"
            self._checked.complain((*key, "pulsed", "modes"), text)
            return False
        return True

    def _trigger(self, name: str) -> str:
        pulsed = self._optics[name].pulsed
        return pulsed.trigger.from_ if pulsed is not None else "none"

"""World faults: what goes wrong between the instruments of a lab, from now on.

=================  ======  =====================================================================================
kind               place   fields
=================  ======  =====================================================================================
`fibre_cut`        fibre   `active` (false: spliced again)
`fibre_loss`       fibre   `db` more than it has
`fibre_delay`      fibre   `by_ps` later than it is, `way` (`forth`, `back`; `both`): one way is a delay attack
`warmth`           fibre,  `by_k` above what it is otherwise, `tau_s` in which it gets there (0: at once)
                   node
`clock_step`       node    `by_ps`
`clock_leap`       node    `by_s` (1): a leap second that the others do not have
`clock_frequency`  node    `by`: a jump of the fractional frequency
`gps_outage`       node    `active` (false: satellites are back); or `for_s`
`attack`           optic   `fraction` of the light that an eavesdropper takes, or a weak source's photon splitter
=================  ======  =====================================================================================

Losses, delays and warmth are set, and 0 takes them back; steps and jumps of a clock add up.  `qlab twin world` does it from a
shell, `lab.faults.arm` from Python; what is to happen at a known time stands in the lab file (`events` of a clock
and of a fibre).
"""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from qlab.errors import BadRequestError
from qlab.lab.fibre_events import CUT_DB
from qlab.lab.node_clocks import is_disciplined, of_node
from qlab.lab.optic_models import EavesdropperModel, FibreModel, WeakSourceModel
from qlab.lab.source import nearest
from qlab.physics.knob import Relaxation, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qlab.clock import Clock
    from qlab.lab.models import LabFile
    from qlab.lab.wires import Wiring

__all__ = ["WorldFaults"]

SECOND_PS = 10**12
Number = int | float


@dataclass(slots=True)
class WorldFaults:
    """Carries out world faults.

    Parameters
    ----------
    lab, wiring, clock:
        The lab file, what was built from it, and the lab's clock.
    latched:
        Efficiency and dark rate that latched detectors had.
    """

    lab: LabFile
    wiring: Wiring
    clock: Clock
    latched: dict[str, tuple[float, float]] = field(default_factory=dict)

    def arm(self, kind: str, place: str, **fields: object) -> None:
        """Let a fault happen from now on; raises `BadRequestError` for what cannot be."""
        faults = self._faults()
        if kind not in faults:
            msg = f"there is no world fault {kind!r}; {nearest(kind, faults)}: {', '.join(faults)}"
            raise BadRequestError(msg)
        try:
            inspect.signature(faults[kind]).bind(place, **fields)
        except TypeError as error:
            known = [f"{p}" for p in list(inspect.signature(faults[kind]).parameters)[1:]]
            msg = f"world fault {kind}: {error}; its fields are {', '.join(known)}"
            raise BadRequestError(msg) from error
        for name, value in fields.items():
            flag, word = name == "active", name == "way"
            good = isinstance(value, bool) if flag else isinstance(value, str) if word else _is_number(value)
            if not good:
                wanted = "true or false" if flag else "a word" if word else "a finite number"
                msg = f"world fault {kind}: {name} is {value!r}; expected {wanted}"
                raise BadRequestError(msg)
        faults[kind](place, **fields)

    def answer(self, request: Mapping[str, object]) -> object:
        """Carry out a request of the control channel: `kind`, `place` and the fields; without any, list the kinds."""
        fields = dict(request)
        kind, place = fields.pop("kind", None), fields.pop("place", None)
        if kind is None:
            return {name: list(inspect.signature(fault).parameters) for name, fault in self._faults().items()}
        if not isinstance(kind, str) or not isinstance(place, str):
            msg = f"world fault {kind!r} at {place!r}; expected the names of a kind and of a fibre or node"
            raise BadRequestError(msg)
        self.arm(kind, place, **fields)
        return {"kind": kind, "place": place, "since_ps": self.clock.now_ps(), **fields}

    def _faults(self) -> dict[str, Callable[..., None]]:
        return {
            "fibre_cut": self._fibre_cut,
            "fibre_loss": self._fibre_loss,
            "fibre_delay": self._fibre_delay,
            "warmth": self._warmth,
            "clock_step": self._clock_step,
            "clock_leap": self._clock_leap,
            "clock_frequency": self._clock_frequency,
            "gps_outage": self._gps_outage,
            "detector_latch": self._detector_latch,
            "attack": self._attack,
        }

    def _attack(self, place: str, fraction: Number) -> None:
        attacked = [
            name
            for name, optic in self.lab.optics.items()
            if isinstance(optic, EavesdropperModel) or (isinstance(optic, WeakSourceModel) and optic.splitting)
        ]
        if place not in attacked:
            msg = f"there is no eavesdropper {place!r}; {nearest(place, attacked)}"
            raise BadRequestError(msg)
        if not 0.0 <= fraction <= 1.0:
            msg = f"world fault attack: fraction is {fraction!r}; expected a share of the light, 0 to 1"
            raise BadRequestError(msg)
        self._set(place, "fraction", float(fraction))

    def _fibre_cut(self, place: str, *, active: bool = True) -> None:
        self._set(self._fibre(place), "extra_db", CUT_DB if active else 0.0)

    def _fibre_loss(self, place: str, db: Number) -> None:
        self._set(self._fibre(place), "extra_db", float(db))

    def _fibre_delay(self, place: str, by_ps: Number, way: Literal["forth", "back", "both"] = "both") -> None:
        if way not in ("forth", "back", "both"):
            msg = f"world fault fibre_delay: way is {way!r}; expected forth, back or both"
            raise BadRequestError(msg)
        for each in ("forth", "back"):
            if way in (each, "both"):
                self._set(self._fibre(place), f"extra_ps.{each}", float(by_ps))

    def _warmth(self, place: str, by_k: Number, tau_s: Number = 0.0) -> None:
        fibre = isinstance(self.lab.optics.get(place), FibreModel)
        name = place if fibre else of_node(self._node(place, "a fibre or a node"))
        knob, now = self.wiring.knob(name, "warm_k"), self.clock.now_ps()
        if tau_s > 0:
            knob.set(Relaxation(now, knob.value(now), float(by_k), round(tau_s * SECOND_PS)), now)
        else:
            knob.set(float(by_k), now)

    def _clock_step(self, place: str, by_ps: Number) -> None:
        self._add(place, "phase_ps", float(round(by_ps)))

    def _clock_leap(self, place: str, by_s: Number = 1) -> None:
        self._add(place, "phase_ps", float(round(by_s) * SECOND_PS))

    def _clock_frequency(self, place: str, by: Number) -> None:
        if not abs(by) <= 1e-3:
            msg = f"world fault clock_frequency: by is {by!r}; expected -1e-3 to 1e-3"
            raise BadRequestError(msg)
        self._add(place, "frequency", float(by))

    def _gps_outage(self, place: str, *, active: bool = True, for_s: Number = math.inf) -> None:
        clock = self.lab.nodes[self._node(place, "a node")].clock
        if not is_disciplined(clock):
            how = f"the faults of {clock.source}" if clock.source is not None else "kind gps_disciplined"
            msg = f"world fault gps_outage: the clock of {place} holds itself to nothing; expected {how}"
            raise BadRequestError(msg)
        knob, now = self.wiring.knob(of_node(place), "gps_lost"), self.clock.now_ps()
        if active and math.isfinite(for_s):
            knob.set(Step(1.0, now + round(for_s * SECOND_PS), 0.0), now)
        else:
            knob.set(1.0 if active else 0.0, now)

    def _detector_latch(self, place: str, *, active: bool = True) -> None:
        detector = self.wiring.detectors.get(place)
        if detector is None:
            msg = f"there is no detector {place!r}; {nearest(place, self.wiring.detectors)}"
            raise BadRequestError(msg)
        now = self.clock.now_ps()
        knobs = (detector.efficiency, detector.dark_rate_hz)
        if active and place not in self.latched:
            self.latched[place] = (knobs[0].value(now), knobs[1].value(now))
        values = (0.0, 0.0) if active else self.latched.pop(place, None)
        for knob, value in zip(knobs, values or (), strict=False):
            knob.set(value, now)

    def _fibre(self, place: str) -> str:
        fibres = [name for name, optic in self.lab.optics.items() if isinstance(optic, FibreModel)]
        if place not in fibres:
            msg = f"there is no fibre {place!r}; {nearest(place, fibres)}"
            raise BadRequestError(msg)
        return place

    def _node(self, place: str, wanted: str) -> str:
        if place not in self.lab.nodes:
            msg = f"{place!r} is not {wanted}; {nearest(place, self.lab.nodes)}"
            raise BadRequestError(msg)
        return place

    def _set(self, name: str, quantity: str, value: float) -> None:
        self.wiring.knob(name, quantity).set(value, self.clock.now_ps())

    def _add(self, place: str, quantity: str, value: float) -> None:
        knob, now = self.wiring.knob(of_node(self._node(place, "a node")), quantity), self.clock.now_ps()
        knob.set(knob.value(now) + value, now)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)

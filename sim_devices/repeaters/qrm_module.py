"""A repeater module's twin: qubits and the links on which they are entangled with others."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S
from qlab.twin.scpi import ScpiError
from sim_devices.repeaters.qrm_distilling import Distilling
from sim_devices.repeaters.qrm_events import FAILED, EventType
from sim_devices.repeaters.qrm_slots import FOREVER, Link, Pair, device_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.physics.midpoint import Result
    from qlab.twin.bench import Bench
    from sim_devices.repeaters.qrm_parameters import Parameters
    from sim_devices.repeaters.qrm_slots import Heard

__all__ = ["Module"]


class Module(Distilling):
    """Qubits, links, events; parameters as for `Qubits`."""

    def __init__(self, name: str, bench: Bench, parameters: Parameters, local: Callable[[int], int]) -> None:
        super().__init__(name, bench, parameters, local)
        p = parameters
        self.discarded = False
        self.links: dict[int, Link] = {}
        for k in range(1, p.links + 1):
            end = bench.entanglement_link(name, k)
            end.emission_probability = p.emission_probability
            end.tick_ps, end.gate_ps = round(PS_PER_S / p.tick_hz), round(p.attempt_s * PS_PER_S)
            self.links[k] = Link(k, end)

    # What comes from outside.

    def collect(self, now_ps: int) -> None:
        """Schedule what the midpoints have said by now."""
        for link in self.links.values():
            result = link.end.poll(now_ps)
            if result is not None:
                self._await(link, result)

    def _await(self, link: Link, result: Result) -> None:
        self.schedule(result.t_ps, lambda t_ps: self._heard(link, result, t_ps))

    def awaited_ps(self, now_ps: int) -> int:
        """Return when a midpoint may say something."""
        dues = [link.end.due_ps(now_ps) for link in self.links.values()]
        return min((due for due in dues if due is not None), default=FOREVER)

    def expiry(self) -> tuple[int, Callable[[int], None]]:
        """Return the pair that gets too old first."""
        due_ps, number = min((self._expires_ps(n), n) for n in self.slots)
        return due_ps, lambda t_ps: self._cut_off(number, t_ps)

    def link(self, k: int) -> Link:
        """Return a link; -114 where there is none."""
        if k not in self.links:
            raise ScpiError(-114)
        return self.links[k]

    def link_state(self, link: Link) -> str:
        """Return a link's state word."""
        if not link.enabled:
            return "OFF"
        if link.end.burst is not None:
            return "ATT"
        if not link.end.ready or link.end.peer is None or not link.end.peer.ready:
            return "SYNC"
        return link.outcome or "READ"

    def generate(self, link: Link, target: int, *, most: int | None = None, heard: Heard | None = None) -> None:
        """Begin a burst of attempts on the communication qubit."""
        self.slot(target)
        if not link.enabled or link.end.burst is not None:
            raise device_error(104)
        if self.flags & 1:
            raise device_error(107)
        if link.end.peer is None or not link.end.peer.ready:
            raise device_error(109)
        if self.slots[1].state in ("ENT", "USED") or self.slots[target].state in ("ENT", "USED"):
            raise ScpiError(-221)
        self.occupy([1], initialised=False)
        link.target, link.outcome, link.heard = target, "", heard
        self._clear(1, "UNIN")
        link.end.window_ps = round(link.window_s * PS_PER_S)
        link.end.begin(self.slots[1].number, self.present_ps(), most or link.most)

    def abort(self, link: Link, *, kind: EventType = EventType.HERALD_FAIL) -> None:
        """Break a burst off."""
        now_ps = self._clock.now_ps()
        if link.end.burst is None:
            return
        attempts = link.end.attempts(now_ps)
        link.end.end(now_ps)
        link.counted += attempts
        link.outcome = "FAIL"
        link.herald = (0, 0, 0, attempts, self._local(now_ps))
        self.slots[1].busy = False
        self._register.forget(self.slots[1].number, now_ps)
        self.record(kind, now_ps, outcome=FAILED, qubit=1, link=link.number, attempts=attempts)

    def _heard(self, link: Link, result: Result, t_ps: int) -> None:
        self.slots[1].busy = False
        link.counted += result.attempts
        bell = FAILED if result.bell is None else result.bell
        link.herald = (int(result.bell is not None), bell, result.pair_id, result.attempts, self._local(t_ps))
        link.outcome = "FAIL" if result.bell is None else "HER"
        told = {"qubit": 1, "link": link.number, "attempts": result.attempts, "pair_id": result.pair_id}
        if result.bell is None:
            if link.heard is None:
                self.record(EventType.HERALD_FAIL, t_ps, outcome=FAILED, **told)
            else:
                link.heard(t_ps, None, 0)
            return
        f0 = self.parameters.model_fidelity
        pair = Pair(result.pair_id, result.bell, link.number, result.attempts, t_ps, result.emitted_ps, f0)
        slot = self.slots[1]
        slot.state, slot.pair, slot.expired = "ENT", pair, False
        if link.heard is not None:
            value = self._read(1, link.basis, t_ps, log=False) if link.kind == "M" else 0
            link.heard(t_ps, result.bell, value)
            return
        self.record(EventType.HERALD, t_ps, outcome=bell, fidelity=pair.fidelity(t_ps, slot.t2_s), **told)
        if link.kind == "M":
            self._read(1, link.basis, t_ps)
        elif link.target != 1 and not self.slots[link.target].busy:
            self.two_qubit("MOVE", 1, link.target)

    def free(self, n: int) -> None:
        """Give a qubit up; a burst that uses it ends."""
        for link in self.links.values():
            if n == 1 and link.end.burst is not None:
                self.abort(link)
        if self.slot(n).busy:
            raise device_error(102)
        self._register.forget(self.slots[n].number, self._clock.now_ps())
        self._clear(n, "UNIN")

    def _expires_ps(self, n: int) -> int:
        slot = self.slots[n]
        if slot.pair is None or slot.busy or not math.isfinite(self.links[slot.pair.link].cut_off_s):
            return FOREVER
        return slot.pair.heralded_ps + round(self.links[slot.pair.link].cut_off_s * PS_PER_S)

    def _cut_off(self, n: int, t_ps: int) -> None:
        slot = self.slots[n]
        if slot.pair is not None:
            told = {"qubit": n, "link": slot.pair.link, "pair_id": slot.pair.id, "attempts": slot.pair.attempts}
            self.record(EventType.CUTOFF, t_ps, fidelity=slot.pair.fidelity(t_ps, slot.t2_s), **told)
        self._register.forget(slot.number, t_ps)
        self._clear(n, "UNIN")
        slot.expired = self.discarded = True

    def reset(self) -> None:
        """Give everything up."""
        now_ps = self._clock.now_ps()
        self.forget_all()
        for link in self.links.values():
            link.end.end(now_ps)
            link.end.ready = False
            self.links[link.number] = Link(link.number, link.end)
        for n, slot in self.slots.items():
            slot.busy = False
            self._register.forget(slot.number, now_ps)
            self._clear(n, "UNIN")
        self.events.clear()
        self.discarded = False
        self.swapped = (0, 0, 0, 0)

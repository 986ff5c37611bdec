"""Repeater modules, and the two parties that make keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ophyd.status import Status

    from qlab.roles.detection import TimeTagger
    from qlab.roles.light import PhotonSource
    from qlab.roles.polarisation import Rotator

__all__ = [
    "DistillationResult",
    "EntangledHalf",
    "KeyParties",
    "KeyRules",
    "RepeaterModule",
    "SwapResult",
]


@runtime_checkable
class RepeaterModule(Protocol):
    """Memory qubits, numbered from 1, that are entangled with a neighbour's over links, numbered from 1.

    Local operations take microseconds to milliseconds of lab time and fail with `InstrumentError` where the module refuses
    them (a qubit that is busy or not initialised, no pair).  All raise `BadRequestError` at once for numbers that there are
    not.
    """

    name: str

    @property
    def pairs(self) -> Mapping[int, EntangledHalf]:
        """What is stored, by qubit, as last heard; reading a qubit out or swapping takes it away."""

    @property
    def outcomes(self) -> Mapping[int, int]:
        """The last outcome, 0 or 1, by qubit."""

    @property
    def last_swap(self) -> SwapResult | None:
        """What the last swap said."""

    def generate(self, link: int, qubit: int = 1, timeout_s: float = 60.0) -> Status:
        """Try for a pair until one is heralded and stored; both ends must try at the same time.

        Fails with `InstrumentError` after `timeout_s` of lab time, after the most attempts, or where the link is not ready.
        """

    def read_out(self, qubit: int, axis: Literal["X", "Y", "Z"] = "Z") -> Status:
        """Measure a qubit, which destroys its state."""

    def swap(self, a: int, b: int) -> Status:
        """Join the pairs on two qubits into one between their far ends."""

    def distil(self, kept: int, spent: int) -> Status:
        """Spend the pair on one qubit to test that on another; the far end does the same."""

    @property
    def last_distillation(self) -> DistillationResult | None:
        """What the last purification said."""

    def free(self, qubit: int) -> Status:
        """Give a qubit up."""

    def make_safe(self) -> None:
        """End all attempts; what is stored stays."""


class EntangledHalf(Protocol):
    """One end's half of a pair: `id` is the same at both ends, `bell` is 0 Phi+, 1 Phi-, 2 Psi+, 3 Psi-."""

    @property
    def id(self) -> int:
        """Its number, the same at both ends."""
        ...

    @property
    def bell(self) -> int:
        """Which Bell state, as heralded: 0 to 3 for phi+, phi-, psi+, psi-."""
        ...

    @property
    def fidelity(self) -> float:
        """What the module believes."""


class DistillationResult(Protocol):
    """One end's outcome, to be compared with the far end's, and the pairs' identities."""

    @property
    def outcome(self) -> int:
        """0 or 1."""

    @property
    def kept_id(self) -> int:
        """Of the pair that is kept."""

    @property
    def spent_id(self) -> int:
        """Of the pair that was measured."""


class SwapResult(Protocol):
    """The joined pair has the Bell label `left ^ right ^ bell` of the two pairs' labels."""

    @property
    def bell(self) -> int:
        """Label of the outcome of the Bell measurement: 0 to 3."""
        ...


class KeyRules(Protocol):
    """The rules of both parties, as far as a plan acts on them; the parties themselves know the others."""

    @property
    def protocol(self) -> str:
        """`bbm92`, `e91` or `decoy`."""
        ...

    @property
    def piece_s(self) -> float:
        """Photons are taken in pieces of this length."""
        ...

    @property
    def tolerance(self) -> float:
        """Error rate up to which a block is taken."""
        ...


@runtime_checkable
class KeyParties(Protocol):
    """Two parties of a lab that make keys: the lab file's section `qkd` with the devices that it names.

    `alice_tagger`, `bob_tagger` and `level_tagger` are `TimeTagger`s, the last or None; `light` is a `PhotonSource` or None;
    `alice_mount` and `bob_mount` turn the plates of parties that choose their settings, or are None; `rules` is the section,
    `folder` where both ledgers are.
    """

    name: str
    rules: KeyRules
    alice_tagger: TimeTagger
    bob_tagger: TimeTagger
    light: PhotonSource | None
    folder: Path
    level_tagger: TimeTagger | None
    alice_mount: Rotator | None
    bob_mount: Rotator | None

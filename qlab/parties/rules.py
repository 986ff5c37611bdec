"""What a lab file's section `qkd` says, as the rules, settings and facts that a party goes by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from qlab.errors import BadRequestError
from qlab.qkd.assumptions import DeviceFacts
from qlab.qkd.decoy import Intensities
from qlab.qkd.finite_key import SecurityTarget
from qlab.qkd.policy import QkdPolicy
from qlab.qkd.sifting import Outcome

if TYPE_CHECKING:
    from qlab.lab.qkd_model import PartyModel, QkdModel, SettingModel
    from qlab.qkd.authentication import Role

__all__ = ["facts_of", "outcomes_of", "policy_of", "positions_of", "settings_of"]

_PORTS: tuple[Literal[0], Literal[1]] = (0, 1)


def policy_of(model: QkdModel) -> QkdPolicy:
    """Return the rules that a lab file gives.

    Raises
    ------
    BadRequestError
        Pieces are too short to find clocks that may be so far apart.
    """
    if model.piece_s < 2.5e-12 * model.clock_offset_ps:
        msg = (
            f"qkd: pieces of {model.piece_s:g} s with clocks up to {model.clock_offset_ps * 1e-12:g} s apart: expected "
            f"pieces of at least {2.5e-12 * model.clock_offset_ps:g} s, so that both have enough photons in common"
        )
        raise BadRequestError(msg)
    return QkdPolicy(
        window_ps=model.window_ps,
        merge_ps=model.merge_ps,
        clock_offset_ps=model.clock_offset_ps,
        clock_frequency=model.clock_frequency,
        delay_search_ps=model.delay_search_ps,
        peak_width_ps=model.peak_width_ps,
        key_bits=model.key_bits,
        test_bits=model.test_bits,
        most_pieces=model.most_pieces,
        tolerance=model.tolerance,
        expected_error_rate=model.expected_error_rate,
        variant=model.variant,
        target=SecurityTarget(model.eps_sec, model.eps_cor),
        accepted=frozenset(model.accept),
        intensities=intensities_of(model),
        chsh=model.protocol == "e91",
        chosen=(model.alice.choice is not None, model.bob.choice is not None),
    )


def intensities_of(model: QkdModel) -> Intensities | None:
    """Return the pulses' intensities; None where photons come in pairs."""
    if model.protocol != "decoy":
        return None
    levels = model.intensities.values()
    return Intensities(tuple(level.photons for level in levels), tuple(level.share for level in levels))


def settings_of(model: QkdModel, party: PartyModel) -> list[SettingModel]:
    """Return the settings that a party chooses from, that of the key first; none where beam splitters choose."""
    if party.choice is None:
        return []
    other = "DA" if model.key_basis == "HV" else "HV"
    order = [model.key_basis, other] if model.protocol == "bbm92" else sorted(party.choice.settings)
    return [party.choice.settings[name] for name in order]  # type: ignore[index]


def positions_of(model: QkdModel, party: PartyModel) -> list[float]:
    """Return where the party's plate stands in each of its settings."""
    return [one.position_deg for one in settings_of(model, party)]


def outcomes_of(model: QkdModel, party: PartyModel) -> dict[int, Outcome]:
    """Return what each channel of a party means: the tagger's from 0, or 2 * setting + port where the party chooses."""
    bases: tuple[Literal["key", "test", "third"], ...] = ("key", "test", "third")
    if party.choice is not None:
        return {2 * n + port: Outcome(bases[n], port) for n in range(len(party.choice.settings)) for port in _PORTS}
    found = {}
    for letter, number in party.inputs.items():
        basis = "HV" if letter in "HV" else "DA"
        found[number - 1] = Outcome("key" if basis == model.key_basis else "test", 0 if letter in "HD" else 1)
    if len(found) != 4:
        msg = f"qkd: inputs {party.inputs} of {party.tagger}: expected four different ones"
        raise BadRequestError(msg)
    return found


def facts_of(model: QkdModel, role: Role) -> DeviceFacts:
    """Return what a lab file knows of a party's receiver, and how it chooses its settings."""
    party = model.alice if role == "reference" else model.bob
    facts = party.facts
    sends = model.protocol == "decoy" and role == "reference"
    return DeviceFacts(
        facts.efficiency_mismatch,
        None if facts.dead_time_ps is None else tuple(facts.dead_time_ps),
        facts.simultaneous_dead_time,
        None,
        facts.blinding_watched,
        basis_choice="modulator" if sends else "splitter" if party.choice is None else "analyser",
        hold_s=model.piece_s,
        gate_ps=facts.gate_ps,
    )

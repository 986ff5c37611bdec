"""Two parties of a lab, with the devices that the lab file's section `qkd` names; role `qlab.roles.KeyParties`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from qlab.lab.check import Checked
    from qlab.lab.qkd_model import PartyModel, QkdModel

__all__ = ["LabParties", "lab_parties"]


@dataclass(frozen=True, slots=True)
class LabParties:
    """Rules, taggers, light, and where both ledgers are."""

    name: str
    rules: QkdModel
    alice_tagger: Any
    bob_tagger: Any
    light: Any
    folder: Path
    level_tagger: Any = None
    alice_mount: Any = None
    bob_mount: Any = None


def lab_parties(checked: Checked, devices: dict[str, Any], folder: Path) -> LabParties | None:
    """Return the parties of a lab; None where it has none, or after a complaint."""
    rules = checked.lab.qkd
    if rules is None:
        return None
    named = {"alice": rules.alice.tagger, "bob": rules.bob.tagger}
    known = [checked.instrument(tagger, ("qkd", side, "tagger")) for side, tagger in named.items()]
    if rules.source is not None:
        known.append(checked.instrument(rules.source, ("qkd", "source")))
    for side, party in (("alice", rules.alice), ("bob", rules.bob)):
        known.append(_receiver(checked, side, party))
    level_tagger = rules.alice.level_tagger
    if rules.protocol == "decoy":
        if (
            level_tagger is None
            or set(rules.alice.levels) != set(rules.intensities)
            or len(rules.intensities) not in (2, 3)
        ):
            text = "expected a level_tagger, and under 'levels' an input for each of two or three 'intensities'"
            checked.complain(("qkd", "alice"), text)
        else:
            known.append(checked.instrument(level_tagger, ("qkd", "alice", "level_tagger")))
    if not all(known):
        return None
    light = devices[rules.source] if rules.source is not None else None
    taggers = devices[rules.alice.tagger], devices[rules.bob.tagger]
    levels = devices[level_tagger] if rules.protocol == "decoy" and level_tagger in devices else None
    mounts = [None if party.choice is None else devices[party.choice.mount] for party in (rules.alice, rules.bob)]
    return LabParties("parties", rules, *taggers, light, folder, levels, *mounts)


def _receiver(checked: Checked, side: str, party: PartyModel) -> bool:
    """Check how a party chooses its basis; return whether that can be."""
    place: tuple[str, ...] = ("qkd", side)
    rules = checked.lab.qkd
    choice = party.choice
    if choice is None:
        if len(set(party.inputs.values())) != 4:
            checked.complain((*place, "inputs"), f"found {dict(party.inputs)}; expected four different inputs")
            return False
        if rules is not None and rules.protocol == "e91" and side == "alice":
            checked.complain(
                place, "expected a 'choice': Alice's settings in E91 are three, and four inputs are those of two"
            )
            return False
        return True
    wanted = {"HV", "DA"}
    if rules is not None and rules.protocol == "e91":
        wanted = {"a0", "a1", "a2"} if side == "alice" else {"b1", "b2"}
    shares = sum(one.share for one in choice.settings.values())
    if set(choice.settings) != wanted or abs(shares - 1.0) > 1e-6 or party.inputs or len(set(choice.ports)) != 2:
        text = (
            f"found settings {', '.join(choice.settings)} with shares that add up to {shares:g}, ports {choice.ports}"
            f"{', and inputs' if party.inputs else ''}; expected {', '.join(sorted(wanted))}, together 1, "
            "two different ports, and no 'inputs'"
        )
        checked.complain((*place, "choice"), text)
        return False
    if rules is not None and rules.protocol == "decoy":
        checked.complain(
            (*place, "choice"), "expected none with decoy states: pulses are chosen one by one, use 'inputs'"
        )
        return False
    return checked.instrument(choice.mount, (*place, "choice", "mount"))

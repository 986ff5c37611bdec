"""Two parties of a lab, with the devices that the lab file's section `qkd` names; role `qlab.roles.KeyParties`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from qlab.lab.check import Checked
    from qlab.lab.qkd_model import QkdModel

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
        if len(set(party.inputs.values())) != 4:
            checked.complain(("qkd", side, "inputs"), f"found {dict(party.inputs)}; expected four different inputs")
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
    return LabParties("parties", rules, *taggers, light, folder, levels)

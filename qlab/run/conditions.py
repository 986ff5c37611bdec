"""Under which conditions a run was taken: who the instruments are and how they are set, as far as is known without asking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qlab.lab.build import Lab

__all__ = ["conditions"]


def conditions(lab: Lab) -> dict[str, dict[str, Any]]:
    """Return, by instrument, `identity`, `address` and `settings`.

    A setting is the last value that its signal had, a number or a text, and its unit; nothing is asked of the instruments.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in lab.file.instruments:
        device = lab.devices[name]
        units = device.describe_configuration()
        settings = {
            key.removeprefix(f"{name}_"): [reading["value"], units.get(key, {}).get("units", "")]
            for key, reading in device.read_configuration().items()
            if isinstance(reading["value"], (bool, int, float, str))
        }
        where = "twin" if lab.file.instruments[name].is_twin else device.link.address
        found[name] = {"identity": device.identity_text, "address": where, "settings": settings}
    return found

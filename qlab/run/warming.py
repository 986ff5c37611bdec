"""Ovens are brought to their temperature before anything is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from qlab.lab.build import Lab

__all__ = ["warm_up"]


def warm_up(lab: Lab, tell: Callable[[str], object] | None = None) -> None:
    """Bring every oven to the temperature that the lab file asks for, and wait until it has settled."""
    for name, device in lab.devices.items():
        target = getattr(getattr(device, "settings", None), "temperature_c", None)
        if target is not None and hasattr(device, "switch_heater"):
            device.set(target).wait()
            if tell is not None:
                seconds = lab.clock.now_ps() / PS_PER_S
                tell(f"{name}: {device.actual_c.get():.1f} degC after {seconds:.0f} s of lab time")

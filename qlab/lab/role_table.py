"""Which class plays which role: the table of `docs/roles.md` (`make pages`), from devices as a lab makes them."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlab import roles
from qlab.lab.build import open_lab
from qlab.lab.classes import find_device_class, known_devices
from qlab.lab.models import AnalyserModel

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["role_table", "roles_of"]

HEAD = "| class | roles |"
COMMON = "Monitored"
"""The role that every class has."""
ROLES = {
    name: getattr(roles, name)
    for name in roles.__all__
    if name != COMMON and getattr(getattr(roles, name), "_is_runtime_protocol", False)
}


def roles_of(device: object) -> list[str]:
    """Return the roles that a device has, as `qlab run` finds them."""
    return sorted(name for name, role in ROLES.items() if isinstance(device, role))


def role_table() -> str:
    """Return the table, one row a class of ours, on twins to which nobody has connected; and the composite analyser."""
    names = sorted(name for name in known_devices() if name.startswith("devices."))
    lines = ["qlab: 1", "name: roles", "instruments:"]
    for n, name in enumerate(names):
        shared = getattr(find_device_class(name), "multidrop", False)
        lines.append(f"  i{n}: {{class: {name}, " + ('address: "twin:bus", unit: "0"}' if shared else "address: twin}"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "roles.yaml"
        path.write_text("\n".join(lines) + "\n")
        with open_lab(str(path), data_dir=Path(folder), connect=False) as lab:
            devices: dict[str, Any] = {name: lab.devices[f"i{n}"] for n, name in enumerate(names)}
            found = {name: roles_of(device) for name, device in {**devices, **_composite(devices)}.items()}
    rows = [f"| `{n.removeprefix('devices.')}` | {', '.join(f'`{r}`' for r in found[n])} |" for n in sorted(found)]
    return "\n".join([HEAD, "|---|---|", *rows])


def _composite(devices: Mapping[str, Any]) -> dict[str, Any]:
    """Return an analyser made of two of the rotators."""
    name = str(AnalyserModel.model_fields["class_"].default)
    mounts = [device for device in devices.values() if "Rotator" in roles_of(device)]
    parts: dict[str, Any] = {"hwp": mounts[0], "qwp": mounts[1], "transmitted": 1, "reflected": 2}
    analyser: Any = find_device_class(name, composite=True)
    return {name: analyser(name="analyser", clock=mounts[0].clock, **parts)}


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(page.read_text().partition(HEAD)[0] + role_table() + "\n")

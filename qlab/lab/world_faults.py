"""What goes wrong in the world, armed while it runs: through the control channel, or from Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlab.errors import WorldError
from qlab.lab.optic_models import EavesdropperModel, WeakSourceModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.lab.build import Lab

__all__ = ["change_world"]


def change_world(lab: Lab, request: Mapping[str, object]) -> dict[str, object]:
    """Carry out the op `world` of the control channel.

    Parameters
    ----------
    lab:
        An open lab.
    request:
        `optic`, an eavesdropper or an attacked weak source, and `fraction`, the share of the light that is attacked by now.

    Raises
    ------
    WorldError
        There is no such thing, or the share is none.
    """
    optic, fraction = request.get("optic"), request.get("fraction")
    fitting = [
        name
        for name, model in lab.file.optics.items()
        if isinstance(model, EavesdropperModel) or (isinstance(model, WeakSourceModel) and model.splitting is not None)
    ]
    if unknown := set(request) - {"optic", "fraction"}:
        msg = f"the world knows no {', '.join(sorted(unknown))}; expected optic and fraction"
        raise WorldError(msg)
    if optic not in fitting:
        msg = f"found optic {optic!r}; expected an eavesdropper of this lab: {', '.join(fitting) or 'there is none'}"
        raise WorldError(msg)
    if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0.0 <= fraction <= 1.0:
        msg = f"found fraction {fraction!r}; expected a share of the light from 0 to 1"
        raise WorldError(msg)
    now_ps = lab.clock.now_ps()
    lab.wiring.knob(str(optic), "fraction").set(float(fraction), now_ps)
    return {"optic": optic, "fraction": float(fraction), "now_ps": now_ps}

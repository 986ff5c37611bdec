"""Plans for Acme's instruments: `qlab run scan_bias`."""

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np

__all__ = ["scan_bias"]


def scan_bias(supply, start_v: float = 0.0, stop_v: float = 5.0, points: int = 6, md: dict[str, object] | None = None):
    """Step a bias supply and read what is at its terminals.

    Parameters
    ----------
    supply : BS10
        The supply, by its name in the lab file.
    start_v, stop_v : float
        First and last voltage.
    points : int
        How many.
    md : dict
        Metadata.
    """

    @bpp.stage_decorator([supply])
    @bpp.run_decorator(md={"plan_name": "scan_bias", **(md or {})})
    def body():
        yield from bps.mv(supply.output, 1)
        measured = []
        for voltage in np.linspace(start_v, stop_v, points):
            yield from bps.mv(supply.voltage_v, float(voltage))
            yield from bps.trigger_and_read([supply])
            measured.append(supply.measured_v.get())
        return {"measured_v": measured}

    return (yield from body())

"""One nanowire of a WebSQ: its bias current and the voltage across it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ophyd import Component as Cpt
from ophyd import Device, Kind

from devices.signals import SoftSignal

if TYPE_CHECKING:
    from devices.detectors.singlequantum_websq import WebSQ
    from devices.worker import WorkerStatus
    from qlab.clock import Clock

__all__ = ["WebSQChannel"]

LARGEST_UA = 90.9
LATCHED_MV = 5.0
"""[INF] A superconducting nanowire shows no voltage; a normal one tens of millivolts."""
ZERO_S = 0.1


class _Bias(SoftSignal):
    """The bias current: setting it sends it, and waits for the driver's word."""

    def set(self, value: Any, **_: Any) -> WorkerStatus:
        self.check_value(value)
        channel: WebSQChannel = self.parent
        status: WorkerStatus = channel.driver.in_thread(
            "bias", lambda: channel.driver.store_bias({channel.number: value})
        )
        return status

    def put(self, value: Any, **_: Any) -> None:
        self.check_value(value)
        self.parent.driver.store_bias({self.parent.number: value})


class WebSQChannel(Device):
    """One nanowire; role `qlab.roles.BiasedDetector`.

    Parameters
    ----------
    number:
        From 1.
    """

    bias_ua = Cpt(_Bias, units="uA", precision=2, limits=(-LARGEST_UA, LARGEST_UA), kind="hinted")
    wire_mv = Cpt(SoftSignal, units="mV", precision=2, kind="normal")

    def __init__(self, prefix: str = "", *, number: int, **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self.number = number

    @property
    def driver(self) -> WebSQ:
        """The instrument."""
        driver: WebSQ = self.parent
        return driver

    @property
    def clock(self) -> Clock:
        """The lab's clock."""
        return self.driver.clock

    def use(self, *, there: bool) -> None:
        """Say whether the driver has this channel; one that it has not is not read."""
        self.kind = Kind.normal if there else Kind.omitted

    def set(self, bias_ua: float) -> WorkerStatus:
        """Set the bias current in uA."""
        status: WorkerStatus = self.bias_ua.set(bias_ua)
        return status

    @property
    def latched(self) -> bool:
        """Whether the wire showed a voltage when it was fetched last."""
        voltage: float = self.wire_mv.get()
        return abs(voltage) > LATCHED_MV

    def recover(self) -> WorkerStatus:
        """Clear a latch: bias to zero for 0.1 s, and back to where it was."""
        return self.driver.in_thread(f"recover channel {self.number}", self._recover)

    def _recover(self) -> None:
        bias_ua = self.bias_ua.get()
        self.driver.store_bias({self.number: 0.0})
        self.driver.wait_s(ZERO_S)
        self.driver.store_bias({self.number: bias_ua})

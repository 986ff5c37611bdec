"""What a DLC pro's twin knows by name: the parameters of protocol sheet 05, their types, limits and effects."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sim_devices.sources.decop import Item, Tree, as_number
from sim_devices.sources.dlcpro_head import REFERENCE, STATES

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim_devices.sources.decop import Value
    from sim_devices.sources.dlcpro_head import LaserHead, Parameters
    from sim_devices.sources.toptica_dlcpro import DLCproTwin

__all__ = ["VOLATILE", "build_tree", "defaults"]

HEAD = "laser1:"
PIEZO_V = 140.0  # [INF] the piezo driver's range
CURRENT_CHANNEL, PIEZO_CHANNEL = 51, 50  # [V1] scan:output-channel, 50 is the piezo; 51 [INF]
VOLATILE = ("cc:enabled", "lock:lock-enabled", "scan:enabled")
"""Switches that power-up finds off [INF]; other settings are kept."""


def defaults(parameters: Parameters) -> dict[str, Value]:
    """Return the settings after delivery, by the names below `laser1:` or `laser1:dl:`."""
    return {
        **REFERENCE,
        "label": "",
        "enabled": True,
        "cc:enabled": False,
        "cc:current-clip": 180.0,
        "cc:voltage-clip": 3.0,
        "cc:feedforward-enabled": False,
        "cc:feedforward-factor": 0.0,
        "cc:forced-off": False,
        "cc:positive-polarity": True,
        "tc:enabled": True,
        "tc:temp-set-min": 15.0,
        "tc:temp-set-max": 35.0,
        "tc:temp-roc-enabled": False,
        "tc:temp-roc-limit": 0.1,
        "tc:t-loop:p-gain": 5.0,
        "tc:t-loop:i-gain": 1.0,
        "tc:t-loop:d-gain": 0.5,
        "pc:enabled": True,
        "pc:voltage-min": 0.0,
        "pc:voltage-max": PIEZO_V,
        "lock:type": 0,
        "lock:lock-enabled": False,
        "lock:hold": False,
        "lock:setpoint": 0.0,
        "lock:relock:enabled": False,
        "lock:relock:output-channel": PIEZO_CHANNEL,
        "lock:relock:frequency": 1.0,
        "lock:relock:amplitude": 1.0,
        "lock:relock:delay": 1.0,
        "lock:window:enabled": False,
        "lock:window:input-channel": 0,
        "lock:window:level-high": 1.0,
        "lock:window:level-low": -1.0,
        "lock:window:level-hysteresis": 0.1,
        "scan:enabled": False,
        "scan:hold": False,
        "scan:signal-type": 1,
        "scan:frequency": 10.0,
        "scan:output-channel": PIEZO_CHANNEL,
        "scan:amplitude": 1.0,
        "scan:offset": REFERENCE["pc:voltage-set"],
        "ctl:wavelength-set": parameters.wavelength_nm,
    }


def build_tree(twin: DLCproTwin, head: LaserHead, values: dict[str, Value], p: Parameters) -> Tree:
    """Return all parameters of the controller; those of a client's own (`ul`, `echo`) are its command line's."""
    limits: dict[str, Callable[[], tuple[float, float]]] = {
        "cc:current-set": lambda: (0.0, head.number("cc:current-clip")),
        "cc:current-clip": lambda: (0.0, p.clip_limit_ma),
        "cc:voltage-clip": lambda: (0.0, 5.0),
        "tc:temp-set": lambda: (head.number("tc:temp-set-min"), head.number("tc:temp-set-max")),
        "tc:temp-roc-limit": lambda: (1e-3, 10.0),
        "pc:voltage-set": lambda: (head.number("pc:voltage-min"), head.number("pc:voltage-max")),
        "scan:frequency": lambda: (1e-3, 1e4),
        "scan:amplitude": lambda: (0.0, math.inf),
        "ctl:wavelength-set": lambda: (p.shortest_nm, p.longest_nm),
    }
    effects: dict[str, Callable[[], None]] = {
        "enabled": twin.switch,
        "cc:enabled": twin.switch,
        "cc:forced-off": twin.switch,
        "cc:current-set": head.drive,
        "cc:current-clip": head.drive,
        "pc:voltage-set": head.tune,
        "tc:enabled": head.regulate,
        "tc:temp-set": head.regulate,
        "tc:temp-roc-enabled": head.regulate,
        "tc:temp-roc-limit": head.regulate,
        "ctl:wavelength-set": head.turn_motor,
        **dict.fromkeys(("lock:lock-enabled", "lock:hold", "lock:relock:enabled"), head.lock),
    }

    def setting(name: str) -> Item:
        def put(value: Value) -> None:
            values[name] = value
            if name in effects:
                effects[name]()

        fixed = name in ("pc:voltage-min", "pc:voltage-max", "cc:positive-polarity")
        return Item(lambda: values[name], None if fixed else put, limits.get(name))

    def edge(sign: int) -> Item:
        """One end of the scan; setting it moves offset and amplitude so that the other end stays."""

        def get() -> float:
            return head.number("scan:offset") + sign * head.number("scan:amplitude") / 2.0

        def put(value: Value) -> None:
            other = head.number("scan:offset") - sign * head.number("scan:amplitude") / 2.0
            here = as_number(value)
            values["scan:offset"], values["scan:amplitude"] = (here + other) / 2.0, abs(here - other)

        return Item(get, put)

    items = {_place(name): setting(name) for name in values}
    items |= {f"{HEAD}scan:start": edge(-1), f"{HEAD}scan:end": edge(+1)}
    items |= {name: Item(get) for name, get in _readings(head, p).items()}
    absent = () if p.ctl else (f"{HEAD}ctl:",)
    items = {name: item for name, item in items.items() if not name.startswith(absent)}
    return Tree({**items, **twin.own_items()}, (*absent, "laser2:"))


def _place(name: str) -> str:
    inner = name.partition(":")[0] in ("cc", "tc", "pc", "lock")
    return f"{HEAD}dl:{name}" if inner else f"{HEAD}{name}"


def _readings(head: LaserHead, p: Parameters) -> dict[str, Callable[[], Value]]:
    dl = f"{HEAD}dl:"
    return {
        f"{HEAD}type": lambda: "CTL" if p.ctl else "DL pro",
        f"{HEAD}product-name": lambda: f"{'CTL' if p.ctl else 'DL pro'} {p.wavelength_nm:.0f}",
        f"{HEAD}emission": lambda: head.emission,
        f"{HEAD}busy": lambda: head.moving,
        f"{HEAD}scan:unit": lambda: "mA" if head.number("scan:output-channel") == CURRENT_CHANNEL else "V",
        f"{dl}type": lambda: "DL pro",
        f"{dl}model": lambda: f"{p.wavelength_nm:.0f} nm",
        f"{dl}serial-number": lambda: "2345",
        f"{dl}cc:emission": lambda: head.emission,
        f"{dl}cc:current-act": lambda: head.current_ma,
        f"{dl}cc:current-clip-limit": lambda: p.clip_limit_ma,
        f"{dl}cc:voltage-act": lambda: head.voltage_v,
        f"{dl}cc:pd": lambda: head.power_w * 1e3,  # [INF] a monitor of 1 per mW
        f"{dl}cc:status": lambda: int(head.emission),
        f"{dl}cc:status-txt": lambda: "OK" if head.emission else "Emission off",
        f"{dl}tc:temp-act": lambda: head.temperature_c,
        f"{dl}tc:ready": lambda: head.ready,
        f"{dl}tc:fault": lambda: head.tc_fault,
        f"{dl}tc:status": lambda: 2 if head.tc_fault else int(not head.ready),
        f"{dl}tc:status-txt": lambda: "Fault" if head.tc_fault else "OK" if head.ready else "Settling",
        f"{dl}tc:current-act": lambda: 0.1 * (head.number("tc:temp-set") - head.temperature_c),
        f"{dl}tc:voltage-act": lambda: 0.2 * (head.number("tc:temp-set") - head.temperature_c),
        # a thermistor of 10 kohm, B = 3435 K
        f"{dl}tc:resistance": lambda: 1e4 * math.exp(3435.0 / (head.temperature_c + 273.15) - 3435.0 / 298.15),
        f"{dl}pc:voltage-act": lambda: head.number("pc:voltage-set") if head.on("pc:enabled") else 0.0,
        f"{dl}pc:heatsink-temp": lambda: 30.0,
        f"{dl}pc:status": lambda: int(not head.on("pc:enabled")),
        f"{dl}pc:status-txt": lambda: "OK" if head.on("pc:enabled") else "Disabled",
        f"{dl}lock:state": lambda: head.lock_state,
        f"{dl}lock:state-txt": lambda: STATES[head.lock_state],
        f"{HEAD}ctl:wavelength-act": lambda: head.motor_nm,
        f"{HEAD}ctl:wavelength-min": lambda: p.shortest_nm,
        f"{HEAD}ctl:wavelength-max": lambda: p.longest_nm,
        f"{HEAD}ctl:state": lambda: int(head.moving),
        f"{HEAD}ctl:state-txt": lambda: "Moving" if head.moving else "Idle",
    }

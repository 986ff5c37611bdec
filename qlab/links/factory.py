"""From an address to the link that can open it."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.clock import Clock, Peer
    from qlab.links.link import Link
    from qlab.links.policy import LinkPolicy

__all__ = ["kind_of_address", "open_link"]

_KINDS = (
    (re.compile(r"^(TCPIP|USB|GPIB|VXI|PXI)\d*::.+|^ASRL.+::INSTR$", re.IGNORECASE), "visa"),
    (re.compile(r"^(/|COM\d+$|socket://|rfc2217://)", re.IGNORECASE), "serial"),
    (re.compile(r"^(tcp|ipc)://"), "zmq"),
    (re.compile(r"^udp://"), "udp"),
)


def kind_of_address(address: str) -> str:
    """Return "visa", "serial", "zmq" or "udp"; raises `BadRequestError` for what none of them can open."""
    for pattern, kind in _KINDS:
        if pattern.match(address):
            return kind
    msg = (
        f"address {address!r} is of no known form; expected a VISA resource such as "
        "TCPIP0::192.168.1.40::5025::SOCKET or USB0::0x1313::0x8078::P0001::INSTR, "
        "a serial port such as /dev/ttyUSB0, COM3 or socket://host:port, "
        "a ZeroMQ end point such as tcp://192.168.1.41:5555, "
        "or a UDP end point such as udp://192.168.1.42:161"
    )
    raise BadRequestError(msg)


def open_link(
    address: str,
    *,
    name: str,
    clock: Clock,
    peer: Peer | None = None,
    policy: LinkPolicy | None = None,
    terminator: bytes = b"\n",
    command_terminator: bytes | None = None,
    encoding: str = "ascii",
    greeting: bytes = b"",
    backend: str = "@py",
    baud: int = 115200,
    line: Mapping[str, Any] = MappingProxyType({}),
) -> Link:
    """Make the link for an address; it opens at its first use, or by `Link.open`.

    Parameters
    ----------
    address:
        A VISA resource, a serial port or URL, a ZeroMQ or a UDP end point.
    name, clock, peer, policy, terminator, command_terminator, encoding, greeting:
        As for `qlab.links.link.Link`; a ZeroMQ frame or a datagram needs no terminators.
    backend:
        For VISA.
    baud:
        For serial ports, by pyserial or by VISA.
    line:
        More settings of the instrument's serial port, as for `qlab.links.serial.SerialLink`; of no account elsewhere.
    """
    common: dict[str, Any] = {
        "name": name,
        "clock": clock,
        "peer": peer,
        "policy": policy,
        "terminator": terminator,
        "command_terminator": command_terminator,
        "encoding": encoding,
        "greeting": greeting,
    }
    kind = kind_of_address(address)
    if kind == "visa":
        from qlab.links.visa import VisaLink

        return VisaLink(address, backend=backend, baud=baud, line=line, **common)
    if kind == "serial":
        from qlab.links.serial import SerialLink

        return SerialLink(address, baud=baud, **line, **common)
    if kind == "udp":
        from qlab.links.udp import UdpLink

        return UdpLink(address, **common)
    from qlab.links.zmq import ZmqLink

    return ZmqLink(address, **common)

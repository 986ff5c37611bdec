"""Where an instrument listens as it leaves its maker, and how fast a serial one talks: as the protocol sheets have it."""

from __future__ import annotations

import pytest

from qlab.lab.classes import find_device_class
from qlab.links.factory import kind_of_address

ADDRESSES = {
    "devices.sources.srs_ldc501.LDC501": ["TCPIP0::HOST::8888::SOCKET", "GPIB0::2::INSTR"],
    "devices.sources.thorlabs_cld1015.CLD1015": [
        "USB0::0x1313::0x804F::SERIAL::INSTR",
        "USB0::0x1313::0x804A::SERIAL::INSTR",
    ],
    "devices.sources.toptica_dlcpro.DLCpro": ["TCPIP0::HOST::1998::SOCKET"],
    "devices.sources.srs_dg645.DG645": ["TCPIP0::HOST::5025::SOCKET", "TCPIP0::HOST::INSTR", "GPIB0::15::INSTR"],
    "devices.detectors.srs_sim900.SIM900": ["/dev/ttyUSB0", "socket://HOST:5025"],
    "devices.detectors.singlequantum_websq.WebSQ": ["TCPIP0::HOST::12000::SOCKET"],
    "devices.taggers.idquantique_id900.ID900": ["tcp://169.254.99.1xx:5555"],
    "devices.repeaters.qrm.QRM": ["TCPIP0::HOST::5025::SOCKET", "TCPIP0::HOST::hislip0,4880::INSTR"],
}
BAUDS = {
    "devices.sources.srs_ldc501.LDC501": 9600,
    "devices.sources.thorlabs_tc200.TC200": 115200,
    "devices.sources.srs_dg645.DG645": 9600,
    "devices.detectors.srs_sim900.SIM900": 9600,
}


@pytest.mark.parametrize(("name", "addresses"), ADDRESSES.items())
def test_an_instruments_page_says_where_it_usually_listens(name: str, addresses: list[str]) -> None:
    told = find_device_class(name).usual_addresses
    assert [address for address in addresses if address not in told] == []
    assert all(kind_of_address(address) for address in told)


@pytest.mark.parametrize(("name", "baud"), BAUDS.items())
def test_a_serial_line_has_the_instruments_speed(name: str, baud: int) -> None:
    assert find_device_class(name).link_options["baud"] == baud

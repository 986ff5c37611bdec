"""Where an instrument listens as it leaves its maker, and how fast a serial one talks: as the protocol sheets have it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import pyvisa

from qlab.lab.classes import find_device_class
from qlab.links.factory import kind_of_address, open_link
from qlab.links.serial import SerialLink
from qlab.links.visa import VisaLink

if TYPE_CHECKING:
    from qlab.clock import SteppedClock

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
    "devices.routing.polatis_oxc.PolatisOXC": ["TCPIP0::HOST::5025::SOCKET"],
    "devices.power.thorlabs_pm100d.PM100D": ["USB0::0x1313::0x8078::SERIAL::INSTR"],
    "devices.cryogenics.lakeshore_336.LakeShore336": ["TCPIP0::HOST::7777::SOCKET", "GPIB0::12::INSTR"],
    "devices.timing.srs_fs740.FS740": ["TCPIP0::HOST::5025::SOCKET"],
    "devices.timing.white_rabbit_switch.WhiteRabbitSwitch": ["udp://HOST:161"],
    "devices.sources.keysight_33500b.Keysight33500B": ["TCPIP0::HOST::5025::SOCKET"],
    "devices.sources.santec_tsl570.TSL570": ["TCPIP0::HOST::5000::SOCKET"],
    "devices.repeaters.qrm.QRM": ["TCPIP0::HOST::5025::SOCKET", "TCPIP0::HOST::hislip0,4880::INSTR"],
}
BAUDS = {
    "devices.sources.srs_ldc501.LDC501": 9600,
    "devices.sources.thorlabs_tc200.TC200": 115200,
    "devices.sources.srs_dg645.DG645": 9600,
    "devices.detectors.srs_sim900.SIM900": 9600,
    "devices.polarisation.thorlabs_k10cr1.K10CR1": 115200,
    "devices.polarisation.thorlabs_mpc320.MPC320": 115200,
    "devices.routing.thorlabs_z825b.Z825B": 115200,
    "devices.polarisation.thorlabs_elliptec.ELL14": 9600,
    "devices.polarisation.ozoptics_epc400.EPC400": 9600,
    "devices.routing.ozoptics_dd100.DD100": 9600,
    "devices.routing.polatis_oxc.PolatisOXC": 38400,
    "devices.routing.agiltron_ff.AgiltronFF": 9600,
    "devices.power.thorlabs_pm100d.PM100D": 115200,
    "devices.cryogenics.lakeshore_336.LakeShore336": 57600,
    "devices.timing.srs_fs740.FS740": 115200,
    "devices.timing.srs_prs10.PRS10": 9600,
    "devices.timing.white_rabbit_node.WhiteRabbitNode": 115200,
}
LINES = {
    "devices.polarisation.thorlabs_mpc320.MPC320": {"rtscts": True},
    "devices.routing.thorlabs_z825b.Z825B": {"rtscts": True},
    "devices.polarisation.thorlabs_k10cr1.K10CR1": {"rtscts": True},
    "devices.cryogenics.lakeshore_336.LakeShore336": {"data_bits": 7, "parity": "O"},
    "devices.timing.srs_prs10.PRS10": {"xonxoff": True},
}


@pytest.mark.parametrize(("name", "addresses"), ADDRESSES.items())
def test_an_instruments_page_says_where_it_usually_listens(name: str, addresses: list[str]) -> None:
    told = find_device_class(name).usual_addresses
    assert [address for address in addresses if address not in told] == []
    assert all(kind_of_address(address) for address in told)


@pytest.mark.parametrize(("name", "baud"), BAUDS.items())
def test_a_serial_line_has_the_instruments_speed(name: str, baud: int) -> None:
    assert find_device_class(name).link_options["baud"] == baud


@pytest.mark.parametrize(("name", "line"), LINES.items())
def test_a_serial_line_is_set_as_the_instrument_needs_it(
    clock: SteppedClock, name: str, line: dict[str, object]
) -> None:
    cls = find_device_class(name)
    usual = {"bytesize": 8, "parity": "N", "stopbits": 1, "rtscts": False, "xonxoff": False}
    renamed = {{"data_bits": "bytesize", "stop_bits": "stopbits"}.get(key, key): value for key, value in line.items()}
    link = open_link("/dev/ttyUSB0", name="it", clock=clock, **cls.link_options)
    assert isinstance(link, SerialLink)
    assert link.settings == {"baudrate": BAUDS[name]} | usual | renamed
    assert isinstance(
        open_link("TCPIP0::192.168.1.40::5025::SOCKET", name="it", clock=clock, **cls.link_options), VisaLink
    )


@pytest.mark.parametrize("name", [name for name in BAUDS if name not in LINES])
def test_the_other_serial_lines_are_as_usual(name: str) -> None:
    assert "line" not in find_device_class(name).link_options


def test_a_serial_line_by_visa_is_set_the_same(clock: SteppedClock) -> None:
    session = SimpleNamespace(parity=None, data_bits=8, stop_bits=None, flow_control=None)
    line = {"data_bits": 7, "parity": "O", "stop_bits": 2, "rtscts": False, "xonxoff": True}
    link = VisaLink("ASRL/dev/ttyUSB0::INSTR", name="it", clock=clock, line=line)
    link._set_line(session, pyvisa.constants)
    assert (session.data_bits, session.parity) == (7, pyvisa.constants.Parity.odd)
    assert session.stop_bits == pyvisa.constants.StopBits.two
    assert session.flow_control == pyvisa.constants.ControlFlow.xon_xoff

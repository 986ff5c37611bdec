"""An instrument's ports share its power; a program on another machine keeps its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qlab.errors import InstrumentError
from qlab.lab.build import open_lab

if TYPE_CHECKING:
    from pathlib import Path

LAB = """
qlab: 1
name: ports
instruments:
  laser: {class: devices.sources.toptica_dlcpro.DLCpro, address: twin}
  oxc: {class: devices.routing.polatis_oxc.PolatisOXC, address: twin}
  wires: {class: devices.detectors.singlequantum_websq.WebSQ, address: twin}
  tagger: {class: devices.taggers.idquantique_id900.ID900, address: twin}
"""
TOGETHER = {"laser": ["monitoring"], "oxc": ["tl1", "tl1_raw"], "wires": ["counts"], "tagger": []}


def test_the_power_of_any_port_is_the_instruments_but_a_hosts_program_keeps_its_own(tmp_path: Path) -> None:
    path = tmp_path / "ports.yaml"
    path.write_text(LAB)
    with open_lab(str(path), data_dir=tmp_path) as lab:
        mounts = lab.mounts
        for name, ports in TOGETHER.items():
            for asked in (name, *(f"{name}.{port}" for port in ports)):
                mounts[asked].power_off()
                assert not mounts[name].reachable
                assert not any(mounts[f"{name}.{port}"].reachable for port in ports)
                assert mounts["tagger.datalink"].reachable
                mounts[asked].power_on(boot_s=1.0)
                lab.clock.sleep(0.5)
                assert not mounts[name].reachable
                lab.clock.sleep(1.0)
                assert all(mounts[each].reachable for each in (name, *(f"{name}.{port}" for port in ports)))
        for name in TOGETHER:  # all find their way back
            lab.devices[name].trigger().wait(60)


def test_a_record_window_that_lost_its_power_is_an_error_and_not_an_acquisition_without_clicks(tmp_path: Path) -> None:
    """The download service runs on a host and goes on: nothing but the controller's settings tells what happened."""
    path = tmp_path / "ports.yaml"
    path.write_text(LAB)
    with open_lab(str(path), data_dir=tmp_path) as lab:
        tagger, mount = lab.devices["tagger"], lab.mounts["tagger"]
        status = tagger.trigger()
        lab.clock.sleep(0.1)
        mount.power_cycle(boot_s=0.2)
        with pytest.raises(InstrumentError, match="restarted while a record window of 1 s was open"):
            status.wait(60)
        tagger.trigger().wait(60)
        assert tagger.live_s.get() == 1.0
        assert tagger.refresh_health(), tagger.health.reason.get()

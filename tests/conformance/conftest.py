"""Every device class that a lab file can name, each alone in a lab of its own."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING

import pytest

from qlab.lab.build import Lab, open_lab
from qlab.lab.classes import find_device_class, known_devices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CASSETTES = Path(__file__).parent / "cassettes"
SETTINGS = {
    "TC200": "{temperature_c: 40.0, heat: false}",
    "CLD1015": "{current_limit_a: 0.12, current_a: 0.08}",
}
"""What the lab file sets where a class alone would leave a setting untried."""


def classes() -> list[str]:
    """Return the dotted names of our own device classes that have a twin."""
    ours = sorted({name for name in known_devices() if name.startswith("devices.")})
    return [name for name in ours if find_device_class(name).twin]


LASERS = {
    "CLD1015": "{current_limit_a: 0.12, current_a: 0.08}",
    "DLCpro": "{current_ma: 110.0}",
    "EPPS": "{current_limit_ma: 60.0, current_ma: 50.0}",
    "LDC501": "{current_limit_ma: 100.0, current_ma: 80.0, temperature_c: 25.0}",
    "TSL570": "{power_dbm: 3.0}",
}
"""Settings with which each laser shines when it is switched on."""


PULSERS = {
    "DG645": ("{trigger_rate_hz: 1.0e+6}", "trigger_source", 0),
    "Keysight33500B": ("{}", "output_1.output", 1),
}
"""Settings of each pulse generator, and which signal with which value makes pulses, which may make light."""


def pulsers() -> list[str]:
    """Return the classes that make pulses."""
    return [name for name in classes() if hasattr(find_device_class(name), "fire")]


def lasers() -> list[str]:
    """Return the classes that make laser light."""
    return [name for name in classes() if hasattr(find_device_class(name), "switch_on")]


def with_ports() -> list[str]:
    """Return the classes whose twins have several ports."""
    return [name for name in classes() if hasattr(resolve_name(find_device_class(name).twin), "ports")]


def lab_text(cls: str, seed: int = 3, settings: str = "") -> str:
    """Return a lab file with one instrument of the class, called `it`."""
    shared = getattr(find_device_class(cls), "multidrop", False)
    where = 'address: "twin:bus", unit: "0"' if shared else "address: twin"
    settings = settings or SETTINGS.get(cls.rpartition(".")[2], "{}")
    return f"qlab: 1\nname: alone\nseed: {seed}\ninstruments:\n  it: {{class: {cls}, {where}, settings: {settings}}}\n"


@pytest.fixture(params=classes(), ids=lambda name: name.rpartition(".")[2])
def cls(request: pytest.FixtureRequest) -> str:
    """Each device class by its dotted name."""
    name: str = request.param
    return name


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    """Open labs with one instrument on its twin."""
    with ExitStack() as labs:

        def make(cls: str, *, connect: bool = True, settings: str = "") -> Lab:
            path = tmp_path / "alone.yaml"
            path.write_text(lab_text(cls, settings=settings))
            return labs.enter_context(open_lab(str(path), data_dir=tmp_path, connect=connect))

        yield make


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give the hardware test every real instrument of `--lab`."""
    if "real" not in metafunc.fixturenames:
        return
    name = metafunc.config.getoption("--lab")
    found: list[object] = [pytest.param(None, marks=pytest.mark.skip(reason="no --lab was given"))]
    if name is not None:
        from qlab.lab.load import load_lab

        instruments = load_lab(name).lab.instruments
        found = [pytest.param((name, each), id=each) for each, model in instruments.items() if not model.is_twin]
    metafunc.parametrize("real", found)

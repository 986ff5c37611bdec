"""What a lab file may say of a twin is described, and where a number comes from is said."""

from __future__ import annotations

import sys
from pkgutil import resolve_name

import pytest

from qlab.lab.classes import find_device_class, known_devices

TWINS = sorted({find_device_class(name).twin for name in known_devices() if name.startswith("devices.")})


@pytest.mark.parametrize("twin", TWINS, ids=lambda name: name.rpartition(".")[2])
def test_every_number_says_what_it_is_or_whence_it_comes(twin: str) -> None:
    parameters = vars(sys.modules[resolve_name(twin).__module__])["Parameters"]
    numbers = {
        name: field.description
        for name, field in parameters.model_fields.items()
        if isinstance(field.default, int | float) and not isinstance(field.default, bool)
    }
    assert [name for name, description in numbers.items() if not description] == []

"""The reference of the lab file names every key that there is, and its example is a valid instrument."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from qlab.lab import clock_models, models, optic_models, qkd_model

TEXT = (Path(__file__).parents[2] / "docs" / "lab-file.md").read_text()
MODELS = sorted(
    {
        model
        for module in (clock_models, models, optic_models, qkd_model)
        for model in vars(module).values()
        if isinstance(model, type)
        and issubclass(model, BaseModel)
        and not model.__name__.startswith("_")
        and model is not BaseModel
    },
    key=lambda model: model.__name__,
)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_key_is_documented(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        key = field.alias or name
        assert f"`{key}`" in TEXT, f"{model.__name__}.{key} is not in docs/lab-file.md"


def test_every_kind_of_optic_is_documented() -> None:
    for kind in optic_models.OPTIC_KINDS:
        assert f"| `{kind}` |" in TEXT


def test_the_example_is_valid_once_its_unit_is_converted() -> None:
    example = re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert example is not None
    data = yaml.safe_load(example[1])["pump"]
    assert models.InstrumentModel.model_validate(data).is_twin

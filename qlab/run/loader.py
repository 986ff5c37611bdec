"""Find a plan by name and make its arguments from text: numbers by their annotation, devices by role or name."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
from importlib import metadata
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from qlab import roles
from qlab.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["bind_parameters", "find_plan", "find_plans", "role_of", "try_out"]

_ROLE_OF = {
    "tagger": roles.TimeTagger,
    "taggers": roles.TimeTagger,
    "source": roles.PhotonSource,
    "alice": roles.PolarisationAnalyser,
    "bob": roles.PolarisationAnalyser,
    "analysers": roles.PolarisationAnalyser,
    "parties": roles.KeyParties,
    "meter": roles.PowerMeter,
    "bias": roles.NanowireSystem,
    "modules": roles.RepeaterModule,
    "counters": roles.Counter,
    "detectors": roles.Detector,
    "watched": roles.Monitored,
    "oven": roles.Oven,
    "generator": roles.PulseGenerator,
    "controller": roles.PolarisationController,
    "delay_line": roles.DelayLine,
    "pair_clock": roles.PairClock,
    "pair_clocks": roles.PairClock,
    "out": roles.PairClock,
    "home": roles.PairClock,
    "sources": roles.PhotonSource,
    "clocks": roles.Clock,
    "holding_clock": roles.HoldingClock,
    "oscillator": roles.SteeredClock,
    "switch": roles.Switch,
}
_LISTS = (
    "analysers",
    "clocks",
    "counters",
    "detectors",
    "modules",
    "pair_clocks",
    "sources",
    "taggers",
    "watched",
)
"""Where all fitting devices are meant, in the order of the lab file, unless some are named."""
_PIECES = ("correlations", "entangling", "stubs", "suspending")
"""Modules with pieces of plans; elsewhere every generator function of `__all__` is a plan."""


def find_plans() -> dict[str, Callable[..., Any]]:
    """Return all plans by name: the generator functions of the package `plans`, and the entry points `qlab.plans`."""
    package = importlib.import_module("plans")
    found: dict[str, Callable[..., Any]] = {}
    for module in pkgutil.iter_modules(package.__path__):
        if module.name in _PIECES:
            continue
        loaded = importlib.import_module(f"plans.{module.name}")
        offered = {name: getattr(loaded, name) for name in loaded.__all__}
        found |= {name: plan for name, plan in offered.items() if inspect.isgeneratorfunction(plan)}
    for entry in metadata.entry_points(group="qlab.plans"):
        found[entry.name] = entry.load()
    return found


def find_plan(name: str) -> Callable[..., Any]:
    """Return a plan by name; raises `BadRequestError` with all that there are."""
    plans = find_plans()
    if name not in plans:
        msg = f"there is no plan {name!r}; known are {', '.join(sorted(plans))}"
        raise BadRequestError(msg)
    return plans[name]


def bind_parameters(
    plan: Callable[..., Any], texts: Mapping[str, str], devices: Mapping[str, Any], *, light: bool = True
) -> dict[str, Any]:
    """Return a plan's arguments.

    Parameters
    ----------
    plan:
        The plan.
    texts:
        What a person gave, by parameter name.
    devices:
        The lab's devices by name.
    light:
        Whether a source is filled in where none was named.

    Raises
    ------
    BadRequestError
        For an unknown or missing parameter, device or value, with the nearest known names.
    """
    parameters = dict(inspect.signature(plan).parameters)
    for name in texts:
        if name not in parameters:
            raise BadRequestError(_unknown(f"{plan.__name__} has no parameter {name!r}", name, parameters))
    arguments: dict[str, Any] = {}
    for name, parameter in parameters.items():
        role = role_of(parameter)
        if role is not None:
            arguments[name] = _device(name, role, texts.get(name), devices, parameter, light=light)
        elif parameter.annotation is parameter.default is inspect.Parameter.empty:
            arguments[name] = _named_device(plan.__name__, name, texts.get(name, name), devices)
        elif name in texts:
            kind = parameter.annotation if parameter.annotation is not inspect.Parameter.empty else str
            try:
                arguments[name] = _value(TypeAdapter(kind), texts[name])
            except ValidationError as error:
                msg = f"{plan.__name__}: {name} = {texts[name]!r}: {error.errors()[0]['msg'].lower()}"
                raise BadRequestError(msg) from error
    return arguments


def try_out(plan: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """Let a plan check its parameters, up to its first message, and give it up: nothing has been done by then."""
    probe = plan(**arguments)
    next(probe, None)
    probe.close()


def role_of(parameter: inspect.Parameter) -> Any:
    """Return the role that a parameter says by its annotation, or by its name; None for what is no device.

    A name alone says a role only without an annotation: `alice: list[int]` is a list.
    """
    kind = parameter.annotation
    if kind is inspect.Parameter.empty:
        return _ROLE_OF.get(parameter.name)
    return kind if inspect.isclass(kind) and getattr(kind, "_is_runtime_protocol", False) else None


def _named_device(plan: str, name: str, given: str, devices: Mapping[str, Any]) -> Any:
    """Return the device that a parameter without role, type and default means: the one named, or of its own name."""
    if given not in devices:
        raise BadRequestError(_unknown(f"{plan}: {name} = {given!r} is no instrument of this lab", given, devices))
    return devices[given]


def _value(kind: TypeAdapter[Any], text: str) -> Any:
    """Read a text as what it spells, or as JSON where it begins a list or mapping."""
    return kind.validate_json(text) if text.startswith(("[", "{")) else kind.validate_python(text)


def _device(
    name: str, role: Any, text: str | None, devices: Mapping[str, Any], parameter: inspect.Parameter, *, light: bool
) -> Any:
    fitting = {n: d for n, d in devices.items() if isinstance(d, role)}
    if text is not None:
        chosen = [] if text == "none" else text.split(",")
        for one in chosen:
            if one not in fitting:
                raise BadRequestError(
                    _unknown(f"{name}: there is no {role.__name__} {one!r} in this lab", one, fitting)
                )
        if name in _LISTS:
            return [devices[one] for one in chosen]
        return devices[chosen[0]] if chosen else None
    if name in _LISTS:
        return list(fitting.values())
    if name in fitting:
        return fitting[name]
    if parameter.default is not inspect.Parameter.empty and (len(fitting) != 1 or not light):
        return parameter.default
    if len(fitting) == 1:
        return next(iter(fitting.values()))
    what = "none" if not fitting else f"several ({', '.join(fitting)})"
    msg = f"the plan needs a {role.__name__} as {name}; this lab has {what}: name one, {name}=NAME"
    raise BadRequestError(msg)


def _unknown(what: str, name: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f"{what}; did you mean {near[0]!r}?" if near else f"{what}; known are {', '.join(known)}"

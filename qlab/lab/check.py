"""What a lab file means: its classes found, its references followed, its settings checked; all mistakes at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from qlab.errors import BadRequestError, LabFileError
from qlab.lab.classes import find_device_class, find_twin_class, parameters_of
from qlab.lab.explain import explain
from qlab.lab.source import nearest
from qlab.links.factory import kind_of_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from qlab.clock import Clock
    from qlab.lab.classes import DeviceClass, TwinBuilder
    from qlab.lab.load import Loaded
    from qlab.lab.models import InstrumentModel, LabFile
    from qlab.lab.source import Key

__all__ = ["Checked", "check_lab"]

_DETECTOR = {"efficiency", "dark_rate_hz"}
"""A twin with these parameters is a single-photon detector."""


@dataclass(slots=True)
class Checked:
    """A lab file and the classes it names.

    Attributes
    ----------
    devices, twins:
        Classes by instrument; `twins` also for real instruments whose class has a twin.
    parameters:
        The `twin:` sections with their defaults, validated.
    problems:
        Complaints, in the order of the file.
    """

    loaded: Loaded
    devices: dict[str, DeviceClass] = field(default_factory=dict)
    twins: dict[str, TwinBuilder] = field(default_factory=dict)
    parameters: dict[str, BaseModel] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def lab(self) -> LabFile:
        """What the file says."""
        return self.loaded.lab

    def complain(self, key: Key, text: str) -> None:
        """Note a mistake at a place of the file."""
        self.problems.append(self.loaded.source.complain(key, text))

    def known(self, kind: str, name: str, names: Iterable[str], key: Key) -> bool:
        """Return whether a name is known, and complain if not."""
        found = list(names)
        if name in found:
            return True
        self.complain(key, f"there is no {kind} {name!r}; {nearest(name, found)}")
        return False

    def instrument(self, name: str, key: Key) -> bool:
        """Return whether there is such an instrument, and complain if not."""
        return self.known("instrument", name, self.lab.instruments, key)

    def detector_channels(self, name: str) -> Sequence[str]:
        """Return the single-photon detectors of an instrument, as far as its twin tells: "" for the instrument itself.

        An instrument of several detectors has a twin with the class method `detector_channels(parameters)`.
        """
        model = self.parameters.get(name)
        if model is None:
            return ()
        channels: Callable[[BaseModel], Sequence[str]] | None = getattr(self.twins[name], "detector_channels", None)
        if channels is not None:
            return channels(model)
        return ("",) if set(type(model).model_fields) >= _DETECTOR else ()

    def trigger_outputs(self, name: str) -> Sequence[str]:
        """Return the outputs of a pulse generator: what its twin's class method `trigger_outputs` says."""
        model = self.parameters.get(name)
        outputs: Callable[[BaseModel], Sequence[str]] | None = getattr(self.twins.get(name), "trigger_outputs", None)
        return outputs(model) if outputs is not None and model is not None else ()

    def entanglement_links(self, name: str) -> Sequence[str]:
        """Return, by number, the links of a repeater module: what its twin's class method `entanglement_links` says."""
        model = self.parameters.get(name)
        links: Callable[[BaseModel], Sequence[str]] | None = getattr(self.twins.get(name), "entanglement_links", None)
        return links(model) if links is not None and model is not None else ()

    def is_detector(self, name: str, channel: str = "") -> bool:
        """Return whether an instrument, or a channel of it, is a single-photon detector."""
        return channel in self.detector_channels(name)

    def channels_text(self, name: str) -> str:
        """Return, for a complaint, how an instrument's detectors are called."""
        channels = [channel for channel in self.detector_channels(name) if channel]
        return f"; expected {', '.join(f'{name}.{c}' for c in channels)}" if channels else ""

    def number(self, name: str, key: str, default: float) -> float:
        """Return a parameter of an instrument's twin, as validated."""
        value = getattr(self.parameters.get(name), key, default)
        return float(value) if isinstance(value, (int, float)) else default

    def raise_problems(self) -> None:
        """Raise `LabFileError` with all mistakes, if there are any."""
        if self.problems:
            raise LabFileError("\n".join(dict.fromkeys(self.problems)))


def check_lab(loaded: Loaded, clock: Clock | None = None) -> Checked:
    """Follow every reference of a lab file except those of the light's paths, and note what is wrong.

    Parameters
    ----------
    loaded:
        The lab file.
    clock:
        The clock that will be used instead of the file's, if any.
    """
    checked = Checked(loaded)
    for name, instrument in loaded.lab.instruments.items():
        _instrument(checked, name, instrument)
    _shared_addresses(checked)
    _names(checked)
    _clock(checked, clock)
    return checked


def _instrument(checked: Checked, name: str, instrument: InstrumentModel) -> None:
    key: Key = ("instruments", name)
    lab = checked.lab
    if instrument.node is not None:
        checked.known("node", instrument.node, lab.nodes, (*key, "node"))
    if instrument.address.startswith("twin:") and not instrument.address.removeprefix("twin:").isidentifier():
        checked.complain((*key, "address"), f"found {instrument.address!r}; expected twin:BUS, for example twin:plates")
    if not instrument.is_twin:
        _address(checked, (*key, "address"), instrument.address)
    try:
        device = find_device_class(instrument.class_)
    except LabFileError as error:
        checked.complain((*key, "class"), str(error))
        return
    checked.devices[name] = device
    _section(checked, (*key, "settings"), device.Settings, instrument.settings)
    multidrop = getattr(device, "multidrop", False)
    if not multidrop and instrument.unit is not None:
        checked.complain((*key, "unit"), f"a {device.__name__} is alone on its wire; leave 'unit' out")
    if not multidrop and instrument.address.startswith("twin:"):
        checked.complain((*key, "address"), f"a {device.__name__} cannot share a bus; expected twin")
    if not device.twin and not instrument.is_twin:
        return
    try:
        twin = checked.twins[name] = find_twin_class(device)
    except LabFileError as error:
        checked.complain((*key, "address" if not device.twin else "class"), str(error))
        return
    model = parameters_of(twin)
    if model is None:
        if instrument.twin:
            checked.complain((*key, "twin"), f"the twin of {device.__name__} has no parameters; leave 'twin' out")
        return
    parameters = _section(checked, (*key, "twin"), model, instrument.twin)
    if parameters is not None:
        checked.parameters[name] = parameters


def _section(checked: Checked, key: Key, model: type[BaseModel], values: dict[str, object]) -> BaseModel | None:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        checked.problems += explain(error, model, values, checked.loaded.source, key)
        return None


def _address(checked: Checked, key: Key, address: str) -> None:
    try:
        kind_of_address(address)
    except BadRequestError as error:
        hint = "; did you mean twin?" if nearest(address, ["twin"]).startswith("did") else ""
        checked.complain(key, f"{error}{hint}")


def _shared_addresses(checked: Checked) -> None:
    """Complain of instruments on one address that cannot share it."""
    lab = checked.lab
    places: dict[str, list[str]] = {}
    for name, instrument in lab.instruments.items():
        if instrument.address != "twin":
            places.setdefault(instrument.address, []).append(name)
    for address, names in places.items():
        if len(names) < 2:
            continue
        together, last = " and ".join(names), ("instruments", names[-1])
        classes = {checked.devices[n].__name__ for n in names if n in checked.devices}
        if not all(getattr(checked.devices.get(n), "multidrop", False) for n in names if n in checked.devices):
            checked.complain((*last, "address"), f"{together} stand at one address, {address}")
        elif len(classes) > 1:
            checked.complain(
                (*last, "address"), f"{together} are of several classes and cannot share the bus {address}"
            )
        else:
            units: dict[str, str] = {}
            for n in names:
                unit = (lab.instruments[n].unit or "").upper()
                if not unit or unit in units:
                    what = (
                        f"has no unit, but shares the bus {address}" if not unit else f"has the unit of {units[unit]}"
                    )
                    text = f"{n} {what}; {together} share the bus and must each have a 'unit' of their own"
                    checked.complain(("instruments", n, "unit"), text)
                units[unit] = n


def _names(checked: Checked) -> None:
    """Follow the names in analysers and replay."""
    lab = checked.lab
    for name in lab.optics:
        if name in lab.instruments:
            checked.complain(("optics", name), f"an instrument is called {name!r} as well; choose another name")
    for name, analyser in lab.analysers.items():
        key: Key = ("analysers", name)
        if name in lab.instruments:
            checked.complain(key, f"an instrument is called {name!r} as well; choose another name")
        for role, instrument in (("hwp", analyser.hwp), ("qwp", analyser.qwp), ("tagger", analyser.tagger)):
            checked.instrument(instrument, (*key, role))
        most = getattr(checked.devices.get(analyser.tagger), "channels", None)
        for role, number in (("transmitted", analyser.transmitted), ("reflected", analyser.reflected)):
            if most is not None and number > most:
                checked.complain((*key, role), f"found input {number}; {analyser.tagger} has inputs 1 to {most}")
        if analyser.transmitted == analyser.reflected:
            checked.complain((*key, "reflected"), f"found {analyser.reflected}, which is the transmitted input as well")
        if analyser.hwp == analyser.qwp:
            checked.complain((*key, "qwp"), f"found {analyser.qwp!r}, which turns the half-wave plate as well")
    for name, pair in lab.pair_clocks.items():
        if name in lab.instruments or name in lab.analysers:
            checked.complain(("pair_clocks", name), f"something else is called {name!r} as well; choose another name")
        for role in ("first", "second"):
            checked.instrument(getattr(pair, role), ("pair_clocks", name, role))
            pps, inputs = getattr(pair, f"{role}_pps"), getattr(pair, f"{role}_inputs")
            if pps in inputs:
                checked.complain(("pair_clocks", name, f"{role}_pps"), f"input {pps} is said to have pairs as well")
    replay = lab.world.replay
    for tagger in replay.inputs if replay is not None else ():
        checked.instrument(tagger, ("world", "replay", "inputs", tagger))


def _clock(checked: Checked, clock: Clock | None) -> None:
    """Complain of a clock that real instruments do not follow."""
    mode = clock.mode if clock is not None else checked.lab.clock.mode
    real = [name for name, instrument in checked.lab.instruments.items() if not instrument.is_twin]
    if not real or mode == "real":
        return
    if mode == "paced" and clock is None and checked.lab.clock.speed == 1.0:
        return
    text = f"found {mode}, but these instruments are real: {', '.join(real)}; expected {{mode: real}}"
    checked.complain(("clock",), text)

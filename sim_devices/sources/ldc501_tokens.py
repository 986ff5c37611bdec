"""The LDC501's words: each may be written as a number too, and `TOKN` says which way the replies have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlab.twin.scpi import Parameter, ScpiError

if TYPE_CHECKING:
    from qlab.twin.scpi import ScpiTwin

__all__ = ["OFF_ON", "Token"]

OFF_ON = ("OFF", "ON")


class Token(Parameter[str]):
    """A setting with a few values; `words` are in the order of their numbers, and the first is the default."""

    def __init__(
        self, pattern: str, words: tuple[str, ...] = OFF_ON, changed: str | None = None, *, at: int = 0
    ) -> None:
        super().__init__(pattern, words[at], None, words, "", "", changed, stored=False)

    def _parse(self, twin: ScpiTwin, text: str) -> str:
        said = text.strip().upper()
        if said in self.choices:
            return said
        if said.isascii() and said.isdigit() and int(said) < len(self.choices):
            return self.choices[int(said)]
        raise ScpiError(-224)

    def _query(self, twin: ScpiTwin, numbers: tuple[int, ...], arguments: list[str]) -> str:
        word = super()._query(twin, numbers, arguments)
        return word if getattr(twin, "words", False) else str(self.choices.index(word))

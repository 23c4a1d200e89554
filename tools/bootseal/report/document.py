# SPDX-License-Identifier: MIT
"""The matrix document (schema `bootseal.matrix/2`) as the reports read it, with its serial logs.

Reports are drawn from this document alone, so one that was made elsewhere, or earlier, can be
turned into a page without the device. Everything in it that came from the device is untrusted:
`visible` makes such text safe to show.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from bootseal.errors import FormatError, UsageError

SCHEMA: Final = "bootseal.matrix/2"
VERDICTS: Final = ("passed", "failed", "inconclusive")
_LOG_LINES: Final = 6000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A console line that matched a named pattern; `time` is in seconds since power-on."""

    time: float
    name: str
    detail: str
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of the boot, in seconds since power-on."""

    name: str
    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A finding about what the system said of itself."""

    id: str
    severity: str
    where: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One power cycle; `log` holds the lines of its serial log."""

    title: str
    ending: str
    verdict: str
    reason: str
    duration: float
    resets: int
    seen: tuple[Sighting, ...]
    findings: tuple[Note, ...]
    status: str
    phases: tuple[Phase, ...]
    log: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One scenario that is over."""

    id: str
    title: str
    group: str
    about: str
    verdict: str
    expected: str
    observed: str
    reason: str
    duration: float
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """All scenarios of one run."""

    device: str
    profile: str
    started: str
    duration: float
    versions: dict[str, str]
    results: tuple[Scenario, ...]

    def count(self, verdict: str) -> int:
        """Return how many scenarios ended with a verdict."""
        return sum(result.verdict == verdict for result in self.results)

    @property
    def verdict(self) -> str:
        """The verdict on the whole: any failure fails, anything unproven is inconclusive."""
        if self.count("failed"):
            return "failed"
        if self.count("inconclusive") or not self.results:
            return "inconclusive"
        return "passed"


def visible(text: str) -> str:
    r"""Show control, bidirectional and other unprintable characters as escapes.

    >>> visible("\x1b[32mVERIFIED")
    '\\x1b[32mVERIFIED'
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def dump(document: dict[str, object]) -> str:
    """Write a document as JSON text, one trailing newline, keys in the order they are declared."""
    return json.dumps(document, indent=2, ensure_ascii=True) + "\n"


def load(path: Path) -> dict[str, object]:
    """Read a matrix document from a file.

    Raises:
        UsageError: There is no such file.
        FormatError: It is not a JSON object.
    """
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        raise UsageError(
            f"there is no matrix result at {path}", hint="bootseal boot matrix DIRECTORY"
        ) from None
    except (ValueError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise FormatError(f"{path} is not a JSON object")
    return document


def parse(document: object, logs: Path) -> Matrix:
    """Check a matrix document and read the serial logs it names.

    Args:
        document: What `json.loads` or `MatrixResult.document()` returned.
        logs: Directory that the paths of serial logs are relative to.

    Raises:
        FormatError: The document is not a valid `bootseal.matrix/2`.
    """
    top = JsonObject(document, "matrix document")
    if (schema := top.text("schema")) != SCHEMA:
        raise FormatError(f"matrix document has schema {schema!r}: expected {SCHEMA!r}")
    versions = JsonObject(top.get("versions"), "versions")
    return Matrix(
        device=top.text("device"),
        profile=top.text("profile"),
        started=top.text("started"),
        duration=top.number("duration"),
        versions={visible(name): versions.text(name) for name in versions.names()},
        results=tuple(_scenario(result, logs) for result in top.objects("results")),
    )


class JsonObject:
    """A JSON object whose members are asked for by kind; another kind is a `FormatError`."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise FormatError(f"{where} is {type(value).__name__}: expected an object")
        self._value = value
        self._where = where

    def names(self) -> list[str]:
        """Return the names of its members."""
        return [str(name) for name in self._value]

    def get(self, name: str) -> object:
        """Return a member of any kind."""
        if name not in self._value:
            raise FormatError(f"{self._where} lacks {name!r}")
        value: object = self._value[name]
        return value

    def text(self, name: str) -> str:
        """Return a string, made safe to show."""
        value = self.get(name)
        if not isinstance(value, str):
            raise self._wrong(name, value, "a string")
        return visible(value)

    def number(self, name: str) -> float:
        """Return a number of seconds."""
        value = self.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:  # noqa: PLR2004 - any bound that keeps drawings finite
            raise self._wrong(name, value, "a number of seconds")
        return float(value)

    def verdict(self) -> str:
        """Return the member `verdict`."""
        value = self.text("verdict")
        if value not in VERDICTS:
            raise self._wrong("verdict", value, " or ".join(VERDICTS))
        return value

    def objects(self, name: str) -> list[JsonObject]:
        """Return a list of objects."""
        value = self.get(name)
        if not isinstance(value, list | tuple):
            raise self._wrong(name, value, "a list")
        return [JsonObject(item, f"{self._where}: {name}[{i}]") for i, item in enumerate(value)]

    def _wrong(self, name: str, value: object, expected: str) -> FormatError:
        return FormatError(f"{self._where}: {name} is {value!r:.60}: expected {expected}")


def _scenario(item: JsonObject, logs: Path) -> Scenario:
    return Scenario(
        id=item.text("id"),
        title=item.text("title"),
        group=item.text("group"),
        about=item.text("about"),
        verdict=item.verdict(),
        expected=item.text("expected"),
        observed=item.text("observed"),
        reason=item.text("reason"),
        duration=item.number("duration"),
        steps=tuple(_step(step, logs) for step in item.objects("steps")),
    )


def _step(item: JsonObject, logs: Path) -> Step:
    status = item.get("status")
    return Step(
        title=item.text("title"),
        ending=item.text("ending"),
        verdict=item.verdict(),
        reason=item.text("reason"),
        duration=item.number("duration"),
        resets=int(item.number("resets")),
        seen=tuple(
            Sighting(
                time=seen.number("time"),
                name=seen.text("name"),
                detail=seen.text("detail"),
                line=seen.text("line"),
            )
            for seen in item.objects("seen")
        ),
        findings=tuple(
            Note(
                id=note.text("id"),
                severity=note.text("severity"),
                where=note.text("where"),
                message=note.text("message"),
            )
            for note in item.objects("findings")
        ),
        status=json.dumps(status, indent=2) if status else "",
        phases=tuple(
            Phase(name=p.text("name"), start=p.number("start"), end=p.number("end"))
            for p in item.objects("phases")
        ),
        log=_log(item.text("log"), logs),
    )


def _log(path: str, logs: Path) -> tuple[str, ...]:
    """Read a serial log; a missing one is shown as such, for the verdict does not rest on it."""
    if not path:
        return ()
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts:
        raise FormatError(f"serial log {path!r} lies outside the result directory")
    try:
        text = (logs / relative).read_text(errors="replace")
    except OSError as error:
        return (f"({path} could not be read: {error.strerror})",)
    lines = text.split("\n")
    if len(lines) > _LOG_LINES:
        half = _LOG_LINES // 2
        left_out = len(lines) - 2 * half
        lines = [*lines[:half], f"({left_out} lines left out)", *lines[-half:]]
    return tuple(visible(line.rstrip("\r").replace("\t", "    ")) for line in lines)

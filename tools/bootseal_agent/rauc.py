# SPDX-License-Identifier: MIT
"""RAUC, by fixed command lines: what a bundle says of itself, its install, and the other slot.

RAUC verifies the bundle, and the device's own handlers what is in it. Before that, the bundle's
manifest is compared with the job: the cloud has said which of the maker's bundles it means. From
1.14 on, RAUC itself holds what it installs against the manifest's hash.

Spec: RAUC 1.13 to 1.15, D-Bus API (`Operation`, `InspectBundle`) and `rauc install`.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal_agent import files, strict
from bootseal_agent.errors import InstallError, Refusal

if TYPE_CHECKING:
    from bootseal_agent.document import Update

_OBJECT: Final = ("de.pengutronix.rauc", "/", "de.pengutronix.rauc.Installer")
_PERCENT: Final = re.compile(r"\s*(\d{1,3})% (.{1,200})", re.ASCII)
# What follows it says no more than that the install failed, and has the whole URL.
_ERROR: Final = re.compile(r"LastError: (.*?)(?:^Installing `|\Z)", re.DOTALL | re.MULTILINE)
# The part of a URL that gives access to what is there.
_QUERY: Final = re.compile(r"(https://[^\s?]+)\?[^\s`'\"]*")
# What a fresh URL or some patience may heal; anything else is the bundle's fault, or the device's.
_PASSING: Final = re.compile(
    r"HTTP (error|response) code [45]\d\d|not responding|[Aa]lready processing a different"
    r"|[Cc]ould not (resolve|connect)|[Cc]onnection (refused|reset|timed out)"
    r"|[Tt]imeout was reached|[Nn]etwork is unreachable"
    # Of the bus, which starts RAUC and waits 25 s for it.
    r"|Failed to activate service|Could not activate remote peer",
    re.ASCII,
)
# How RAUC tells that a program which it started has failed, be it a handler or the backend.
_CHILD: Final = re.compile(r"[Cc]hild process exited")
_REFUSED: Final = re.compile(rb"update refused: ([ -~]{1,300})\n")
_VERSION: Final = re.compile(r"rauc (\d{1,4})\.(\d{1,4})\b", re.ASCII)
_REQUIRES_HASH: Final = (1, 14)
"""The first version that takes the hash of the manifest it has to install."""
_MAX_ANSWER: Final = 1 << 20
_ASKING: Final = 600
_LOOKING: Final = 30
_LINE: Final = 1000


def is_good() -> bool:
    """Tell whether this boot was found good: its data is open, and its slot has its attempts."""
    command = ["/usr/bin/systemctl", "is-active", "--quiet", "bootseal-good.service"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, timeout=_LOOKING, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rauc:
    """RAUC's client programs.

    Attributes:
        ca: The authorities that may have certified where bundles are, PEM; RAUC reads the file.
        client: The command that is `rauc`.
        bus: The command that is `busctl`.
        refused: Where RAUC's pre-install handler says why it refused a bundle; root's.
        limit: Seconds that an install may take, and another one that has to end before it.
        pause: Seconds between two looks at whether RAUC is busy.
    """

    ca: Path
    client: Sequence[str] = ("/usr/bin/rauc",)
    bus: Sequence[str] = ("/usr/bin/busctl",)
    refused: Path = Path("/run/bootseal-update/refused")
    limit: float = 4 * 3600
    pause: float = 5

    def install(self, update: Update, progress: Callable[[int, str], None]) -> None:
        """Install a bundle in the other slot, after a look at what it is.

        What an agent before this one began goes on in RAUC's service, and is waited for.

        Args:
            update: What the job asks for.
            progress: Called with percent, and what is being done.

        Raises:
            InstallError: The bundle is not the one that was asked for, or RAUC refused it.
        """
        self._wait()
        self._compare(update)
        before = self._refusal()
        said: list[str] = []
        with subprocess.Popen(
            [*self.client, "install", f"--tls-ca={self.ca}", *self._required(update), update.url],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as running:
            assert running.stdout is not None  # noqa: S101 - a pipe, as asked for
            watch = threading.Timer(self.limit, running.kill)
            watch.daemon = True
            watch.start()
            while line := running.stdout.readline(_LINE):
                if found := _PERCENT.match(line):
                    progress(min(int(found[1]), 100), found[2].strip())
                else:
                    said = [*said[-50:], line]
            code = running.wait()
            watch.cancel()
        if code == -signal.SIGKILL:
            # That was the client: RAUC's service does not hear of it.
            reason = f"RAUC's client was killed, or did not end within {self.limit} s"
            raise InstallError(reason, ongoing=True)
        if code:
            error = _failure("".join(said), code)
            refusal = self._refusal() if _CHILD.search(f"{error}") else None
            if refusal is not None and refusal != before:
                raise InstallError(refusal[1])
            raise error

    def mark_bad(self) -> None:
        """Have the other slot not started again before something is installed there.

        Raises:
            InstallError: RAUC did not do so.
        """
        self._run([*self.client, "status", "mark-bad", "other"])

    def _refusal(self) -> tuple[int, str] | None:
        """Return when RAUC's handler last refused a bundle, and why; None if it did not."""
        try:
            with files.opened(self.refused) as file:
                found = _REFUSED.fullmatch(file.read(_LINE))
                return (os.fstat(file.fileno()).st_mtime_ns, found[1].decode()) if found else None
        except (OSError, Refusal):
            return None

    def _wait(self) -> None:
        command = [*self.bus, "--json=short", "get-property", *_OBJECT, "Operation"]
        end = time.monotonic() + self.limit
        while (said := _answer(self._run(command)).get("data")) != "idle":
            if time.monotonic() > end:
                reason = f"RAUC is {strict.shown(said)} for more than {self.limit} s"
                raise InstallError(reason, passing=True, ongoing=True)
            time.sleep(self.pause)

    def _compare(self, update: Update) -> None:
        # The service reads over the network before it answers; busctl's own limit is 25 s.
        options = ("--json=short", f"--timeout={_ASKING}")
        command = [*self.bus, *options, "call", *_OBJECT, "InspectBundle", "sa{sv}"]
        arguments = ("1", "tls-ca", "s", str(self.ca))
        told = _told(_answer(self._run([*command, update.url, *arguments])))
        asked = {
            "compatible": update.compatible,
            "version": update.version,
            "manifest-hash": update.manifest_sha256,
        }
        for key, value in asked.items():
            if told.get(key) != value:
                shown = strict.shown(told.get(key))
                raise InstallError(f"the bundle has {key} {shown}: the job asks for {value}")

    def _required(self, update: Update) -> list[str]:
        """Return the option by which RAUC itself refuses another manifest, where it has one."""
        found = _VERSION.match(self._run([*self.client, "--version"]).decode(errors="replace"))
        if found is None or (int(found[1]), int(found[2])) < _REQUIRES_HASH:
            return []
        return [f"--require-manifest-hash={update.manifest_sha256}"]

    def _run(self, command: Sequence[str]) -> bytes:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_ASKING + _LOOKING,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise InstallError(f"{command[0]} did not answer", passing=True) from error
        except OSError as error:
            raise InstallError(f"{command[0]} did not start: {error}", passing=True) from error
        if done.returncode:
            raise _failure(done.stderr.decode(errors="replace"), done.returncode)
        return done.stdout


def _failure(said: str, code: int) -> InstallError:
    found = _ERROR.search(said)
    told = _QUERY.sub(r"\1?...", found[1] if found else said)
    reason = told.strip() or f"RAUC ended with {code}"
    return InstallError(reason, passing=_PASSING.search(reason) is not None)


def _answer(data: bytes) -> dict[str, object]:
    try:
        return strict.parse(data, "RAUC's answer", limit=_MAX_ANSWER)
    except Refusal as refusal:
        raise InstallError(f"{refusal}") from refusal


def _told(answer: dict[str, object]) -> dict[str, object]:
    """Return what a bundle says of itself: its manifest's hash, and its section `update`."""
    returned = answer.get("data")
    outer = returned[0] if isinstance(returned, list) and returned else None
    inner = _value(_member(outer, "update"))
    return {
        "manifest-hash": _value(_member(outer, "manifest-hash")),
        "compatible": _value(_member(inner, "compatible")),
        "version": _value(_member(inner, "version")),
    }


def _member(dictionary: object, key: str) -> object:
    return dictionary.get(key) if isinstance(dictionary, dict) else None


def _value(variant: object) -> object:
    """Return what is in a variant of D-Bus, be it in other variants."""
    while _member(variant, "type") == "v":
        variant = _member(variant, "data")
    return _member(variant, "data")

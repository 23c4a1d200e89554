# SPDX-License-Identifier: MIT
"""The serial console: cuts bytes into timed lines, and names the lines that mean something.

This is the only place where text decides anything. The table is pinned to TF-A 2.12, U-Boot
2025.01, Linux 6.12 and the boot logic and initramfs of meta-secureboot;
tests/unit/boot/machine/test_console.py has a vector for each row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bootseal.boot.machine.events import Phase, Sighting
from bootseal.text import visible

# Colours, cursor movements and questions to the terminal (ECMA-48): noise to the patterns, escaped
# where a person reads them.
_ESCAPES: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-Z^-~]"
)
# Longer than any honest line; a device that never ends its line must not fill our memory.
_LONGEST: Final = 4096
_SHELL: Final = r"^[\w.@:~/-]* ?# "
# Where a message of the kernel begins: at times behind a line that a program has not ended.
_KERNEL: Final = r"(?:^|\[ *[0-9]+\.[0-9]+\] ?(?:\[ *[TC][0-9]+\] ?)?)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A named console line.

    Attributes:
        name: How scenarios ask for it.
        regex: Searched for in the line without its escape sequences; the first group that matched
            is the detail.
        prompt: The line is complete without a line end, because something waits for an answer.
    """

    name: str
    regex: re.Pattern[str]
    prompt: bool = False


def _patterns(*rows: tuple[str, str], prompt: bool = False) -> tuple[Pattern, ...]:
    return tuple(Pattern(name=n, regex=re.compile(r), prompt=prompt) for n, r in rows)


PATTERNS: Final = _patterns(
    # TF-A 2.12 and the layer's part of it
    ("bank", r"^NOTICE:  bootseal: boot loader bank ([ab])$"),
    ("bank-malformed", r"^ERROR:   bootseal: the bank is not one FIP and zeros"),
    ("bl2-refused", r"^ERROR:   Failed to load BL2 firmware"),
    ("image-refused", r"^ERROR:   BL2: Failed to load image id (\d+)"),
    ("tpm-failed", r"^ERROR:   bootseal: TPM: ([^:]+):"),
    ("bank-refused", r"bootseal: boot loader bank ([ab]) refused"),
    ("no-boot-loader", r"bootseal: no boot loader could be started, powering off"),
    # U-Boot 2025.01
    ("u-boot", r"^U-Boot (20\d\d\.\d\d\S*) \("),
    ("configuration", r"^\s+Using '([^']+)' configuration"),
    ("config-signed", r"Verifying Hash Integrity \.\.\. sha\d+,rsa\d+:([^+\s]+)\+ OK"),
    ("bad-hash", r"^Bad hash value for '[^']*' hash node in '([^']*)' image node"),
    ("bad-data-hash", r"^Bad Data Hash"),
    ("no-signature", r"^No 'signature' subnode found for '[^']*' hash node in '([^']*)' config"),
    ("bad-signature", r"^Verification failed for '[^']*' hash node in '([^']*)' config node"),
    ("signature-refused", r"Failed to verify required signature '([^']*)'"),
    ("unit-address", r"^Signature checking prevents use of unit addresses"),
    ("bad-format", r"(?:Bad FIT (\w+) image format|Wrong Image (?:Type|Format) for bootm)"),
    ("no-image", r"^(?:ERROR: )?can't get (\w+) image"),
    ("tpm-silent", r"^TPM error, unable to read (?:header|remaining bytes of result)"),
    # the layer's own patches to U-Boot
    (
        "bad-hint",
        r"^Key name hint does not match the required key for '[^']*' .* in '([^']*)' conf",
    ),
    ("gate-refused", r"^bootseal: FIT refused: (.+), at offset 0x[0-9a-f]+ \(bootseal gate"),
    ("boot-refused", r"^bootseal: boot refused: ([^(]+\b)"),
    ("no-key", r"^No (public|required) key in the control device tree"),
    ("no-prompt", r"^bootseal: boot command ended, there is no prompt"),
    ("bus-error", r'^"(?:Synchronous Abort|Error)" handler, esr'),
    ("kernel-handover", r"^Starting kernel \.\.\."),
    # boot logic of meta-secureboot in U-Boot
    ("slot-tried", r"^bootseal: trying slot ([ab])\b"),
    ("slot-refused", r"^bootseal: slot ([ab]) refused"),
    ("state-read", r"^bootseal: slot state read"),
    ("state-copy", r"^bootseal: second copy of the slot state read"),
    ("state-default", r"^bootseal: no valid slot state, using defaults"),
    ("state-not-saved", r"^bootseal: slot state not saved"),
    ("last-resort", r"^bootseal: slot ([ab]) has no attempts left, last resort"),
    ("all-refused", r"^bootseal: no slot could be started, powering off"),
    # Linux 6.12
    ("kernel", rf"{_KERNEL}Booting Linux on physical CPU"),
    ("init", rf"{_KERNEL}Run /init as init process"),
    (
        "verity-corruption",
        rf"{_KERNEL}device-mapper: verity: \S+ (data|metadata) block \d+ is corr",
    ),
    ("verity-restart", r"Restarting system with command 'dm-verity device corrupted'"),
    ("panic", rf"{_KERNEL}Kernel panic - not syncing: (.*)"),
    ("restart", rf"{_KERNEL}reboot: Restarting system"),
    ("watchdog", rf"{_KERNEL}softdog: Initiating system reboot"),
    ("power-down", rf"{_KERNEL}reboot: Power down"),
    # initramfs and units of meta-secureboot
    ("root-verified", r"bootseal: root-([ab]) verified by dm-verity, starting the system"),
    ("root-refused", r"bootseal: ROOT REFUSED: (.*)"),
    ("rollback-refused", r"bootseal: ROLLBACK REFUSED: this release has index (\d+)"),
    (
        "rollback-unknown",
        r"bootseal: ROLLBACK REFUSED: index (0x[0-9a-f]+) of the TPM is not the one",
    ),
    ("rollback-raised", r"bootseal: rollback: releases below (\d+) are refused from now on"),
    ("firmware-raised", r"bootseal: rollback: boot loaders below (\d+) are refused from now on"),
    ("rollback-lowest", r"^lowest rollback index accepted: (\d+)"),
    ("loaders-writing", r"bootseal: boot loaders: writing bank ([ab])"),
    ("loaders-chosen", r"bootseal: boot loaders: those of this release are in bank ([ab])"),
    ("loaders-tried", r"bootseal: boot loaders: those in bank ([ab]) are tried"),
    ("loaders-kept", r"bootseal: boot loaders: those in bank ([ab]) are kept"),
    ("loaders-failed", r"bootseal: boot loaders: those in bank ([ab]) failed, and are not tried"),
    ("loaders-same", r"bootseal: boot loaders: bank ([ab]) holds the same"),
    ("data-opened", r"bootseal: data: opened by key slot (\d+) \(systemd-tpm2\)"),
    ("data-closed", r"bootseal: data: closed: (.+)"),
    ("data-rotated", r"bootseal: data: TPM key slot replaced, the new one is (\d+)"),
    ("data-wiped", r"bootseal: data: wiped"),
    ("state-kept", r"bootseal: state: kept"),
    ("state-volatile", r"bootseal: state: gone at the next start: (.+)"),
    ("volume-enrolled", r"bootseal: volume: enrolled in the TPM"),
    ("boots-refused", r"bootseal: boots: not a number of at most nine digits"),
    ("recovery-handed-out", r"bootseal: data: recovery key handed out"),
    ("tpm-lockout", r"bootseal: data: the TPM is in lockout"),
    ("tpm-guesses", r"^TPM2_PT_LOCKOUT_COUNTER: (0x[0-9a-fA-F]+)"),
    ("identity-token", r"bootseal-identity: token made, (with|without) a certificate"),
    # the layer's unit that leaves a release
    ("not-good", r"bootseal: slot ([ab]) was not found good: the device restarts"),
    # what a scenario has typed while RAUC works
    ("update-step", r"^bootseal: bench: the update is at (\w+)$"),
    # the same while the installer of applications works
    ("app-installing", r"^bootseal: bench: an application is being installed"),
    # machine id and a secret of the product's own, that a scenario has printed
    ("product-state", r"^product: ([0-9a-f]{32} [0-9a-f]{32})$"),
    # systemd
    ("systemd", r"Welcome to (.+)!"),
    ("emergency-shell", r"^You are in emergency mode|^Give root password for maintenance"),
    # what every attack payload of the catalogue prints when it gets to run
    ("attacker-code", r"BOOTSEAL-ATTACKER-CODE-RUNS ?(\S*)"),
)

PROMPTS: Final = _patterns(
    ("u-boot-prompt", r"^=> $"),
    ("emergency-shell", r"^\(initramfs\) $|^Press Enter for maintenance"),
    ("login", r"^\S+ login: $"),
    ("shell", rf"{_SHELL}$"),
    prompt=True,
)
# A prompt that came together with a message of the kernel, and so never stood alone.
_BEHIND: Final = _patterns(("shell", rf"{_SHELL}\[ *[0-9]+\.[0-9]+\] "))

NAMES: Final = frozenset(p.name for p in PATTERNS + PROMPTS)

_PHASES: Final = (
    ("U-Boot", "u-boot"),
    ("kernel", "kernel-handover"),
    ("initramfs", "init"),
    ("system", "root-verified"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One console line; `time` is that of its first byte, in seconds since power-on."""

    time: float
    text: str


class Console:
    """Cuts the byte stream of one power cycle into lines and recognises the named ones.

    Attributes:
        lines: All complete lines so far, escaped and so safe to show.
        seen: All named lines so far.
    """

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.seen: list[Sighting] = []
        self._partial = bytearray()
        self._since = 0.0
        self._prompted = False

    def feed(self, data: bytes, time: float) -> list[Sighting]:
        """Take bytes that came at `time` (seconds since power-on); return what they completed."""
        known = len(self.seen)
        for piece in data.splitlines(keepends=True):
            if not self._partial:
                self._since, self._prompted = time, False
            self._partial += piece
            if piece.endswith(b"\n") or len(self._partial) >= _LONGEST:
                self._finish(time)
        if self._partial and not self._prompted:
            self._recognise(PROMPTS, time)
        return self.seen[known:]

    def close(self, time: float) -> list[Sighting]:
        """End the stream; an unfinished line counts as a line."""
        known = len(self.seen)
        if self._partial:
            self._finish(time)
        return self.seen[known:]

    def _finish(self, time: float) -> None:
        self._recognise(PATTERNS if self._prompted else PATTERNS + _BEHIND, time)
        self.lines.append(Line(time=self._since, text=self._shown()))
        self._partial.clear()

    def _text(self) -> str:
        return self._partial.decode(errors="backslashreplace").rstrip("\n").rstrip("\r")

    def _shown(self) -> str:
        return visible(self._text())

    def _recognise(self, patterns: tuple[Pattern, ...], time: float) -> None:
        # Text before a carriage return was overwritten.
        text = _ESCAPES.sub("", self._text()).rpartition("\r")[2]
        for pattern in patterns:
            if match := pattern.regex.search(text):
                detail = next((g for g in match.groups() if g), "")
                self._prompted |= pattern.prompt
                self.seen.append(
                    Sighting(
                        time=time,
                        name=pattern.name,
                        detail=visible(detail),
                        line=self._shown(),
                    )
                )


def phases(seen: Sequence[Sighting], end: float, *, up: bool) -> tuple[Phase, ...]:
    """Cut the last boot of a power cycle into its phases.

    Args:
        seen: Named lines in order.
        end: When the power cycle ended, seconds since power-on.
        up: Whether it ended with the system up.
    """
    starts: list[tuple[str, float]] = []
    for sighting in seen:
        for index, (title, pattern) in enumerate(_PHASES):
            if sighting.name == pattern:
                # Going back to an earlier phase means that the device was reset.
                starts = [s for s in starts if _order(s[0]) < index]
                starts.append((title, sighting.time))
    if not starts:
        return ()
    ends = [s[1] for s in starts[1:]] + [end]
    found = [Phase(name=n, start=s, end=e) for (n, s), e in zip(starts, ends, strict=True)]
    return (*found, Phase(name="up", start=end, end=end)) if up else tuple(found)


def _order(title: str) -> int:
    return [t for t, _ in _PHASES].index(title)

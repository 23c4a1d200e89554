# SPDX-License-Identifier: MIT
"""The console: lines, prompts, hostile bytes, and a vector for every named pattern."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseal.boot.machine.console import NAMES, Console, phases
from bootseal.boot.machine.events import Sighting
from bootseal.boot.scenario.model import ALWAYS_FORBIDDEN
from bootseal.text import visible

# Taken from consoles of U-Boot 2025.01, Linux 6.12 and systemd 257, and from meta-secureboot.
LINES = [
    ("bank", "a", "NOTICE:  bootseal: boot loader bank a"),
    ("bank-malformed", "", "ERROR:   bootseal: the bank is not one FIP and zeros"),
    ("bl2-refused", "", "ERROR:   Failed to load BL2 firmware."),
    ("image-refused", "5", "ERROR:   BL2: Failed to load image id 5 (-80)"),
    ("tpm-failed", "starting", "ERROR:   bootseal: TPM: starting: -5, 0x0"),
    ("bank-refused", "b", "NOTICE:  bootseal: boot loader bank b refused"),
    ("bank-refused", "a", "bootseal: boot loader bank a refused (panic)"),
    ("no-boot-loader", "", "ERROR:   bootseal: no boot loader could be started, powering off"),
    ("u-boot", "2025.01-3+deb13u1", "U-Boot 2025.01-3+deb13u1 (Apr 08 2025 - 23:20:40 +0000)"),
    ("configuration", "conf-a", "   Using 'conf-a' configuration"),
    ("config-signed", "DEV-fit", "   Verifying Hash Integrity ... sha256,rsa2048:DEV-fit+ OK"),
    (
        "bad-hash",
        "kernel-1",
        "Bad hash value for 'hash-1' hash node in 'kernel-1' image node",
    ),
    ("bad-data-hash", "", "Bad Data Hash"),
    (
        "no-signature",
        "conf-a",
        "No 'signature' subnode found for '<NULL>' hash node in 'conf-a' config node",
    ),
    (
        "bad-signature",
        "conf-b",
        "Verification failed for '<NULL>' hash node in 'conf-b' config node",
    ),
    ("signature-refused", "key-DEV-fit", "Failed to verify required signature 'key-DEV-fit'"),
    ("unit-address", "", "Signature checking prevents use of unit addresses (@) in nodes"),
    ("bad-format", "kernel", "Bad FIT kernel image format! (err=-22)"),
    ("bad-format", "", "Wrong Image Type for bootm command"),
    ("no-image", "kernel", "ERROR: can't get kernel image!"),
    ("tpm-silent", "", "TPM error, unable to read header"),
    ("tpm-silent", "", "TPM error, unable to read remaining bytes of result"),
    (
        "bad-hint",
        "conf-a",
        (
            "Key name hint does not match the required key for 'signature-1' hash node in 'conf-a' "
            "config node"
        ),
    ),
    (
        "gate-refused",
        "two nodes have the same path",
        "bootseal: FIT refused: two nodes have the same path, at offset 0x1c8 (bootseal gate 1)",
    ),
    ("boot-refused", "not measured", "bootseal: boot refused: not measured (err=-19)"),
    (
        "boot-refused",
        "no configuration is named",
        "bootseal: boot refused: no configuration is named",
    ),
    ("no-key", "required", "No required key in the control device tree"),
    ("no-prompt", "", "bootseal: boot command ended, there is no prompt"),
    ("bus-error", "", '"Synchronous Abort" handler, esr 0x96000010, far 0xc000000'),
    ("kernel-handover", "", "Starting kernel ..."),
    ("slot-tried", "a", "bootseal: trying slot a"),
    ("slot-refused", "b", "bootseal: slot b refused"),
    ("state-read", "", "bootseal: slot state read"),
    ("state-copy", "", "bootseal: second copy of the slot state read"),
    ("state-default", "", "bootseal: no valid slot state, using defaults"),
    ("state-not-saved", "", "bootseal: slot state not saved"),
    ("last-resort", "a", "bootseal: slot a has no attempts left, last resort"),
    ("all-refused", "", "bootseal: no slot could be started, powering off"),
    ("kernel", "", "[    0.000000] Booting Linux on physical CPU 0x0000000000 [0x411fd070]"),
    ("init", "", "[    3.212345] Run /init as init process"),
    (
        "verity-corruption",
        "data",
        "[   12.345678] device-mapper: verity: 254:4: data block 17 is corrupted",
    ),
    (
        "verity-corruption",
        "metadata",
        "[   12.345678][  T123] device-mapper: verity: 254:4: metadata block 1 is corrupted",
    ),
    (
        "verity-corruption",
        "data",
        "starting the system[    9.680150] device-mapper: verity: 254:4: data block 7 is corrupted",
    ),
    (
        "verity-restart",
        "",
        "[   12.4] reboot: Restarting system with command 'dm-verity device corrupted'",
    ),
    ("restart", "", "[   60.123456] reboot: Restarting system"),
    ("power-down", "", "[   40.878513] reboot: Power down"),
    (
        "panic",
        "Attempted to kill init! exitcode=0x00000100",
        "[    2.1] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100",
    ),
    ("root-verified", "a", "bootseal: root-a verified by dm-verity, starting the system"),
    (
        "root-refused",
        "dm-verity did not open root-a",
        "bootseal: ROOT REFUSED: dm-verity did not open root-a",
    ),
    (
        "rollback-unknown",
        "0x01500b00",
        "bootseal: ROLLBACK REFUSED: index 0x01500b00 of the TPM is not the one that this",
    ),
    ("volume-enrolled", "", "[  9.1] volume[2]: bootseal: volume: enrolled in the TPM"),
    (
        "boots-refused",
        "",
        "bootseal: boots: not a number of at most nine digits; counting from the start",
    ),
    (
        "rollback-refused",
        "1",
        "bootseal: ROLLBACK REFUSED: this release has index 1, and a newer one was found good",
    ),
    (
        "rollback-raised",
        "2",
        "[   89.1] mark-good[4]: bootseal: rollback: releases below 2 are refused from now on",
    ),
    (
        "firmware-raised",
        "2",
        "[   89.2] mark-good[4]: bootseal: rollback: boot loaders below 2 are refused from now on",
    ),
    ("rollback-lowest", "2", "lowest rollback index accepted: 2"),
    (
        "data-opened",
        "0",
        "[   90.550398] bootseal-data[371]: bootseal: data: opened by key slot 0 (systemd-tpm2)",
    ),
    (
        "data-closed",
        "there is no data partition",
        "bootseal: data: closed: there is no data partition",
    ),
    ("data-rotated", "3", "bootseal: data: TPM key slot replaced, the new one is 3"),
    ("loaders-writing", "b", "bootseal: boot loaders: writing bank b"),
    (
        "loaders-chosen",
        "b",
        "[ 12.3] bootseal: boot loaders: those of this release are in bank b, and are tried at",
    ),
    ("loaders-tried", "b", "bootseal: boot loaders: those in bank b are tried"),
    ("loaders-kept", "b", "bootseal: boot loaders: those in bank b are kept"),
    (
        "loaders-failed",
        "b",
        "bootseal: boot loaders: those in bank b failed, and are not tried again",
    ),
    (
        "loaders-same",
        "a",
        "bootseal: boot loaders: bank a holds the same as the one that runs",
    ),
    ("state-kept", "", "[  9.1] state[2]: bootseal: state: kept"),
    (
        "state-volatile",
        "/var/lib/app: the data partition is closed",
        "bootseal: state: gone at the next start: /var/lib/app: the data partition is closed",
    ),
    ("product-state", f"{'1f' * 16} {'0a' * 16}", f"product: {'1f' * 16} {'0a' * 16}"),
    ("data-wiped", "", "bootseal: data: wiped; the next start makes an empty partition"),
    (
        "recovery-handed-out",
        "",
        "bootseal: data: recovery key handed out to the provisioning station",
    ),
    (
        "tpm-lockout",
        "",
        "bootseal: data: the TPM is in lockout after wrong guesses; the data's key",
    ),
    ("tpm-guesses", "0x0", "TPM2_PT_LOCKOUT_COUNTER: 0x0"),
    (
        "identity-token",
        "with",
        "[   21.5] bootseal-identity[412]: bootseal-identity: token made, with a certificate",
    ),
    ("watchdog", "", "[   80.123456] softdog: Initiating system reboot"),
    ("not-good", "b", "[   75.1] bootseal: slot b was not found good: the device restarts"),
    ("update-step", "root", "bootseal: bench: the update is at root"),
    ("app-installing", "", "bootseal: bench: an application is being installed"),
    ("identity-token", "without", "bootseal-identity: token made, without a certificate"),
    ("systemd", "Debian GNU/Linux 13 (trixie)", "Welcome to \x1b[1mDebian GNU/Linux 13 (trixie)!"),
    ("emergency-shell", "", 'You are in emergency mode. After logging in, type "journalctl -xb"'),
    ("attacker-code", "root", "BOOTSEAL-ATTACKER-CODE-RUNS root"),
]

PROMPTS = [
    ("u-boot-prompt", "=> "),
    ("emergency-shell", "(initramfs) "),
    ("emergency-shell", "Press Enter for maintenance"),
    ("login", "bootseal login: "),
    ("shell", "# "),
    ("shell", "root@bootseal:~# "),
    ("shell", "\x1b[!p\x1b]104\x07\x1b[?7h\x1b[6n\x1b[32766;32766H\x1b[6n# "),
    ("shell", "\x1b[?2004hsh-5.2# "),
]


def names(text: str) -> list[tuple[str, str]]:
    return [(s.name, s.detail) for s in Console().feed(text.encode(), 1.0)]


@pytest.mark.parametrize(
    ("name", "detail", "line"), LINES, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(LINES)]
)
def test_console_known_line_is_recognised(name: str, detail: str, line: str) -> None:
    assert (name, detail) in names(f"{line}\r\n")


@pytest.mark.parametrize(
    ("name", "prompt"), PROMPTS, ids=[f"{n}-{i}" for i, (n, _) in enumerate(PROMPTS)]
)
def test_console_prompt_is_recognised_without_line_end(name: str, prompt: str) -> None:
    assert (name, "") in names(f"earlier\r\n{prompt}")


def test_console_prompt_is_recognised_with_what_the_kernel_says_behind_it() -> None:
    behind = "# [   35.123456] block nbd0: Send disconnect failed -32\r\n"
    assert names(behind) == [("shell", "")]
    console = Console()
    assert [each.name for each in console.feed(b"# ", 1.0)] == ["shell"]
    assert console.feed(behind[2:].encode(), 2.0) == []
    assert names("echo # [now]\r\n") == []


def test_console_every_pattern_has_a_vector() -> None:
    assert {n for n, _, _ in LINES} | {n for n, _ in PROMPTS} == NAMES


def test_console_always_forbidden_names_exist() -> None:
    assert set(ALWAYS_FORBIDDEN) <= NAMES


@pytest.mark.parametrize(
    "line",
    [
        "a => b",
        "echo bootseal: slot a refused",
        "   Hash value:   bad hash value",
        "   Verifying Hash Integrity ... sha256,rsa2048:DEV-fit- error!",
        "   Verifying Hash Integrity ... sha256+ OK",
        "# a comment",
    ],
)
def test_console_similar_line_is_not_recognised(line: str) -> None:
    assert names(f"{line}\n") == []


def test_console_prompt_split_over_reads_is_reported_once() -> None:
    console = Console()
    seen = [s for piece in (b"=", b">", b" ", b"x") for s in console.feed(piece, 1.0)]
    assert [s.name for s in seen] == ["u-boot-prompt"]


def test_console_line_split_over_reads_has_the_time_of_its_first_byte() -> None:
    console = Console()
    console.feed(b"bootseal: trying", 1.0)
    console.feed(b" slot a\r\n", 2.0)
    assert [(line.time, line.text) for line in console.lines] == [(1.0, "bootseal: trying slot a")]


def test_console_overwritten_text_is_not_matched() -> None:
    assert names("bootseal: slot a refused\rfine\n") == []


def test_console_escape_sequences_are_escaped_where_shown() -> None:
    console = Console()
    console.feed(b"a\x1b[2Jb\xff\xe2\x80\xaec\n", 0.0)
    assert console.lines[0].text == "a\\x1b[2Jb\\xff\\u202ec"


def test_console_endless_line_is_cut() -> None:
    console = Console()
    for _ in range(100):
        console.feed(b"x" * 1000, 0.0)
    assert len(console.lines) > 10


def test_console_last_line_without_end_counts_when_closed() -> None:
    console = Console()
    assert console.feed(b"Bad Data Hash", 0.0) == []
    assert [s.name for s in console.close(1.0)] == ["bad-data-hash"]


@given(st.lists(st.binary(max_size=64), max_size=8))
def test_console_any_bytes_give_printable_lines(pieces: list[bytes]) -> None:
    console = Console()
    for piece in pieces:
        console.feed(piece, 0.0)
    console.close(0.0)
    assert all(line.text.isprintable() for line in console.lines)
    assert all(s.line.isprintable() and s.detail.isprintable() for s in console.seen)


@given(st.binary(max_size=200), st.integers(min_value=0, max_value=200))
def test_console_lines_do_not_depend_on_how_bytes_arrive(data: bytes, cut: int) -> None:
    whole, parts = Console(), Console()
    whole.feed(data, 0.0)
    parts.feed(data[:cut], 0.0)
    parts.feed(data[cut:], 0.0)
    whole.close(0.0)
    parts.close(0.0)
    assert [line.text for line in whole.lines] == [line.text for line in parts.lines]


def test_visible_keeps_ordinary_text() -> None:
    assert visible("Grüße = 100%") == "Grüße = 100%"


def seen(*pairs: tuple[str, float]) -> list[Sighting]:
    return [Sighting(time=time, name=name, detail="", line=name) for name, time in pairs]


def test_phases_follow_one_another() -> None:
    found = phases(
        seen(("u-boot", 0.5), ("kernel-handover", 2.0), ("root-verified", 7.0)), 40.0, up=True
    )
    assert [(p.name, p.start, p.end) for p in found] == [
        ("U-Boot", 0.5, 2.0),
        ("kernel", 2.0, 7.0),
        ("system", 7.0, 40.0),
        ("up", 40.0, 40.0),
    ]


def test_phases_after_a_reset_are_those_of_the_last_boot() -> None:
    found = phases(
        seen(("u-boot", 1.0), ("kernel-handover", 2.0), ("u-boot", 5.0), ("kernel-handover", 6.0)),
        9.0,
        up=False,
    )
    assert [(p.name, p.start, p.end) for p in found] == [("U-Boot", 5.0, 6.0), ("kernel", 6.0, 9.0)]


def test_phases_of_a_silent_console_are_none() -> None:
    assert phases([], 9.0, up=False) == ()

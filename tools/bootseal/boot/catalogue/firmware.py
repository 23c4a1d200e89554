# SPDX-License-Identifier: MIT
"""Scenarios about the boot ROM and the boot loaders that it starts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from bootseal.boot.attacks import boot_loader, release
from bootseal.boot.attacks import firmware as attacks
from bootseal.boot.catalogue.steps import came_up, no_boot_loader, reached_kernel
from bootseal.boot.machine.events import Ending
from bootseal.boot.scenario.model import Action, Do, Expectation, ExpectedStatus, Scenario, Step
from bootseal.boot.scenario.workspace import Tpm

if TYPE_CHECKING:
    from bootseal.boot.scenario.workspace import Workspace

_scenario: Final = partial(Scenario, group="firmware", rom=True)
_FLIPS: Final = 10
_TOC: Final = 16
_MALFORMED, _BL2, _BL31, _UBOOT = (
    "bank-malformed",
    "bl2-refused",
    "image-refused:3",
    "image-refused:5",
)


class _Change(NamedTuple):
    """A change to the FIP in both banks, and the reason for which each is refused."""

    id: str
    title: str
    change: Callable[[bytes], bytes]
    why: str


_CHANGES: Final = (
    _Change("name", "a bit of its header: the name", attacks.at(0), _MALFORMED),
    _Change("serial", "a bit of its header: the serial number", attacks.at(4), _MALFORMED),
    _Change("flags", "a bit of its header: the flags", attacks.at(8), _MALFORMED),
    _Change("toc-uuid", "a bit of the table: a UUID", attacks.at(_TOC), _MALFORMED),
    _Change("toc-offset", "a bit of the table: an offset", attacks.at(_TOC + 16 + 6), _MALFORMED),
    _Change("toc-size", "a bit of the table: a size", attacks.at(_TOC + 24), _MALFORMED),
    _Change("toc-flags", "a bit of the table: flags", attacks.at(_TOC + 32), _MALFORMED),
    _Change("bl2", "a bit of BL2", attacks.inside("tb-fw"), _BL2),
    _Change("bl2-certificate", "a bit of BL2's certificate", attacks.vouched("tb-fw-cert"), _BL2),
    _Change(
        "trusted-key",
        "a bit of the trusted key certificate",
        attacks.vouched("trusted-key-cert"),
        _BL31,
    ),
    _Change(
        "soc-key", "a bit of the SoC key certificate", attacks.vouched("soc-fw-key-cert"), _BL31
    ),
    _Change("soc-content", "a bit of BL31's certificate", attacks.vouched("soc-fw-cert"), _BL31),
    _Change("bl31", "a bit of BL31", attacks.inside("soc-fw"), _BL31),
    _Change("nt-key", "a bit of the NT key certificate", attacks.vouched("nt-fw-key-cert"), _UBOOT),
    _Change("nt-content", "a bit of U-Boot's certificate", attacks.vouched("nt-fw-cert"), _UBOOT),
    _Change("u-boot", "a bit of U-Boot", attacks.inside("nt-fw"), _UBOOT),
    _Change(
        "control-tree",
        "a bit of the last byte of U-Boot's device tree",
        attacks.last_byte("nt-fw"),
        _UBOOT,
    ),
    _Change("short", "only its first half", attacks.half, _BL2),
    _Change("long", "a byte after its end", attacks.behind, _MALFORMED),
    _Change("foreign-key", "the same, signed with other keys", attacks.foreign, _BL2),
)


def _both(row: _Change) -> Scenario:
    return _scenario(
        id=f"firmware-{row.id}",
        title=f"Boot loader in both banks: {row.title}",
        about="Neither bank starts, and the device powers off.",
        base="shipped",
        prepare=attacks.changed(row.change),
        steps=(no_boot_loader(row.why),),
    )


def _other_bank(
    id_: str, title: str, prepare: Callable[[Workspace], None], *why: str, about: str
) -> Scenario:
    return _scenario(
        id=f"firmware-{id_}",
        title=title,
        about=about,
        prepare=prepare,
        steps=(
            came_up("bank:a", *why, "bank-refused:a", "bank:b", "slot-tried:a", "root-verified:a"),
        ),
    )


def _flips(number: int) -> Scenario:
    return _scenario(
        id=f"firmware-flipped-{number:02}",
        title=f"A random bit flipped in each bank (seed {number})",
        about="The bit is covered wherever it is: neither bank starts.",
        base="shipped",
        prepare=attacks.bits_at_random(number),
        steps=(no_boot_loader(),),
    )


def _release_2(workspace: Workspace) -> None:
    release.update(firmware_version=2)(workspace)
    attacks.by_maker({}, counter=2)(workspace)
    # What is in the banks is what the release brings, byte for byte.
    attacks.bring(workspace, workspace.disk.read("fw-a", 0, workspace.disk.size("fw-a")))


FIRMWARE: Final = (
    *map(_both, _CHANGES),
    *map(_flips, range(1, _FLIPS + 1)),
    _other_bank(
        "bank-a-flipped",
        "One bit of U-Boot flipped in bank a",
        attacks.changed(attacks.inside("nt-fw"), "a"),
        _UBOOT,
        about="BL2 refuses it and resets, and the other bank starts: PCR 0, the event log and the "
        "data are as after any boot.",
    ),
    _other_bank(
        "bank-a-restarts",
        "Signed U-Boot in bank a that resets immediately",
        attacks.crashing("a"),
        *("bank:a", "bank:a"),
        about="It verifies, so it starts. After three starts without a kernel, the other bank "
        "starts.",
    ),
    _scenario(
        id="firmware-bank-b",
        title="Bank b chosen",
        about="As after an update of the boot loader.",
        prepare=attacks.choose(1),
        steps=(came_up("bank:b", "slot-tried:a", "root-verified:a"),),
    ),
    _scenario(
        id="firmware-choice-noise",
        title="Block that chooses the bank filled with random bytes",
        about="Anything but the one valid form selects bank a.",
        base="shipped",
        prepare=attacks.choice_is_noise,
        steps=(reached_kernel("bank:a", "slot-tried:a", forbidden=("bank-refused",)),),
    ),
    _scenario(
        id="firmware-update-cut",
        title="Power cut while bank b is written",
        about="An update writes the inactive bank, and then selects it. Bank a starts; bank b is "
        "not read.",
        base="shipped",
        prepare=attacks.changed(attacks.half, "b"),
        steps=(reached_kernel("bank:a", "slot-tried:a", forbidden=("bank:b",)),),
    ),
    _scenario(
        id="firmware-switch-cut",
        title="Power cut while the block that chooses bank b is written",
        about="The block counts only if it is complete: with a part of it, bank a starts.",
        base="shipped",
        prepare=attacks.choice_is_torn,
        steps=(reached_kernel("bank:a", "slot-tried:a", forbidden=("bank:b",)),),
    ),
    _scenario(
        id="firmware-switch-early",
        title="Bank b selected before all of it was on the disk, then a power cut",
        about="A FIP's certificates come last, and are missing. The block only says which bank is "
        "first: bank b is refused, and bank a starts.",
        base="shipped",
        prepare=attacks.switched_early,
        steps=(reached_kernel("bank:b", _BL2, "bank-refused:b", "bank:a", "slot-tried:a"),),
    ),
    _scenario(
        id="firmware-rolled-back",
        title="Boot loader below the TPM's index, in both banks",
        about="The TPM's index refuses its security version. BL1 and BL2 only read the index.",
        base="shipped",
        tpm=Tpm.FIRMWARE_RAISED,
        steps=(no_boot_loader(_BL2),),
    ),
    _scenario(
        id="firmware-newer",
        title="Boot loader with a higher security version, under the same index",
        about="It starts: the maker signed it with the counter that the index requires.",
        base="shipped",
        tpm=Tpm.FIRMWARE_RAISED,
        prepare=attacks.by_maker({}, counter=2),
        steps=(reached_kernel("bank:a", "slot-tried:a", forbidden=("bank-refused",)),),
    ),
    _scenario(
        id="firmware-mixed",
        title="BL2 and BL31 of a newer boot loader with U-Boot of the previous one, under the same "
        "index",
        about="The maker signed each part. The index refuses the version in U-Boot's own "
        "certificates, in both banks.",
        base="shipped",
        tpm=Tpm.FIRMWARE_RAISED,
        prepare=attacks.mixed,
        steps=(no_boot_loader(_UBOOT),),
    ),
    _scenario(
        id="firmware-sha1",
        title="BL2's certificate signed with SHA-1, by the maker",
        about="The signature is valid, but the boot ROM does not support the hash.",
        base="shipped",
        prepare=attacks.certified_with_sha1,
        steps=(no_boot_loader(_BL2),),
    ),
    _scenario(
        id="firmware-pkcs1",
        title="BL2's certificate signed with PKCS#1 v1.5, by the maker",
        about="The signature is valid, but the boot ROM accepts only RSASSA-PSS.",
        base="shipped",
        prepare=attacks.certified_with_pkcs1,
        steps=(no_boot_loader(_BL2),),
    ),
    _scenario(
        id="firmware-unapproved",
        title="Another boot loader of the maker's that the data policy does not name",
        about="Its security version is not below the TPM's index, so it starts, as an older one "
        "does until the index rises. The policy covers PCR 0, which BL1 and BL2 extended "
        "before it ran: the TPM does not release the key, and no index is raised.",
        prepare=boot_loader.unapproved_in_a,
        steps=(
            Step(
                expect=Expectation(
                    ending=Ending.UP,
                    console=("bank:a", "slot-tried:a", "root-verified:a", "data-closed"),
                    forbidden=("data-opened", "firmware-raised"),
                    status=ExpectedStatus(
                        findings=("data.closed",), reason=r"(?i)tpm|unseal|policy|signature"
                    ),
                )
            ),
        ),
    ),
    _scenario(
        id="firmware-fallback",
        title="Bank a damaged, another boot loader that the data policy names in bank b",
        about="The policy has a signature for each pair of a boot loader and a slot, so the data "
        "also opens with the previous boot loader.",
        prepare=boot_loader.approved_in_b,
        steps=(
            came_up(
                *("bank:a", _UBOOT, "bank-refused:a", "bank:b"),
                *("slot-tried:a", "root-verified:a", "data-opened"),
            ),
        ),
    ),
    _scenario(
        id="firmware-raised",
        title="Release that requires a newer boot loader, then the older boot loader again",
        about="Release 2 in slot b is approved only with boot loaders of version 2. Once its data "
        "is open and it is found good, the TPM's index rises, and BL1 refuses version 1.",
        steps=(
            came_up(
                *("bank:a", "slot-tried:b", "root-verified:b", "data-opened", "firmware-raised:2"),
                slot="b",
                title="release 2 with boot loaders of version 2",
                prepare=_release_2,
            ),
            came_up(
                *("bank:a", _BL2, "bank-refused:a", "bank:b"),
                *("slot-tried:b", "root-verified:b", "data-opened"),
                slot="b",
                title="boot loader of version 1 in bank a",
                prepare=boot_loader.first_in_a,
            ),
        ),
    ),
    _scenario(
        id="firmware-followed",
        title="Release that brings another boot loader",
        about="Once the release is found good, the device writes its boot loader to the bank that "
        "does not run, and has the boot ROM try it at the next start. The data policy names both, "
        "so the data opens with the new one too, and the choice stays. The other bank follows at "
        "the start after that.",
        prepare=boot_loader.brought,
        steps=(
            came_up(
                *("bank:a", "data-opened", "loaders-writing:b", "loaders-chosen:b"),
                title="the other bank is written",
            ),
            came_up(
                *("bank:b", "loaders-tried:b", "data-opened", "loaders-kept:b"),
                title="the new one is tried, and kept",
                prepare=boot_loader.expect_other,
            ),
            came_up(
                *("bank:b", "data-opened", "loaders-writing:a", "loaders-same:a"),
                title="the first bank follows",
                check=boot_loader.banks_are_other,
            ),
        ),
    ),
    _scenario(
        id="firmware-followed-back",
        title="Release that brings a boot loader which never reaches a kernel; power cut meanwhile",
        about="The power is cut while the other bank is written: the first one starts, and the "
        "device writes it again. The new boot loader is signed, so the boot ROM starts it, and "
        "takes the bank before after three starts without a kernel. The device gives that bank "
        "the boot loader that runs, and does not try the other one again.",
        prepare=boot_loader.crashing_brought,
        steps=(
            Step(
                title="power cut while bank b is written",
                expect=Expectation(
                    ending=Ending.CUT, console=("bank:a", "data-opened", "loaders-writing:b")
                ),
                actions=(Action(do=Do.CUT, when="loaders-writing", delay=0.05),),
            ),
            came_up(
                *("bank:a", "data-opened", "loaders-writing:b", "loaders-chosen:b"),
                title="bank b is written",
            ),
            came_up(
                *("bank:b", "bank:b", "bank:b", "bank-refused:b", "bank:a"),
                *("loaders-failed:b", "data-opened", "loaders-writing:b", "loaders-same:b"),
                title="tried, and given up",
                check=boot_loader.banks_are_first,
            ),
        ),
    ),
    _scenario(
        id="firmware-no-tpm",
        title="TPM removed",
        about="Nothing may run unmeasured. On this board reading from an absent chip is a bus "
        "error, after which the boot ROM refuses the bank.",
        base="shipped",
        tpm=Tpm.NONE,
        steps=(no_boot_loader(),),
    ),
    _scenario(
        id="firmware-other-rom",
        title="Boot ROM with the hash of another root key",
        about="It starts nothing of this maker's.",
        base="shipped",
        prepare=attacks.foreign_rom,
        steps=(no_boot_loader(_BL2),),
    ),
)

# SPDX-License-Identifier: MIT
"""Findings about a disk: its layout, the chain of trust on it, and its U-Boot."""

from __future__ import annotations

from typing import Final

from bootseal.findings.model import Rule, Severity

_WRITE: Final = "write the disk again; sgdisk --verify shows more"
_BUILD: Final = "build the disk again from the declared layout"
_BMAP: Final = "make it again: bmaptool create IMAGE"
_SIGN_FIT: Final = "build and sign the FIT again, and write it to the slot"
_WRITE_ROOT: Final = "write root and hash tree of the build to the slot"
_SIGN_POLICY: Final = "sign the policy for this FIT again: bootseal measure sign"
_STATE: Final = "write bootstate.img of the build to the partition"
_CONFIGURE: Final = "configure U-Boot with the fragments of meta-secureboot"

LAYOUT: Final = (
    Rule("disk.size", "not a whole number of sectors, or too few for a partition table", _BUILD),
    Rule(
        "disk.mbr",
        "the first sector is not a protective MBR, or holds more, such as boot code",
        _WRITE,
    ),
    Rule(
        "disk.gpt-primary",
        "the primary GPT is malformed, has a wrong checksum, or is not where it says",
        _WRITE,
    ),
    Rule("disk.gpt-backup", "the same for the backup GPT", _WRITE),
    Rule(
        "disk.gpt-agreement",
        "the primary and the backup GPT differ; a repair tool may pick either",
        _WRITE,
    ),
    Rule("disk.outside", "a partition leaves the space for partitions", _WRITE),
    Rule("disk.overlap", "a partition begins inside another", _WRITE),
    Rule("disk.duplicate", "two partitions have the same name or GUID", _WRITE),
    Rule(
        "disk.alignment",
        "a partition does not begin at a multiple of 1 MiB",
        "declare --align 1024",
        Severity.WARNING,
    ),
    Rule(
        "disk.gap",
        "1 MiB or more between two partitions belong to none",
        severity=Severity.WARNING,
    ),
    Rule("disk.missing", "a declared partition is not there", _BUILD),
    Rule("disk.unexpected", "a partition is not declared", _BUILD),
    Rule("disk.partition-number", "a partition has another number than declared", _BUILD),
    Rule("disk.partition-type", "a partition has another type than declared", _BUILD),
    Rule("disk.partition-guid", "a partition has another GUID than declared", _BUILD),
    Rule("disk.partition-place", "a partition is not where it is declared", _BUILD),
    Rule("disk.partition-attributes", "a partition has attribute bits set", _BUILD),
    Rule(
        "disk.data-present",
        "there is a partition `data`: the disk has been booted",
        severity=Severity.INFO,
    ),
    Rule(
        "disk.hidden-data",
        "there is something where nothing belongs; the first offset is given",
        "build the disk again on an empty file",
    ),
    Rule("disk.bmap", "the `.bmap` file next to the image is malformed, or of another disk", _BMAP),
    Rule("disk.bmap-digest", "a range does not have the digest the `.bmap` file gives", _BMAP),
    Rule("disk.bmap-range", "there is data that the `.bmap` file leaves out", _BMAP),
)
"""The partition tables, the partitions, and what is in none."""

CHAIN: Final = (
    Rule(
        "disk.control",
        "there is no control device tree, or a malformed key in it",
        "name u-boot.bin, U-Boot's ELF file or its control device tree",
    ),
    Rule(
        "disk.control-key",
        "U-Boot requires another key than `device.json` names",
        "put the device's key into the control device tree: bootseal fit sign --dtb",
    ),
    Rule(
        "disk.fit",
        "no well-formed FIT at the start of a boot partition, or one larger than its room",
        _SIGN_FIT,
    ),
    Rule(
        "disk.bootargs",
        "the signed command line opens no root, gives a value twice, or is for the other slot",
        _SIGN_FIT,
    ),
    Rule(
        "disk.root-hash",
        "the command line opens the root with another hash than the build made",
        "put FIT and root of one build on the disk",
    ),
    Rule(
        "disk.root-size",
        "the command line opens more than the partitions hold",
        _WRITE_ROOT,
    ),
    Rule(
        "disk.verity-tree", "a block of the hash tree does not lead to the root hash", _WRITE_ROOT
    ),
    Rule("disk.verity-data", "a data block does not have its digest", _WRITE_ROOT),
    Rule("disk.verity-more", "how many more blocks are bad, after the first eight", _WRITE_ROOT),
    Rule(
        "disk.superblock",
        "the superblock in front of the tree, which nothing reads, does not agree with the "
        "signed values",
        "write the tree of the build to the partition",
    ),
    Rule("disk.prediction", "what this FIT will measure cannot be predicted", _SIGN_FIT),
    Rule(
        "disk.pcr",
        "it will measure something else than the build predicted",
        "put FIT and device.json of one build together",
    ),
    Rule("disk.policy", "no well-formed PCR policy in the tail of a boot partition", _SIGN_POLICY),
    Rule(
        "disk.policy-key",
        "the key that the policy is checked with was taken from a root",
        severity=Severity.INFO,
    ),
    Rule(
        "disk.policy-unchecked",
        "no policy key is known, so the PCR policy is not checked",
        "name the key with --policy-key",
        Severity.WARNING,
    ),
    Rule(
        "disk.bootstate",
        "the slot state has no valid checksum: U-Boot would use its defaults",
        _STATE,
    ),
    Rule("disk.bootstate-variable", "the slot state sets more than its three variables", _STATE),
    Rule(
        "disk.bootstate-value",
        "one of the three is missing or has a value the boot logic does not know",
        _STATE,
    ),
)
"""What leads from U-Boot's key to every block of the root, and the PCR policy next to it."""

UBOOT: Final = (
    Rule(
        "disk.artefact",
        "`u-boot.bin` or its `.config` is not the file that `device.json` describes",
        "build the device again, or take the file of that build",
    ),
    Rule(
        "disk.uboot-command",
        "it has a command that loads, starts or changes what nothing verifies; found by symbol in "
        "an ELF file, by help text in a binary",
        _CONFIGURE,
    ),
    Rule(
        "disk.uboot-config",
        "the recorded `.config` (artefact `uboot-config`) lacks a setting, or has one it must not "
        "have",
        _CONFIGURE,
    ),
    Rule(
        "disk.uboot-environment",
        "the built-in environment lets somebody stop the boot; a warning when it cannot be found",
        _CONFIGURE,
    ),
    Rule(
        "disk.uboot-gate",
        "there is no gate in front of the FIT code",
        "apply the patches of meta-secureboot",
        Severity.WARNING,
    ),
)
"""U-Boot itself."""

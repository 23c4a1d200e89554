# SPDX-License-Identifier: MIT
"""Findings about what the partitions of a disk hold."""

from __future__ import annotations

from typing import Final

from bootseal.findings.model import Rule, Severity

_ORIGIN: Final = "check where these files come from"
_LOCK: Final = "lock the account: put ! in its place"
_CIPHER: Final = "use aes-xts-plain64 with a key of 512 bits"
_ENROL: Final = "enrol with --tpm2-pcrs= --tpm2-public-key=KEY --tpm2-public-key-pcrs=1+8+9"

CONTENTS: Final = (
    Rule(
        "disk.root-unreadable",
        "not a known file system, a damaged one, or one with names that lead elsewhere",
        "make the image again",
    ),
    Rule(
        "disk.root-private-key",
        "a private key, in PEM, OpenSSH or DER form, anywhere in a file",
        "leave it out; where it was secret, revoke it",
    ),
    Rule(
        "disk.root-published-key",
        "a public key or certificate whose private half is published",
        "replace it with a key of your own",
    ),
    Rule(
        "disk.root-self-test-key",
        "a published key inside a program or library, as self-tests have",
        severity=Severity.INFO,
    ),
    Rule("disk.root-empty-password", "an account without a password", _LOCK),
    Rule(
        "disk.root-default-password",
        "an account with a password: every device has the same",
        _LOCK,
    ),
    Rule(
        "disk.root-second-root",
        "an account other than `root` with user number 0",
        "remove the account, or give it a number of its own",
    ),
    Rule(
        "disk.root-setuid",
        "a setuid or setgid file that is not one of the usual ones",
        "chmod a-s, or list it as setuid in the allowlist",
    ),
    Rule(
        "disk.root-capabilities",
        "a file other than `ping` with file capabilities (`security.capability`)",
        "setcap -r, or list it under capabilities in the allowlist",
    ),
    Rule(
        "disk.root-world-writable",
        "a file, or a directory without sticky bit, that everybody may write to",
        "chmod o-w, or list it as world-writable in the allowlist",
    ),
    Rule(
        "disk.root-machine-id",
        "a machine id: expected empty, `uninitialized`, or no file",
        "empty the file when the image is made",
    ),
    Rule(
        "disk.root-shared-secret",
        "SSH host keys, a random seed, systemd's credential secret",
        "leave the file out of the image",
    ),
    Rule(
        "disk.root-authorized-keys",
        "keys that can log in; a warning in a development image",
        "install keys on single devices, on /data",
    ),
    Rule(
        "disk.root-development",
        "the mark of a development image, or its root shell; info in a development image",
        "build without the development features",
    ),
    Rule(
        "disk.elf-stack",
        "programs or libraries with an executable stack",
        "link with -z noexecstack; mark assembler files with .note.GNU-stack",
    ),
    Rule(
        "disk.elf-writable-code",
        "programs or libraries with memory that is both writable and executable",
        "link with -z separate-code",
    ),
    Rule(
        "disk.elf-search-path",
        "RPATH or RUNPATH that is relative, empty, or outside of `/usr`, `/lib`, `/opt` and "
        "`$ORIGIN`",
        "link without -rpath, or chrpath -d",
    ),
    Rule(
        "disk.elf-text-relocations",
        "programs or libraries that change their own code while they are loaded",
        "compile with -fPIC",
        Severity.WARNING,
    ),
    Rule(
        "disk.elf-pie",
        "programs that are always loaded at the same address",
        "link with -pie",
        Severity.WARNING,
    ),
    Rule(
        "disk.elf-relro",
        "not linked with RELRO: relocations stay writable",
        "link with -z relro",
        Severity.WARNING,
    ),
    Rule(
        "disk.elf-bind-now",
        "not linked with BIND_NOW (full RELRO)",
        "link with -z now",
        Severity.WARNING,
    ),
    Rule(
        "disk.elf-canary",
        "not compiled with the stack protector",
        "compile with -fstack-protector-strong",
        Severity.INFO,
    ),
    Rule(
        "disk.elf-fortify",
        "only unchecked functions are called where checked ones exist",
        "compile with -O2 -D_FORTIFY_SOURCE=2",
        Severity.INFO,
    ),
    Rule("disk.elf-damaged", "an ELF file that no loader would take", _ORIGIN, Severity.WARNING),
    Rule(
        "disk.module-unsigned",
        "kernel modules without a signature",
        "CONFIG_MODULE_SIG_ALL=y, and do not strip modules afterwards",
        Severity.WARNING,
    ),
    Rule(
        "disk.module-signature",
        "kernel modules that are not signed by the `module-key`",
        "sign them with the key the kernel was built with",
    ),
    Rule("disk.module-damaged", "kernel modules that cannot be read", _ORIGIN),
    Rule(
        "disk.data-header",
        "`data` is neither empty nor well-formed LUKS2: a checksum is wrong, or the two copies "
        "differ",
        "leave the partition out; the device makes it on first boot",
    ),
    Rule(
        "disk.data-provisioned",
        "`data` holds LUKS2: it belongs to one device",
        "ship no data partition: the device makes it on first boot",
        Severity.WARNING,
    ),
    Rule("disk.data-cipher", "neither AES-XTS with 512 bits nor AES-GCM with 256", _CIPHER),
    Rule("disk.data-integrity", "no integrity protection", severity=Severity.INFO),
    Rule(
        "disk.data-passphrase",
        "a key slot that neither the TPM nor a recovery key opens",
        "cryptsetup luksKillSlot DEVICE SLOT",
    ),
    Rule(
        "disk.data-no-tpm",
        "no key slot that the TPM opens",
        "systemd-cryptenroll --tpm2-device=auto",
    ),
    Rule(
        "disk.data-token",
        "the TPM's policy is not one signed by the policy key over PCR 1, 8 and 9, or is bound to "
        "fixed values as well",
        _ENROL,
    ),
    Rule("disk.data-recovery", "a key slot that a recovery key opens", severity=Severity.INFO),
)
"""Root file systems, and the data partition."""

# SPDX-License-Identifier: MIT
"""The code of the boot ROM as programs for this machine, under sanitizers.

TF-A and mbedtls come from Debian's source packages, as in the reference build; nothing of them is
in this repository. What is ours is compiled as it is; `host/` stands for the machine around it.
"""

from __future__ import annotations

import concurrent.futures
import os
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal import proc
from bootseal.assembly.layer import digests
from bootseal.progress import Silent
from bootseal.reference import cache, sources, tfa
from bootseal.reference.apt import Apt

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(__file__).parents[2]
HOST: Final = Path(__file__).with_name("host")
FILES: Final = ROOT / "meta-secureboot/recipes-bsp/trusted-firmware-a/files"
OWN: Final = FILES / "bootseal"
OK: Final = "ok"
REFUSED: Final = "refused"
CRASH: Final = "crash"
_BATCH: Final = 100
"""FIPs that a program is asked about at a time: one that hangs is noticed within them."""

SANITIZERS: Final = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
_MEMMAP: Final = "drivers/io/io_memmap.c"
_LIBRARY: Final = (
    "asn1parse", "asn1write", "bignum", "bignum_core", "constant_time", "ecdsa", "ecp",
    "ecp_curves", "md", "oid", "pk", "pk_ecc", "pk_wrap", "pkparse", "pkwrite", "platform",
    "platform_util", "rsa", "rsa_alt_helpers", "sha256", "sha512", "x509", "x509_crt",
)  # fmt: skip
_PARSER: Final = (
    "drivers/auth/img_parser_mod.c",
    "drivers/auth/mbedtls/mbedtls_x509_parser.c",
)
_TFA: Final = (
    *_PARSER,
    "common/bl_common.c",
    "drivers/auth/auth_mod.c",
    "drivers/auth/crypto_mod.c",
    "drivers/auth/mbedtls/mbedtls_common.c",
    "drivers/auth/mbedtls/mbedtls_crypto.c",
    "drivers/auth/tbbr/tbbr_cot_common.c",
    "drivers/io/io_fip.c",
    "drivers/io/io_storage.c",
)
_DRIVERS: Final = ("bank", "disk", "time", "tpm")
_DEFINES: Final = (
    "-D_GNU_SOURCE", "-DNDEBUG", "-DTRUSTED_BOARD_BOOT=1", "-DMEASURED_BOOT=0", "-DPSA_CRYPTO=0",
    "-DPSA_FWU_SUPPORT=0", "-DLOG_LEVEL=20", "-DUSE_TBBR_DEFS=1", "-DENABLE_RME=0",
    "-DCRYPTO_SUPPORT=1", "-DDICE_PROTECTION_ENVIRONMENT=0", "-DTRANSFER_LIST=0",
    "-DTF_MBEDTLS_USE_AES_GCM=0", "-DTF_MBEDTLS_KEY_ALG_ID=3", "-DTF_MBEDTLS_KEY_SIZE=4096",
    "-DTF_MBEDTLS_HASH_ALG_ID=TF_MBEDTLS_SHA256",
    "-DMBEDTLS_CONFIG_FILE=<mbedtls_config.h>",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs, in a directory, next to the sources they were made of (`tfa`, `mbedtls`)."""

    directory: Path

    def ask(
        self, program: str, fips: Sequence[bytes], root: str, bits: int | None = None
    ) -> list[str]:
        """Return what a stage says about FIPs: `OK`, `REFUSED` or `CRASH`.

        Args:
            program: `bl1`, `bl2`, `bl1-reader` (without our check of the FIP) or `bl1-unbounded`
                (without the bounds of TF-A's reader either).
            fips: The FIPs.
            root: SHA-256 of the master root key, hex.
            bits: What the TPM's rollback index holds; None for a TPM without it.
        """
        answers: list[str] = []
        for start in range(0, len(fips), _BATCH):
            batch = fips[start : start + _BATCH]
            frames = b"".join(struct.pack(">I", len(fip)) + fip for fip in batch)
            done = self.run(program, root, *([] if bits is None else [hex(bits)]), data=frames)
            assert done.returncode == 0, done.stderr[-3000:].decode(errors="replace")
            answers += done.stdout.decode("ascii").split()
        assert len(answers) == len(fips)
        return answers

    def run(
        self, program: str, *args: str, data: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        """Run one of the programs."""
        return subprocess.run(
            [self.directory / program, *args],
            input=data,
            capture_output=True,
            check=False,
            timeout=1200,
        )


def build() -> Programs:
    """Build the programs, or take the cached ones.

    Raises:
        ToolError: Sources cannot be fetched, or a compiler is missing or fails.
    """
    source = Apt.prepare()
    source.update(Silent())
    firmware, crypto = sources.find(source, tfa.PACKAGE), sources.find(source, tfa.MBEDTLS)
    ours = [p for p in (*FILES.rglob("*"), *HOST.rglob("*")) if p.is_file()]
    inputs = {
        "sources": firmware.digests | crypto.digests,
        "ours": digests(tuple(ours)),
        "compiler": proc.run("clang", ["--version"], timeout=60).stdout.decode(),
    }

    def fill(directory: Path) -> None:
        tree = directory / "tfa"
        sources.unpack(source, crypto, directory / "mbedtls", [])
        sources.unpack(source, firmware, tree, [])
        shutil.copy(tree / _MEMMAP, directory / "unbounded.c")
        sources.apply(firmware, tree, sorted(FILES.glob("*.patch")))
        _compile(directory)

    found, _ = cache.entry("rom-tests", cache.key(inputs, __file__, sources.__file__), fill)
    return Programs(found)


def flags(directory: Path) -> list[str]:
    """Return the compiler's options for all of it."""
    tree = directory / "tfa"
    includes = (
        HOST,
        OWN,
        tree,
        tree / "include",
        tree / "include/common/tbbr",
        tree / "plat/qemu/common",
        directory / "mbedtls/include",
    )
    return [
        "-g", "-O1", "-w", "-include", "cdefs.h", *SANITIZERS, *_DEFINES,
        *(f"-I{path}" for path in includes),
    ]  # fmt: skip


def _compile(directory: Path) -> None:
    common = [*flags(directory), "-fsanitize=fuzzer-no-link"]
    tree, objects = directory / "tfa", directory / "objects"
    objects.mkdir()

    def clang(*args: str | Path) -> None:
        proc.run("clang", [*common, *args], timeout=600)

    def compiled(path: Path, name: str = "") -> Path:
        made = objects / f"{name or path.stem}.o"
        clang("-c", path, "-o", made)
        return made

    def link(name: str, *parts: Path | str) -> None:
        script = f"-Wl,-T,{HOST / 'parsers.ld'}"
        clang("-no-pie", script, *parts, "-o", directory / name)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        library = list(pool.map(compiled, (directory / f"mbedtls/library/{n}.c" for n in _LIBRARY)))
    memmap, unbounded = compiled(tree / _MEMMAP), compiled(directory / "unbounded.c")
    reader_only = compiled(HOST / "reader_only.c")
    own = sorted(OWN.glob("*.c"))
    without = [path for path in own if path.stem != "bootseal_fip"]
    for stage in ("1", "2"):
        base: list[str | Path] = [
            f"-DIMAGE_BL{stage}",
            *(tree / name for name in (*_TFA, f"drivers/auth/tbbr/tbbr_cot_bl{stage}.c")),
            *(HOST / name for name in ("machine.c", "verify.c")),
            *library,
        ]
        link(f"bl{stage}", *base, *own, memmap)
        if stage == "1":
            link("bl1-reader", *base, *without, reader_only, memmap)
            link("bl1-unbounded", *base, *without, reader_only, unbounded)
    drivers = [OWN / f"bootseal_{name}.c" for name in _DRIVERS]
    link("devices", *drivers, HOST / "devices.c", HOST / "machine.c")
    fuzzer = "-fsanitize=fuzzer"
    link("fuzz-devices", fuzzer, *drivers, HOST / "fuzz_devices.c")
    parser = [tree / name for name in _PARSER]
    link("fuzz-fip", fuzzer, *parser, OWN / "bootseal_fip.c", HOST / "fuzz_fip.c", *library)
    shutil.rmtree(objects)

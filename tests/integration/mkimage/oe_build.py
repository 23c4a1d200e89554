# SPDX-License-Identifier: MIT
"""A directory in which OE's kernel-fit-image signs."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bootseal.fit import control_dtb
from bootseal.formats.fdt import model as fdt
from bootseal.keys.signers import base as signers

if TYPE_CHECKING:
    from pathlib import Path

# What OE's kernel-fit-image writes: addresses, a hash node in the configuration, a padding.
SOURCE = """\
/dts-v1/;
/ {
    description = "Kernel fitImage for a test";
    #address-cells = <1>;
    images {
        kernel-1 {
            description = "Linux kernel";
            data = /incbin/("linux.bin");
            type = "kernel";
            arch = "arm64";
            os = "linux";
            compression = "none";
            load = <0x40080000>;
            entry = <0x40080000>;
            hash-1 { algo = "sha256"; };
            IMAGE_SIGNATURE
        };
        fdt-board.dtb {
            description = "Flattened Device Tree blob";
            data = /incbin/("board.dtb");
            type = "flat_dt";
            arch = "arm64";
            compression = "none";
            hash-1 { algo = "sha256"; };
        };
        ramdisk-1 {
            description = "initramfs";
            data = /incbin/("initramfs");
            type = "ramdisk";
            arch = "arm64";
            os = "linux";
            compression = "none";
            hash-1 { algo = "sha256"; };
        };
    };
    configurations {
        default = "conf-board.dtb";
        conf-board.dtb {
            description = "1 Linux kernel, FDT blob, ramdisk";
            kernel = "kernel-1";
            fdt = "fdt-board.dtb";
            ramdisk = "ramdisk-1";
            hash-1 { algo = "sha256"; };
            signature-1 {
                algo = "ALGORITHM";
                key-name-hint = "HINT";
                padding = "PADDING";
                sign-images = SIGN_IMAGES;
            };
        };
    };
};
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A build directory with a FIT that waits for its signature, and OE's kind of key directory."""

    directory: Path
    keys: Path

    @property
    def fit(self) -> Path:
        return self.directory / "fitImage"

    @property
    def control(self) -> Path:
        return self.directory / "u-boot.dtb"

    def assemble(
        self,
        *,
        algorithm: str = "sha256,rsa2048",
        hint: str = "DEV-fit-1",
        padding: str = "pkcs-1.5",
        sign_images: str = '"kernel", "fdt", "ramdisk"',
        image_signature: str = "",
    ) -> None:
        text = SOURCE.replace("ALGORITHM", algorithm).replace("HINT", hint)
        text = text.replace("PADDING", padding).replace("SIGN_IMAGES", sign_images)
        source = self.directory / "fit-image.its"
        source.write_text(text.replace("IMAGE_SIGNATURE", image_signature))
        mkimage("-f", source, self.fit)
        # mkimage 2023.01 adds ECDSA keys only where there is a /signature node.
        tree = fdt.Node("", {"model": b"board\0"}, [fdt.Node("signature")])
        self.control.write_bytes(fdt.emit(tree))

    def copy(self, name: str) -> Build:
        directory = self.directory.with_name(name)
        shutil.copytree(self.directory, directory)
        return Build(directory=directory, keys=self.keys)

    def content(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.directory.iterdir()}

    def arguments(self, *options: str, keys: str | Path | None = None) -> list[str]:
        """Return OE's arguments: run_mkimage_sign of oe/fitimage.py, and uboot-sign.bbclass."""
        where = ["-F", "-k", str(keys or self.keys), "-K", str(self.control)]
        return [*where, "-r", str(self.fit), *options]


def mkimage(*arguments: str | Path) -> None:
    subprocess.run(["mkimage", *map(str, arguments)], check=True, capture_output=True)


def trusting(build: Build) -> bytes:
    """Return a control device tree with the ECDSA key, made by ourselves."""
    key = signers.open(str(build.keys / "DEV-fit-2.pem")).public_key
    return control_dtb.add_key(
        fdt.emit(fdt.Node()), key, hint="DEV-fit-2", algorithm="sha256,ecdsa256"
    )

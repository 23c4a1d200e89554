# SPDX-License-Identifier: MIT
"""Puts the reference device together: device trees, FIT, control DTB, PCR policy, disk."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal import documents
from bootseal.assembly import device as assembly
from bootseal.assembly import disk_image, firmware, layer, slot_trees
from bootseal.assembly.device import About
from bootseal.check.rootfs.check import image_offers_login
from bootseal.device import Input, Qemu
from bootseal.disk.layout import parse_wks
from bootseal.fit import build as fit_build
from bootseal.fit import control_dtb
from bootseal.fit.build import FitSpec
from bootseal.fit.sign import sign
from bootseal.fit.verify.verdict import verify
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.profile import Role
from bootseal.measure import pcr_policy
from bootseal.reference import firmware as reference_firmware
from bootseal.reference import modules
from bootseal.reference.apt import package_url

if TYPE_CHECKING:
    from bootseal.assembly.layer import Layer
    from bootseal.device import Device
    from bootseal.disk.layout import Layout
    from bootseal.measure.predict import Prediction
    from bootseal.progress import Progress
    from bootseal.reference.kernel import Kernel
    from bootseal.reference.packages import Packages
    from bootseal.reference.rootfs import Root
    from bootseal.reference.tfa import Tfa
    from bootseal.reference.uboot import Uboot

NAME: Final = "reference-arm64"
KERNEL_ADDRESS: Final = 0x40200000
"""Where U-Boot unpacks the kernel: the first multiple of 2 MiB in RAM that QEMU leaves alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """What is made from Debian's binary packages."""

    packages: Packages
    kernel: Kernel
    initramfs: Path
    root: Root


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything the device is put together from."""

    layer: Layer
    uboot: Uboot
    tfa: Tfa
    system: System
    keys: Path
    epoch: int
    rollback_index: int = 1


def assemble(parts: Parts, staging: Path, progress: Progress) -> Device:
    """Write all artefacts into `staging` and describe the device they make.

    Raises:
        UsageError: Parts are missing or do not fit the layout.
        VerificationRefused: What was signed does not verify with U-Boot's own device tree.
        ToolError: A program failed.
    """
    paths = {role: staging / name for role, name in (assembly.ROLES | firmware.FILES).items()}
    system = parts.system
    for role, source in (
        ("kernel", system.kernel.image),
        ("initramfs", system.initramfs),
        ("root", system.root.image),
        ("root-verity", system.root.tree),
    ):
        shutil.copy(source, paths[role])
    shutil.copy(parts.uboot.config, staging / assembly.OPTIONAL["uboot-config"])
    _copy_module(system, staging)
    name = layer.BOARD.layout
    layout = parse_wks(parts.layer.file(name).read_text(), name)
    with progress.step("FIT assembled, signed and verified"):
        _device_trees(parts, paths)
        _sign_fit(parts, paths)
    with progress.step("root key hash put into the boot ROM, firmware signed"):
        reference_firmware.write(parts.tfa, parts.keys, paths)
    with progress.step("PCR values predicted, policy signed"):
        predictions = _predict(parts, paths)
    with progress.step("disk written"):
        _write_disk(layout, paths, staging)
    with progress.step("root searched for logins, digests computed"):
        about = About(
            name=NAME,
            login=image_offers_login(paths["root"]),
            epoch=parts.epoch,
            qemu=Qemu(
                system="qemu-system-aarch64",
                machine=layer.BOARD.machine,
                cpu="cortex-a57",
                cpus=1,
                memory=1024,
            ),
            keys=parts.keys,
            root_hash=system.root.verity.root_hash,
            inputs=tuple(_inputs(parts)),
            target=assembly.target(paths, staging / assembly.OPTIONAL["uboot-config"]),
        )
        return assembly.describe(about, layout, predictions, staging)


def _copy_module(system: System, staging: Path) -> None:
    """Put the module of the null cipher next to the images, which do not have it."""
    wanted = modules.closure(("crypto_null",), system.kernel.dependencies)
    with tempfile.TemporaryDirectory(dir=staging) as scratch:
        tree = system.packages.tree
        copied = modules.install(tree, system.kernel.release, wanted, Path(scratch))
        shutil.copy(Path(scratch) / copied[-1], staging / assembly.OPTIONAL["null-cipher"])


def _device_trees(parts: Parts, paths: dict[str, Path]) -> None:
    board = parts.layer.file(layer.BOARD.dts)
    base = parts.layer.file(layer.BOOTARGS).read_text()
    assembly.slot_trees(
        board,
        base,
        parts.system.root.verity,
        paths,
        rollback_index=parts.rollback_index,
        firmware_version=reference_firmware.COUNTER,
    )
    paths["control-dtb"].write_bytes(slot_trees.compile_dts(board.read_text(), board.parent))


def _sign_fit(parts: Parts, paths: dict[str, Path]) -> None:
    """Sign the FIT, and give U-Boot the key that checks it."""
    key = key_directory.find(parts.keys, Role.FIT)
    algorithm = key.algorithm.name
    spec = FitSpec(
        description=f"{NAME} {parts.system.kernel.release}",
        kernel=paths["kernel"],
        compression="gzip",
        load=KERNEL_ADDRESS,
        entry=KERNEL_ADDRESS,
        fdts={slot: paths[f"fdt-{slot}"] for slot in assembly.SLOTS},
        ramdisk=paths["initramfs"],
        hint=key.name,
        algorithm=algorithm,
        arch="arm64",
    )
    fit_build.build(spec, paths["fit"], epoch=parts.epoch)
    signer = key_directory.signer(parts.keys, Role.FIT)
    signed = sign(paths["fit"].read_bytes(), signer, key.name, timestamp=parts.epoch)
    control = control_dtb.add_key(
        paths["control-dtb"].read_bytes(), key.public_key, hint=key.name, algorithm=algorithm
    )
    verify(signed, control)
    paths["fit"].write_bytes(signed)
    paths["control-dtb"].write_bytes(control)
    paths["bios"].write_bytes(parts.uboot.binary.read_bytes() + control)


def _predict(parts: Parts, paths: dict[str, Path]) -> dict[str, Prediction]:
    """Predict each slot's PCRs and sign the policy over them."""
    found = assembly.predictions(paths)
    signer = key_directory.signer(parts.keys, Role.POLICY)
    document = pcr_policy.sign(list(found.values()), signer)
    paths["policy"].write_bytes(documents.dump(document))
    return found


def _write_disk(layout: Layout, paths: dict[str, Path], staging: Path) -> None:
    assembly.boot_parts(layout, paths)
    disk_image.write(layout, {name: staging / name for name in assembly.FILES}, paths["disk"])


def _inputs(parts: Parts) -> list[Input]:
    """List the packages, source files and layer files that went in."""
    found = [
        Input(name=each.package, version=each.version, sha256=each.sha256, purl=each.purl)
        for each in parts.system.packages.closure
    ]
    for built in (parts.uboot.package, *parts.tfa.packages):
        purl = package_url(built.name, built.version, "source")
        found += [
            Input(name=each.package, version=each.version, sha256=each.sha256, purl=purl)
            for each in built.files
        ]
    return [*found, *assembly.layer_inputs(parts.layer)]

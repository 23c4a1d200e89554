# SPDX-License-Identifier: MIT
"""Puts the parts together: device trees, signed FIT, control DTB, PCR policy, disk."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import bootseal
from bootseal import device
from bootseal.device import Device, Input, Qemu, Slot
from bootseal.disk.layout import parse_wks
from bootseal.fit import build as fit_assembly
from bootseal.fit import control_dtb
from bootseal.fit.build import FitSpec
from bootseal.fit.sign import sign
from bootseal.fit.verify.verdict import verify
from bootseal.formats.tamper import environment
from bootseal.formats.uboot import binary as uboot
from bootseal.keys.directory import directory as store
from bootseal.keys.profile import Role
from bootseal.measure import pcr_policy
from bootseal.measure.predict import MEANINGS, predict
from bootseal.reference import devicetree, disk, layer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bootseal.disk.layout import Layout
    from bootseal.events import Progress
    from bootseal.measure.predict import Prediction
    from bootseal.reference.kernel import Kernel
    from bootseal.reference.layer import Layer
    from bootseal.reference.packages import Packages
    from bootseal.reference.rootfs import Root
    from bootseal.reference.uboot import Uboot
    from bootseal.reference.verity import Verity

NAME: Final = "reference-arm64"
SLOTS: Final = ("a", "b")
QEMU: Final = Qemu(
    system="qemu-system-aarch64",
    machine="virt-7.2,gic-version=3",
    cpu="cortex-a57",
    cpus=2,
    memory=1024,
)
KERNEL_ADDRESS: Final = 0x40200000
"""Where U-Boot unpacks the kernel: the first multiple of 2 MiB in RAM that QEMU leaves alone."""
# What a new device starts with: both slots with all attempts left, a first.
SLOT_STATE: Final = {"BOOT_ORDER": "A B", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "3"}

ROLES: Final = {
    "disk": "disk.img",
    "bios": "u-boot.bin",
    "control-dtb": "control.dtb",
    "fit": "fit.itb",
    "policy": "tpm2-pcr-signature.json",
    "kernel": "Image.gz",
    "initramfs": "initramfs.cpio.gz",
    "root": "root.erofs",
    "root-verity": "root.verity",
    "fdt-a": "fdt-a.dtb",
    "fdt-b": "fdt-b.dtb",
    "boot": "boot.img",
    "bootstate": "bootstate.img",
}
"""Artefact roles and file names; the names are also those the layout's `file=` uses."""
OPTIONAL: Final = {"uboot-config": "u-boot.config"}
"""Likewise, for what a device may lack: U-Boot's finished .config."""
FILES: Final = frozenset({*ROLES.values(), *OPTIONAL.values()})


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
    system: System
    keys: Path
    login: bool
    epoch: int
    rollback_index: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What `device.json` says beyond what can be read from the artefacts.

    Attributes:
        name: Short name.
        login: Whether the image offers a root shell on its serial console.
        epoch: SOURCE_DATE_EPOCH, seconds since 1970.
        qemu: The virtual machine it was built for.
        keys: Key directory it was signed with.
        root_hash: dm-verity root hash, lower-case hex.
        inputs: What it was made from.
    """

    name: str
    login: bool
    epoch: int
    qemu: Qemu
    keys: Path
    root_hash: str
    inputs: tuple[Input, ...]


def assemble(parts: Parts, staging: Path, progress: Progress) -> Device:
    """Write all artefacts into `staging` and describe the device they make.

    Raises:
        UsageError: Parts are missing or do not fit the layout.
        VerificationRefused: What was signed does not verify with U-Boot's own device tree.
        ToolError: A program failed.
    """
    paths = {role: staging / name for role, name in ROLES.items()}
    system = parts.system
    for role, source in (
        ("kernel", system.kernel.image),
        ("initramfs", system.initramfs),
        ("root", system.root.image),
        ("root-verity", system.root.tree),
    ):
        shutil.copy(source, paths[role])
    shutil.copy(parts.uboot.config, staging / OPTIONAL["uboot-config"])
    layout_text = parts.layer.file(layer.LAYOUT).read_text()
    layout = parse_wks(layout_text, layer.LAYOUT)
    with progress.step("FIT assembled, signed and verified"):
        _device_trees(parts, paths)
        _sign_fit(parts, paths)
    with progress.step("PCR values predicted, policy signed"):
        predictions = _predict(parts, paths)
    with progress.step("disk written"):
        _write_disk(layout, paths, staging)
    with progress.step("digests taken"):
        about = About(
            name=NAME,
            login=parts.login,
            epoch=parts.epoch,
            qemu=QEMU,
            keys=parts.keys,
            root_hash=system.root.verity.root_hash,
            inputs=tuple(_inputs(parts)),
        )
        return describe(about, layout, predictions, staging)


def _device_trees(parts: Parts, paths: dict[str, Path]) -> None:
    board = parts.layer.file(layer.BOARD_DTS)
    base = parts.layer.file(layer.BOOTARGS).read_text()
    slot_trees(board, base, parts.system.root.verity, parts.rollback_index, paths)
    paths["control-dtb"].write_bytes(devicetree.compile_dts(board.read_text(), board.parent))


def slot_trees(
    board: Path, parameters: str, verity: Verity, rollback_index: int, paths: Mapping[str, Path]
) -> None:
    """Write the device tree of each slot.

    Args:
        board: Device tree of the board, source or compiled.
        parameters: Kernel parameters of both slots.
        verity: What opens the root file system.
        rollback_index: Security version of the system.
        paths: Where the artefacts go, by role.

    Raises:
        UsageError: The kernel parameters cannot stand in a device tree.
        ToolError: The device tree has errors.
    """
    source = devicetree.read_source(board)
    for slot in SLOTS:
        text = devicetree.for_slot(
            source, devicetree.bootargs(parameters, slot, verity), rollback_index
        )
        paths[f"fdt-{slot}"].write_bytes(devicetree.compile_dts(text, board.parent))


def _sign_fit(parts: Parts, paths: dict[str, Path]) -> None:
    """Sign the FIT, and give U-Boot the key that checks it."""
    key = store.find(parts.keys, Role.FIT)
    algorithm = key.algorithm.name
    spec = FitSpec(
        description=f"{NAME} {parts.system.kernel.release}",
        kernel=paths["kernel"],
        compression="gzip",
        load=KERNEL_ADDRESS,
        entry=KERNEL_ADDRESS,
        fdts={slot: paths[f"fdt-{slot}"] for slot in SLOTS},
        ramdisk=paths["initramfs"],
        hint=key.name,
        algorithm=algorithm,
    )
    fit_assembly.build(spec, paths["fit"], epoch=parts.epoch)
    signer = store.signer(parts.keys, Role.FIT)
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
    found = predictions(paths)
    signer = store.signer(parts.keys, Role.POLICY)
    document = pcr_policy.sign(list(found.values()), signer)
    paths["policy"].write_bytes(pcr_policy.to_bytes(document))
    return found


def predictions(paths: Mapping[str, Path]) -> dict[str, Prediction]:
    """Predict what each slot measures, from the artefacts alone."""
    fit = paths["fit"].read_bytes()
    version = uboot.version_string(paths["bios"].read_bytes())
    return {slot: predict(fit, f"conf-{slot}", version=version) for slot in SLOTS}


def _write_disk(layout: Layout, paths: dict[str, Path], staging: Path) -> None:
    boot_parts(layout, paths)
    disk.write(layout, {name: staging / name for name in FILES}, paths["disk"])


def boot_parts(layout: Layout, paths: Mapping[str, Path]) -> None:
    """Write what goes into the boot partitions and into the slot state, out of FIT and policy.

    Raises:
        UsageError: They do not fit.
    """
    boot = layout.partition("boot-a")
    content = disk.boot_image(paths["fit"].read_bytes(), paths["policy"].read_bytes(), boot.size)
    disk.write_sparse(content, paths["boot"])
    paths["bootstate"].write_bytes(environment(SLOT_STATE))


def describe(
    about: About, layout: Layout, predictions: Mapping[str, Prediction], directory: Path
) -> Device:
    """Describe the device whose artefacts lie in `directory` under the names of `ROLES`.

    Raises:
        UsageError: The key directory cannot be read.
    """
    keys = store.list_keys(about.keys)
    return Device(
        name=about.name,
        profile=keys.profile,
        login=about.login,
        epoch=about.epoch,
        qemu=about.qemu,
        artefacts={
            role: device.describe(directory, directory / name)
            for role, name in (ROLES | OPTIONAL).items()
            if role in ROLES or (directory / name).is_file()
        },
        partitions=tuple(
            device.Partition(
                number=p.number, name=p.name, type=p.type, uuid=p.uuid, offset=p.offset, size=p.size
            )
            for p in layout.partitions
        ),
        slots=tuple(
            Slot.named(
                slot,
                root_hash=about.root_hash,
                pcrs={str(pcr): found.pcrs[pcr].hex() for pcr in MEANINGS},
                events=found.measurements,
            )
            for slot, found in predictions.items()
        ),
        keys={
            key.role.value: key.public_key.fingerprint()
            for key in keys.keys
            if key.role in {Role.FIT, Role.POLICY}
        },
        inputs=about.inputs,
    )


def _inputs(parts: Parts) -> list[Input]:
    """List the packages, source files and layer files that went in."""
    downloads = [*parts.system.packages.closure, *parts.uboot.sources]
    found = [Input(name=d.package, version=d.version, sha256=d.sha256) for d in downloads]
    return [*found, *layer_inputs(parts.layer)]


def layer_inputs(files: Layer) -> list[Input]:
    """List the layer's files that can decide what the device is."""
    return [
        Input(
            name=f"meta-secureboot/{path.relative_to(files.directory)}",
            version=bootseal.__version__,
            sha256=device.digest_file(path),
        )
        for path in files.inputs()
    ]

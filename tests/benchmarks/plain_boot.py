# SPDX-License-Identifier: MIT
"""The reference device without any protection: the same kernel, root and data partition.

No boot ROM, no signatures, no hashes, no dm-verity, no dm-crypt, no TPM. Debian's own U-Boot reads
the kernel from the same place, an initramfs that only mounts the root starts the same system, and
what opens the data there is replaced by a mount.
"""

from __future__ import annotations

import dataclasses
import gzip
import subprocess
from typing import TYPE_CHECKING, Final

from bootseal.boot.machine.qemu import Machine, of_device
from bootseal.formats import cpio
from bootseal.formats.fdt import model as fdt
from bootseal.progress import Silent
from bootseal.reference import apt
from bootseal.reference.apt import Apt
from bootseal.resign import copy as resign_copy
from bootseal.resign.plan import Patch
from bootseal.units import SECTOR

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.device import Device

ADDRESS: Final = 0x50000000
# What the initramfs of the protected device loads and this one has no use for.
_UNUSED: Final = ("dm-", "tpm", "sha2-")
_ARGUMENTS: Final = "console=ttyAMA0 panic=-1 quiet loglevel=4 systemd.gpt_auto=0"
_UNITS: Final = {
    # In their places and order, without anything to do.
    "bootseal-data.service": (
        "[Unit]\nDefaultDependencies=no\nAfter=systemd-udev-trigger.service systemd-udevd.service "
        "systemd-tmpfiles-setup-dev.service\nBefore=bootseal-cap.service\n"
        "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=true\n"
    ),
    "bootseal-cap.service": (
        "[Unit]\nDefaultDependencies=no\nAfter=bootseal-data.service\nBefore=sysinit.target\n"
        "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=true\n"
    ),
    "data.mount": (
        "[Mount]\nWhat=/dev/disk/by-partlabel/data\nWhere=/data\nType=ext4\n"
        "Options=nosuid,nodev,noexec\n"
    ),
    # As mark-good counts the boots.
    "bootseal-good.service": (
        "[Unit]\nAfter=bootseal-cap.service\n[Service]\nType=oneshot\nRemainAfterExit=yes\n"
        "ExecStart=systemctl start data.mount\n"
        "ExecStart=/bin/sh -c 'mkdir -p /data/bootseal && echo 1 >/data/bootseal/new && "
        "sync /data/bootseal/new && mv /data/bootseal/new /data/bootseal/boots && "
        "sync /data/bootseal'\n"
    ),
}
_INIT: Final = """\
#!/bin/busybox sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin
busybox mount -t devtmpfs dev /dev
exec </dev/null >/dev/console 2>&1
busybox mkdir -p /proc /sys /run /sysroot
busybox mount -t proc proc /proc
busybox mount -t sysfs sysfs /sys
busybox mount -t tmpfs -o mode=0755 run /run
busybox --install -s /bin
while read -r module; do insmod "$module"; done </etc/modules
until found=$(grep -lxF PARTNAME=root-a /sys/class/block/*/uevent); do sleep 0.1; done
found=${found%/uevent}
mount -t erofs -o ro,nodev "/dev/${found##*/}" /sysroot
echo "plain: root mounted"
mkdir -p /run/systemd/system
UNITS
for directory in dev proc sys run; do mount -o move "/$directory" "/sysroot/$directory"; done
exec switch_root -c /dev/console /sysroot /usr/lib/systemd/systemd
"""


def make(device: Device, directory: Path, work: Path) -> Machine:
    """Make the device's disk, boot loader and machine; the disk takes the place of an overlay.

    Args:
        device: What was built.
        directory: Its build directory.
        work: Receives the files: `plain.img` is the disk.
    """
    disk = work / "plain.img"
    resign_copy.copy(device.artefact(directory, "disk"), disk)
    fit = fdt.rewrite(device.artefact(directory, "fit").read_bytes(), _bare)
    first = device.partition("boot-a")
    resign_copy.patch(disk, [Patch(first.offset, fit)])
    _add_data(disk)
    tree = work / "u-boot.dtb"
    built_for = of_device(device)
    machine = built_for.machine.replace("secure=on,", "")
    qemu = dataclasses.replace(built_for, machine=machine)
    board = ["-cpu", qemu.cpu, "-m", str(qemu.memory), "-smp", str(qemu.cpus), "-nodefaults"]
    dump = [qemu.system, "-M", f"{machine},dtb-randomness=off,dumpdtb={tree}", *board]
    subprocess.run([*dump, "-display", "none"], check=True, capture_output=True)
    blocks = -(-len(fit) // SECTOR)
    read = f"virtio scan; echo plain: loading; virtio read {ADDRESS:x} {first.offset // SECTOR:x}"
    command = f"{read} {blocks:x}; bootm {ADDRESS:x}#conf-a; poweroff"
    settings = {"bootcmd": command.encode() + b"\0", "bootdelay": b"\xff\xff\xff\xfe"}
    config = fdt.Node("config", settings)
    changed = fdt.rewrite(tree.read_bytes(), lambda root: root.children.insert(0, config))
    tree.write_bytes(changed)
    return Machine(qemu=qemu, bios=_uboot(work), disk=disk, tpm=None, extra=("-dtb", str(tree)))


def _uboot(work: Path) -> Path:
    """Return Debian's U-Boot, of the release that the device's own is built from."""
    source = Apt.prepare()
    source.update(Silent())
    tree = work / "u-boot"
    apt.extract(source.download(["u-boot-qemu"], source.resolve(["u-boot-qemu"])), tree)
    return tree / "usr/lib/u-boot/qemu_arm64/u-boot.bin"


def _bare(root: fdt.Node) -> None:
    """Take signatures and hashes out of a FIT, and put the plain device tree and initramfs in."""
    for path in ("/images", "/configurations"):
        parent = root.find(path)
        assert parent is not None
        for node in parent.children:
            node.children.clear()
    tree, ramdisk = root.find("/images/fdt-a"), root.find("/images/ramdisk-1")
    assert tree is not None
    assert ramdisk is not None
    tree.properties["data"] = fdt.rewrite(tree.properties["data"], _board)
    ramdisk.properties["data"] = _initramfs(ramdisk.properties["data"])


def _board(root: fdt.Node) -> None:
    """Describe the board as it is without a boot ROM and a TPM."""
    chosen, psci, bus = root.find("/chosen"), root.find("/psci"), root.find("/platform-bus@c000000")
    assert chosen is not None
    assert psci is not None
    assert bus is not None
    chosen.properties["bootargs"] = _ARGUMENTS.encode() + b"\0"
    psci.properties["method"] = b"hvc\0"
    bus.children.clear()
    root.children[:] = [each for each in root.children if each.name != "reserved-memory"]


def _initramfs(archive: bytes) -> bytes:
    """Put another `init` behind an initramfs: the kernel takes the last file of a name."""
    names = [
        line
        for line in _modules(gzip.decompress(archive)).splitlines()
        if not line.rpartition("/")[2].startswith(_UNUSED)
    ]
    lines = [f"cat >/run/systemd/system/{name} <<'END'\n{text}END" for name, text in _UNITS.items()]
    init = _INIT.replace("UNITS", "\n".join(lines))
    more = [
        cpio.directory("etc"),
        cpio.file("etc/modules", "".join(f"{name}\n" for name in names).encode()),
        cpio.file("init", init.encode(), mode=0o755),
    ]
    return archive + gzip.compress(cpio.pack(more, epoch=0), 9, mtime=0)


def _modules(archive: bytes) -> str:
    """Return `/etc/modules` of an initramfs."""
    done = subprocess.run(
        ["cpio", "-i", "--quiet", "--to-stdout", "etc/modules"],
        input=archive,
        capture_output=True,
        check=True,
    )
    return done.stdout.decode()


def _add_data(disk: Path) -> None:
    """Make the data partition behind the others, as systemd-repart does, with ext4 in it."""
    subprocess.run(
        ["/usr/sbin/sfdisk", "-q", "--append", "--no-reread", disk],
        input=b"name=data\n",
        check=True,
        capture_output=True,
    )
    listed = subprocess.run(
        ["/usr/sbin/sfdisk", "-d", disk], check=True, capture_output=True, text=True
    ).stdout
    (line,) = (line for line in listed.splitlines() if 'name="data"' in line)
    numbers = dict(part.replace(" ", "").split("=") for part in line.split(" : ")[1].split(",")[:2])
    offset, size = (int(numbers[name]) * SECTOR for name in ("start", "size"))
    options = ["-q", "-F", "-E", f"offset={offset}", str(disk), f"{size // 1024}k"]
    subprocess.run(["/usr/sbin/mkfs.ext4", *options], check=True, capture_output=True)

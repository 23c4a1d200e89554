# SPDX-License-Identifier: MIT
"""Puts a signed disk, and the files of its build directory, in place: all of them or none."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal import device as devices
from bootseal.device import Artefact
from bootseal.disk import bmap
from bootseal.disk import image as source
from bootseal.errors import UsageError
from bootseal.files import BOOT_LOADER, mapped, read_bounded, resolved, write_file
from bootseal.fit import control_dtb
from bootseal.formats import boot_partition
from bootseal.resign import copy as resign_copy
from bootseal.resign import provenance
from bootseal.resign.provenance import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bootseal.check.expected import Expected
    from bootseal.device import Device
    from bootseal.resign.plan import Plan, Signing

_DISK: Final = "disk"
_STAGING: Final = ".signing-"


def write(
    target: Expected,
    plan: Plan,
    signing: Signing,
    image: Path,
    output: Path,
    *,
    who: str,
    when: str,
) -> Provenance:
    """Write a signed device, or a signed image on its own.

    A directory is complete as soon as its `device.json` is there; an image is renamed into place.
    Both are compared with the original first: nothing but the signatures may differ.

    Args:
        target: The original.
        plan: What changes.
        signing: Who signed.
        image: The original disk as a raw file.
        output: Directory or image; may be the original.
        who: Who ran it.
        when: As RFC 3339 text.

    Returns:
        The record, which is next to the result.

    Raises:
        UsageError: The output is something else.
        OSError: There is no room.
    """
    facts = _Facts(signing, who, when)
    if target.device is None or target.directory is None:
        return _write_image(target, image, plan, facts, output)
    if output.exists() and not (output / devices.FILE_NAME).exists() and any(output.iterdir()):
        raise UsageError(f"{output} is neither empty nor a built device", hint="name a new one")
    output.mkdir(parents=True, exist_ok=True)
    with _staging(output) as staging:
        found, signed = _stage(target, target.device, target.directory, plan, staging, facts)
        _publish(target.device, target.directory, output, staging)
        devices.save(signed, output)
        write_file(output / provenance.FILE_NAME, provenance.to_bytes(found))
    return found


@dataclasses.dataclass(frozen=True, slots=True)
class _Facts:
    signing: Signing
    who: str
    when: str

    def record(self, inputs: dict[str, str], outputs: dict[str, str]) -> Provenance:
        signing = self.signing
        keys = {"fit": signing.fit.public_key.fingerprint()}
        algorithms = {"fit": signing.algorithm.name}
        if signing.policy is not None:
            keys["policy"] = signing.policy.public_key.fingerprint()
            algorithms["policy"] = f"sha256,{signing.policy.public_key.kind}"
        for place, signer in signing.firmware.items():
            keys[place] = signer.public_key.fingerprint()
            algorithms[place] = f"sha256,{signer.public_key.kind}"
        return Provenance(
            inputs=inputs,
            outputs=outputs,
            keys=keys,
            algorithms=algorithms,
            hint=signing.hint,
            profile=signing.profile,
            trust=signing.trust,
            who=self.who,
            when=self.when,
        )


def _write_image(
    target: Expected, origin: Path, plan: Plan, facts: _Facts, output: Path
) -> Provenance:
    with _staging(resolved(output).parent) as staging, ThreadPoolExecutor(1) as pool:
        image = staging / output.name
        before = pool.submit(resign_copy.digests, [origin])
        after = _sign_image(target, origin, image, plan)
        (first,) = before.result()
        outputs = {path.name: digest for path, digest in after.items()}
        found = facts.record({f"{output.name}, unsigned": first}, outputs)
        _map_of(output).unlink(missing_ok=True)
        for path in sorted(after):
            path.replace(output.with_name(path.name))
        write_file(
            output.with_name(f"{output.name}.{provenance.FILE_NAME}"), provenance.to_bytes(found)
        )
    return found


def _sign_image(target: Expected, origin: Path, image: Path, plan: Plan) -> dict[Path, str]:
    """Write the signed disk, and its block map where the original has one; return digests."""
    resign_copy.copy(origin, image)
    resign_copy.patch(image, plan.patches)
    written = {image: resign_copy.compare(origin, image, plan.patches)}
    old = bmap.find(target.image)
    if old is not None:
        with source.opened(origin) as disk:
            problem = next(bmap.check(disk, target.image), None)
        if problem is not None:
            raise UsageError(
                f"{old} is not the block map of this disk: {problem.message}", hint=problem.remedy
            )
        changed = [(each.offset, each.offset + len(each.data)) for each in plan.patches]
        with source.opened(image) as disk:
            renewed = bmap.renewed(bmap.parse(read_bounded(old)), disk, changed)
        _map_of(image).write_bytes(renewed)
        written[_map_of(image)] = hashlib.sha256(renewed).hexdigest()
    return written


def _map_of(image: Path) -> Path:
    return image.with_name(f"{image.name}.bmap")


def _stage(
    target: Expected, device: Device, directory: Path, plan: Plan, staging: Path, facts: _Facts
) -> tuple[Provenance, Device]:
    """Write every file that changes; return the record and the device's new description."""
    signing = facts.signing
    contents = _artefacts(device, directory, plan, signing)
    names = {role: device.artefacts[role].path for role in (*contents, _DISK)}
    with ThreadPoolExecutor(1) as pool:
        old = pool.submit(resign_copy.digests, [directory / name for name in names.values()])
        disk = staging / names[_DISK]
        signed = _sign_image(target, device.artefact(directory, _DISK), disk, plan)
        for role, data in contents.items():
            (staging / names[role]).write_bytes(data)
            signed[staging / names[role]] = hashlib.sha256(data).hexdigest()
        inputs = dict(zip(names.values(), old.result(), strict=True))
    for role, name in names.items():
        if inputs[name] != device.artefacts[role].sha256:
            raise UsageError(
                f"{directory / name} is not the file {devices.FILE_NAME} describes: sign what was "
                "built",
                hint="build it again",
            )
    outputs = {path.name: digest for path, digest in signed.items()}
    artefacts = dict(device.artefacts)
    for role, name in names.items():
        size = (staging / name).stat().st_size
        artefacts[role] = Artefact(path=name, sha256=outputs[name], size=size)
    record_ = facts.record(inputs, outputs)
    keys = device.keys | {k: v for k, v in record_.keys.items() if k not in signing.firmware}
    described = dataclasses.replace(
        device, artefacts=artefacts, keys=keys, profile=signing.profile or device.profile
    )
    if plan.renewed is not None:
        described = dataclasses.replace(
            described, firmware=plan.renewed.firmware, slots=plan.renewed.slots
        )
    return record_, described


def _artefacts(device: Device, directory: Path, plan: Plan, signing: Signing) -> dict[str, bytes]:
    """Return the new content of the small files; those of the first slot where there is one."""
    first = device.slots[0].name
    changed: dict[str, bytes] = {"fit": plan.fits[first]}
    document = plan.policies.get(first)
    if document is not None:
        changed["policy"] = document
    if plan.control is not None:
        changed["bios"] = plan.control
        control = read_bounded(device.artefact(directory, "control-dtb"), limit=BOOT_LOADER)
        for key in control_dtb.read_keys(control):
            control = control_dtb.remove_key(control, key.public_key)
        changed["control-dtb"] = control_dtb.add_key(
            control,
            signing.fit.public_key,
            hint=signing.hint,
            algorithm=signing.algorithm.name,
        )
    if plan.renewed is not None:
        changed |= plan.renewed.files
    if "boot" in device.artefacts:
        with mapped(device.artefact(directory, "boot")) as view:
            old = bytes(view)
        policy = old[boot_partition.room(len(old)) :] if document is None else document
        loaders = bytes(boot_partition.find_loaders(memoryview(old)))
        if plan.renewed is not None and loaders:
            loaders = plan.renewed.files["firmware"]
        changed["boot"] = boot_partition.emit(plan.fits[first], policy, len(old), loaders)
    return {role: data for role, data in changed.items() if role in device.artefacts}


def _publish(device: Device, directory: Path, output: Path, staging: Path) -> None:
    """Move what was written into place, and copy the rest when that is another directory."""
    if resolved(output) != resolved(directory):
        for artefact in device.artefacts.values():
            if not (staging / artefact.path).exists():
                resign_copy.copy(directory / artefact.path, staging / artefact.path)
    (output / devices.FILE_NAME).unlink(missing_ok=True)
    _map_of(output / device.artefacts[_DISK].path).unlink(missing_ok=True)
    for path in sorted(staging.iterdir()):
        path.replace(output / path.name)


@contextmanager
def _staging(parent: Path) -> Iterator[Path]:
    name = tempfile.mkdtemp(prefix=_STAGING, dir=parent)
    try:
        yield Path(name)
    finally:
        shutil.rmtree(name, ignore_errors=True)

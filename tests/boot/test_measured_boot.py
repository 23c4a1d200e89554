# SPDX-License-Identifier: MIT
"""Three deliberately different builds, both slots: what was predicted is what the device measured.

One of them then proves it to a verifier, with its own script and its own TPM.
"""

from __future__ import annotations

import base64
import dataclasses
import gzip
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from bootseal import device, documents
from bootseal.assembly import device as assembly
from bootseal.attest import messages
from bootseal.attest import verify as attest
from bootseal.attest.store import Store
from bootseal.boot.attacks.firmware import signed
from bootseal.boot.machine import qemu, swtpm
from bootseal.boot.machine.events import Ending, Sighting
from bootseal.boot.machine.session import Session, StatusLine, switched_on
from bootseal.boot.scenario import device_status, power_cycle
from bootseal.boot.scenario.device_findings import capped
from bootseal.boot.scenario.evaluate import evaluate
from bootseal.boot.scenario.model import Expectation, ExpectedStatus, Outcome, Step
from bootseal.boot.scenario.workspace import Overlay
from bootseal.firmware import places
from bootseal.fit import build as fit_build
from bootseal.fit.build import FitSpec
from bootseal.fit.sign import sign
from bootseal.fit.verify import verdict as verify
from bootseal.formats import boot_partition, cpio
from bootseal.formats.fdt import model as fdt
from bootseal.formats.tpm import eventlog
from bootseal.formats.uboot import binary as uboot
from bootseal.formats.uboot.environment import emit_environment
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.profile import Role
from bootseal.keys.tpm import endorsement
from bootseal.measure import approved, firmware, inputs, pcr_policy
from bootseal.measure.approved import Approved
from bootseal.progress import Silent
from bootseal.reference import build
from bootseal.reference.assemble import KERNEL_ADDRESS
from bootseal.reference.firmware import COUNTER

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.device import Device
    from bootseal.measure.predict import Prediction

pytestmark = [
    pytest.mark.boot,
    pytest.mark.timeout(7200),
    *(pytest.mark.tool(name) for name in ("qemu-system-aarch64", "swtpm", "mkimage", "dtc")),
]

BUILT = re.compile(rb"\([A-Z][a-z]{2} \d\d \d{4} - ")
EXTRA_ARGUMENT = b" bootseal.test=variant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The reference device, built once."""

    directory: Path
    device: Device

    def path(self, role: str) -> Path:
        return self.device.artefact(self.directory, role)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A build that differs from the reference in what it measures.

    Attributes:
        name: Its name.
        parts: The artefacts that are exchanged, by role.
        changed: The PCRs that must not be those of the reference.
    """

    name: str
    parts: dict[str, bytes]
    changed: frozenset[int]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    directory = tmp_path_factory.mktemp("reference") / "device"
    return Reference(directory=directory, device=build.build(directory, progress=Silent()))


def as_built(_: Reference) -> Variant:
    return Variant(name="as-built", parts={}, changed=frozenset())


def other_system(reference: Reference) -> Variant:
    """Exchange initramfs and kernel arguments, as an update of the system does."""
    marker = cpio.pack([cpio.file("variant", b"another initramfs\n")], epoch=0)
    parts = {"initramfs": reference.path("initramfs").read_bytes() + gzip.compress(marker, mtime=0)}
    for slot in assembly.SLOTS:
        tree = fdt.parse(reference.path(f"fdt-{slot}").read_bytes())
        chosen = tree.find("/chosen")
        assert chosen is not None
        arguments = chosen.properties["bootargs"].rstrip(b"\0") + EXTRA_ARGUMENT
        chosen.properties["bootargs"] = arguments + b"\0"
        parts[f"fdt-{slot}"] = fdt.emit(tree)
    return Variant(name="other-system", parts=parts, changed=frozenset({1, 9}))


def other_kernel(reference: Reference) -> Variant:
    """Exchange the kernel's bytes, and the day U-Boot says it was built."""
    kernel = gzip.decompress(reference.path("kernel").read_bytes())
    u_boot, count = BUILT.subn(b"(Feb 29 2028 - ", reference.path("bios").read_bytes())
    assert count
    parts = {"kernel": gzip.compress(kernel, 1, mtime=0), "bios": u_boot}
    return Variant(name="other-kernel", parts=parts, changed=frozenset({0, 8}))


VARIANTS = [as_built, other_system, other_kernel]


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A variant, ready to boot: what it must measure, and its machine."""

    device: Device
    predictions: dict[str, Prediction]
    fit: bytes
    firmware: bytes
    machine: qemu.Machine
    disk: Overlay


def make(reference: Reference, variant: Variant, work: Path) -> Built:
    """Assemble a variant out of the reference's parts, and write it over the shipped disk."""
    paths = {role: work / name for role, name in assembly.ROLES.items()}
    for role in ("kernel", "initramfs", "fdt-a", "fdt-b", "bios"):
        paths[role].write_bytes(variant.parts.get(role) or reference.path(role).read_bytes())
    fit = make_fit(reference, paths)
    before = {role: reference.path(role).read_bytes() for role in ("bl2", "bl31")}
    before["bios"] = paths["bios"].read_bytes()
    artefacts = inputs.Source(
        fit=fit,
        before=firmware.events(before),
        version=uboot.version_string(paths["bios"].read_bytes()),
        slots={f"conf-{slot}": slot for slot in assembly.SLOTS},
    )
    predictions = dict(inputs.predictions(artefacts))
    signer = key_directory.signer(reference.directory / build.KEYS, Role.POLICY)
    document = documents.dump(pcr_policy.sign(list(predictions.values()), signer))
    overlay = Overlay(work / "disk.qcow2")
    qemu.create_overlay(overlay.path, reference.path("disk"), backing_format="raw")
    for slot in assembly.SLOTS:
        name = f"boot-{slot}"
        overlay.write(name, 0, boot_partition.emit(fit, document, overlay.size(name)))
    signers = places.signers(reference.directory / build.KEYS)
    loaders = signed(
        reference.path("firmware").read_bytes(), {"nt-fw": before["bios"]}, signers, COUNTER
    )
    for bank in ("fw-a", "fw-b"):
        overlay.write(bank, 0, loaders.ljust(overlay.size(bank), b"\0"))
    swtpm.manufacture(work / "tpm")
    machine = qemu.Machine(
        qemu=qemu.of_device(reference.device),
        bios=reference.path("rom"),
        disk=overlay.path,
        tpm=work / "tpm",
    )
    slots = tuple(expected(slot, predictions[slot.name]) for slot in reference.device.slots)
    return Built(
        device=dataclasses.replace(reference.device, slots=slots),
        predictions=predictions,
        fit=fit,
        firmware=artefacts.version or b"",
        machine=machine,
        disk=overlay,
    )


def make_fit(reference: Reference, paths: dict[str, Path]) -> bytes:
    keys = reference.directory / build.KEYS
    key = key_directory.find(keys, Role.FIT)
    spec = FitSpec(
        description="variant",
        kernel=paths["kernel"],
        compression="gzip",
        load=KERNEL_ADDRESS,
        entry=KERNEL_ADDRESS,
        fdts={slot: paths[f"fdt-{slot}"] for slot in assembly.SLOTS},
        ramdisk=paths["initramfs"],
        hint=key.name,
        algorithm=key.algorithm.name,
        arch="arm64",
    )
    fit_build.build(spec, paths["fit"], epoch=1)
    unsigned = paths["fit"].read_bytes()
    signed = sign(unsigned, key_directory.signer(keys, Role.FIT), key.name, timestamp=1)
    verify.verify(signed, reference.path("control-dtb").read_bytes())
    return signed


def expected(slot: device.Slot, prediction: Prediction) -> device.Slot:
    return dataclasses.replace(
        slot,
        pcrs={str(pcr): value.hex() for pcr, value in sorted(prediction.pcrs.items())},
        events=tuple(
            device.PredictedEvent(
                pcr=event.pcr,
                type=event.type,
                sha256=event.digests["sha256"].hex(),
                data=event.data.hex(),
            )
            for event in prediction.events
        ),
    )


def check(built: Built, step: Step, session: Session, slot: str) -> None:
    """Boot, and compare PCRs bit for bit and the log entry for entry with the prediction."""
    ended = power_cycle.run(session, step)
    result = evaluate(step, ended, built.device, "")
    assert (result.verdict, result.reason) == (Outcome.PASSED, "")
    system = device_status.load(result.status)
    prediction = built.predictions[slot]
    values = {str(pcr): value.hex() for pcr, value in prediction.pcrs.items()}
    values["9"] = capped(values["9"])
    assert {pcr: system.pcrs[pcr] for pcr in values} == values
    entries = [(e.pcr, e.type, e.data, e.digests["sha256"]) for e in prediction.events]
    log = eventlog.parse(system.event_log)
    assert log.algorithms == ("sha256",)
    assert [(e.pcr, e.type, e.data, e.digests["sha256"]) for e in log.events] == entries


@pytest.mark.parametrize("vary", VARIANTS, ids=[one.__name__ for one in VARIANTS])
def test_build_measures_what_was_predicted_in_both_slots(
    reference: Reference, tmp_path: Path, vary: object
) -> None:
    assert callable(vary)
    variant = vary(reference)
    built = make(reference, variant, tmp_path)
    for before in reference.device.slots:
        after = built.predictions[before.name].pcrs
        differing = {int(p) for p, value in before.pcrs.items() if after[int(p)].hex() != value}
        assert differing == variant.changed

    for slot, created in (("a", True), ("b", False)):
        order = "A B" if slot == "a" else "B A"
        state = {"BOOT_ORDER": order, "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "3"}
        built.disk.write("bootstate", 0, emit_environment(state))
        # Slot b opens the data that slot a made: its own state is approved too.
        expect = Expectation(ending=Ending.UP, status=ExpectedStatus(slot=slot, created=created))
        step = Step(title=slot, expect=expect, timeout=1200)
        with switched_on(built.machine, tmp_path / f"{slot}.log") as session:
            check(built, step, session, slot)
            if variant.name == "as-built" and slot == "a":
                attest_device(built, session, tmp_path)
            power_cycle.shut_down(session, login=built.device.login)


def attest_device(built: Built, session: Session, work: Path) -> None:
    """Let the running device answer a verifier, through its shell and its status port."""
    authority = work / "tpm/ca"
    trusted = [
        one
        for name in ("issuer.pem", "swtpm-localca-rootca-cert.pem")
        for one in endorsement.authorities((authority / name).read_bytes(), name)
    ]
    await_shell(session)
    identity = messages.parse_identity(say(session, "bootseal-attest identity"))
    pending, credential = attest.enrol(identity, trusted, "dev-1", datetime.now(UTC))
    blob = base64.b64encode(credential).decode()
    secret = messages.parse_activation(say(session, f"bootseal-attest activate {blob}"))
    known = Store(work / "store")
    known.save(attest.certify(pending, secret, int(time.time())))

    release = approved.release("1.0", built.predictions.items(), built.fit, built.firmware)
    verifier = attest.Verifier(Approved(releases=(release,)))
    challenge = known.ask("dev-1", now=int(time.time()), validity=3600)
    evidence = messages.parse_evidence(say(session, f"bootseal-attest quote {challenge.nonce}"))
    taken = known.take(evidence.quote.nonce, now=int(time.time()))
    verdict = verifier.inspect(evidence, known.record("dev-1"), taken, int(time.time()))
    assert (verdict.release, verdict.slot) == ("1.0", "a")

    # The first event extends nothing; the second one is BL2.
    events = (*evidence.log.events[:1], *evidence.log.events[2:])
    shorter = dataclasses.replace(evidence.log, events=events)
    altered = dataclasses.replace(evidence, log=shorter)
    refused = verifier.inspect(altered, known.record("dev-1"), taken, int(time.time()))
    assert [finding.id for finding in refused.findings] == ["attest.log"]


def await_shell(session: Session) -> None:
    deadline = session.elapsed() + 600
    while not any(seen.name == "shell" for seen in session.console.seen):
        events = session.poll(deadline)
        assert events or session.elapsed() < deadline, "no shell came up"
        del events


def say(session: Session, command: str) -> bytes:
    """Type a command at the device's shell; return what it writes to the status port."""
    session.type(f"{command} >/dev/virtio-ports/io.bootseal.status\r")
    deadline = session.elapsed() + 600
    while session.elapsed() < deadline:
        for event in session.poll(deadline):
            if isinstance(event, StatusLine):
                return event.data
            assert isinstance(event, Sighting), f"the device ended in {event}"
    pytest.fail(f"the device did not answer {command.split()[1]}")

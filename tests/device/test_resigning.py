# SPDX-License-Identifier: MIT
"""A device built with development keys, signed by a token's key, and booted.

BOOTSEAL_DEVICE names the device; the three boots take some minutes of processor time.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.device.conftest import check_booted, said_of_data

from bootseal import device as devices
from bootseal.boot.machine import swtpm
from bootseal.boot.machine.events import Ending
from bootseal.boot.machine.qemu import Machine, create_overlay, of_device
from bootseal.boot.machine.session import switched_on
from bootseal.boot.scenario import power_cycle
from bootseal.boot.scenario.evaluate import evaluate
from bootseal.boot.scenario.model import Expectation, ExpectedStatus, Outcome, Step
from bootseal.check import disk as disk_check
from bootseal.check import expected
from bootseal.disk import image
from bootseal.firmware.chain import Key
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.profile import Role
from bootseal.keys.signers.base import open as open_signer
from bootseal.progress import Silent
from bootseal.resign import copy as resign_copy
from bootseal.resign.plan import Patch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bootseal.boot.scenario.model import StepResult

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
URI = f"pkcs11:token=vault;object=fit?module-path={MODULE}"
PIN = "1234"
UP = Expectation(ending=Ending.UP, status=ExpectedStatus(slot="a"))
REFUSED = Expectation(ending=Ending.POWERED_OFF, console=("slot-refused:a", "all-refused"))

pytestmark = [pytest.mark.device, pytest.mark.tool("softhsm2-util", "openssl")]


@dataclass(frozen=True, kw_only=True)
class Signed:
    """The device as built, and as signed by the token."""

    old: Path
    new: Path
    fingerprint: str


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signed]:
    name = os.environ.get("BOOTSEAL_DEVICE")
    if not name:
        pytest.skip("BOOTSEAL_DEVICE names no built device")
    work = tmp_path_factory.mktemp("late")
    (work / "tokens").mkdir()
    (work / "softhsm2.conf").write_text(f"directories.tokendir = {work}/tokens\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(work / "softhsm2.conf"))
        patch.setenv("BOOTSEAL_PIN", PIN)
        make_token(work / "fit.key")
        command = [str(Path(sys.executable).with_name("bootseal")), "disk", "sign", name]
        options = ["--key", URI, "--hint", "vault-1", "--trust", "-o", str(work / "signed")]
        options += [*firmware_keys(Path(name)), *policy_key(Path(name))]
        subprocess.run([*command, *options], check=True, stdin=subprocess.DEVNULL)
        fingerprint = open_signer(str(work / "fit.key")).public_key.fingerprint()
        yield Signed(old=Path(name).absolute(), new=work / "signed", fingerprint=fingerprint)


def firmware_keys(directory: Path) -> list[str]:
    """Return options that name the keys of a device's boot loaders; none without a boot ROM."""
    if devices.load(directory).firmware is None:
        return []
    keys = directory / "keys"
    names = {key: key_directory.find(keys, Role(key)).name for key in Key}
    return [w for k, name in names.items() for w in ("--firmware-key", f"{k}={keys / name}.key")]


def policy_key(directory: Path) -> list[str]:
    """Return the option that names the policy key; with a boot ROM the policy names U-Boot."""
    if devices.load(directory).firmware is None:
        return []
    keys = directory / "keys"
    return ["--policy-key", f"{keys / key_directory.find(keys, Role.POLICY).name}.key"]


def make_token(key: Path) -> None:
    """Import a key into a new token: the kind the FIT was built for does not matter."""
    token = ["--token", "vault", "--pin", PIN]
    for argv in (
        ["softhsm2-util", "--init-token", "--free", "--label", "vault", "--pin", PIN,
         "--so-pin", "12345678"],
        ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072",
         "-out", str(key)],
        ["softhsm2-util", "--import", str(key), *token, "--label", "fit", "--id", "01"],
    ):  # fmt: skip
        subprocess.run(argv, check=True, capture_output=True)
    key.chmod(0o600)


def test_signed_disk_is_accepted_and_leads_to_the_token(signed: Signed) -> None:
    verdict = check(signed.new)

    assert verdict.errors == ()
    (key,) = verdict.chain.trust.required("conf")
    assert key.public_key.fingerprint() == signed.fingerprint
    assert devices.load(signed.new).keys["fit"] == signed.fingerprint


def test_what_boots_is_what_was_built(signed: Signed) -> None:
    old, new = devices.load(signed.old), devices.load(signed.new)

    same = {r for r in old.artefacts if old.artefacts[r].sha256 == new.artefacts[r].sha256}
    changed = {"disk", "bios", "control-dtb", "fit", "boot"}
    if old.firmware is None:
        assert old.slots == new.slots
    else:
        # U-Boot has another key, and is measured.
        changed |= {"firmware", "policy"}
        for before, after in zip(old.slots, new.slots, strict=True):
            assert before.pcrs.pop("0") != after.pcrs.pop("0")
            assert before.pcrs == after.pcrs
    assert set(old.artefacts) - same == changed


def test_image_on_its_own_becomes_the_same_disk(signed: Signed, tmp_path: Path) -> None:
    device = devices.load(signed.old)
    layout = Path(__file__).parents[2] / "meta-secureboot/files/wic/bootseal-ab.wks"
    outputs = ["-o", tmp_path / "disk.img", "--dtb-output", tmp_path / "u-boot.bin"]
    disk, u_boot = (device.artefact(signed.old, role) for role in ("disk", "bios"))
    options = ["--dtb", u_boot, "--layout", layout, "--key", URI, "--hint", "vault-1", "--trust"]
    if device.firmware is not None:
        with pytest.raises(subprocess.CalledProcessError) as info:
            sign(disk, *options, *outputs)
        assert b"fw-a holds boot loaders with U-Boot" in info.value.stderr.replace(b"\n", b" ")
        return

    sign(disk, *options, *outputs)

    new = devices.load(signed.new)
    assert devices.digest_file(tmp_path / "disk.img") == new.artefacts["disk"].sha256
    assert devices.digest_file(tmp_path / "u-boot.bin") == new.artefacts["bios"].sha256
    assert (tmp_path / "disk.img.signing-record.json").exists()


def test_signing_elsewhere_gives_the_same_bytes(signed: Signed, tmp_path: Path) -> None:
    """Digests out, openssl where the keys are, signatures in; PCR policies, too."""
    vault, requests = tmp_path / "vault", tmp_path / "requests"
    vault.mkdir()
    fit, policy = vault / "fit.key", vault / "policy.key"
    run("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", fit)
    fit.chmod(0o600)
    (original,) = (signed.old / "keys").glob("*policy.key")
    policy.write_bytes(original.read_bytes())
    policy.chmod(0o600)
    for key in (fit, policy):
        run("openssl", "pkey", "-in", key, "-pubout", "-out", key.with_suffix(".pub"))
    common = ["--hint", "vault-2", "--trust", *firmware_keys(signed.old)]
    public = ["--public-key", vault / "fit.pub", "--policy-public-key", vault / "policy.pub"]

    sign(signed.old, *public, *common, "--export-requests", requests)
    lines = [line.strip() for line in (requests / "SUMMARY.txt").read_text().splitlines()]
    for line in lines:
        if line.startswith("openssl"):
            words = shlex.split(line)
            run(*(str(vault / w) if w.endswith(".key") else w for w in words), cwd=requests)
    imported = ["--import-signatures", requests, "-o", tmp_path / "two"]
    sign(signed.old, *public, *common, *imported)
    sign(signed.old, "--key", fit, "--policy-key", policy, *common, "-o", tmp_path / "one")

    assert check(tmp_path / "two").errors == ()
    one, two = devices.load(tmp_path / "one"), devices.load(tmp_path / "two")
    if one.firmware is not None:
        assert check(tmp_path / "one").errors == ()
        # Certificates of boot loaders by RSA have random salts; boot partitions hold them too.
        for each in (one, two):
            for name in ("boot", "disk", "firmware"):
                del each.artefacts[name]
    assert one == two
    assert len(list(requests.glob("*.sig"))) == 4


def test_policy_by_a_key_the_root_does_not_trust_is_refused(signed: Signed, tmp_path: Path) -> None:
    key = tmp_path / "fit.key"
    run("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key)
    key.chmod(0o600)

    with pytest.raises(subprocess.CalledProcessError) as info:
        sign(signed.old, "--key", key, "--policy-key", key, "--hint", "k", "--trust",
             "-o", tmp_path / "out")  # fmt: skip

    assert info.value.returncode == 2
    assert b"no device would open its data" in info.value.stderr.replace(b"\n", b" ")
    assert not (tmp_path / "out").exists()


@pytest.mark.timeout(900)
def test_uboot_boots_what_the_token_signed_and_opens_the_data(
    signed: Signed, tmp_path: Path
) -> None:
    result = boot(signed.new, signed.new, tmp_path, UP)

    assert (result.verdict, result.ending) == (Outcome.PASSED, Ending.UP), result.reason
    verdict = check_booted(signed.new, tmp_path / "disk.qcow2")
    assert verdict.errors == ()
    assert "LUKS2 data, with a recovery key that was handed out" in said_of_data(verdict)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("new_disk", [True, False], ids=["old-uboot", "new-uboot"])
def test_old_and_new_do_not_boot_each_other(
    signed: Signed, tmp_path: Path, *, new_disk: bool
) -> None:
    disk, bios = (signed.new, signed.old) if new_disk else (signed.old, signed.new)

    result = boot(disk, bios, tmp_path, REFUSED)

    assert (result.verdict, result.ending) == (Outcome.PASSED, Ending.POWERED_OFF), result.reason


def run(*command: object, cwd: Path | None = None) -> None:
    subprocess.run(list(map(str, command)), check=True, cwd=cwd, capture_output=True)


def sign(device: Path, *options: object) -> None:
    run(Path(sys.executable).with_name("bootseal"), "disk", "sign", device, *options)


def check(directory: Path) -> disk_check.DiskVerdict:
    wanted = expected.of_device(directory)
    with image.opened(wanted.image) as disk:
        return disk_check.check(disk, wanted, Silent())


def boot(disk: Path, bios: Path, work: Path, expect: Expectation) -> StepResult:
    """Boot the disk of one device with the boot loader of one, on a new TPM."""
    device, loaders = devices.load(disk), devices.load(bios)
    overlay, tpm, log = work / "disk.qcow2", work / "tpm", work / "serial.log"
    content = device.artefact(disk, "disk")
    if loaders.firmware is not None:
        # Its boot ROM reads U-Boot from the disk.
        package = loaders.artefact(bios, "firmware").read_bytes()
        banks = [device.partition(name) for name in loaders.firmware.banks]
        resign_copy.copy(content, work / "disk.img")
        content = work / "disk.img"
        patches = [Patch(each.offset, package.ljust(each.size, b"\0")) for each in banks]
        resign_copy.patch(content, patches)
    create_overlay(overlay, content, backing_format="raw")
    swtpm.manufacture(tpm)
    machine = Machine(
        qemu=of_device(device),
        bios=loaders.first_code(bios),
        disk=overlay,
        tpm=tpm,
    )
    step = Step(title="boot", expect=expect, timeout=600)
    with switched_on(machine, log) as session:
        ended = power_cycle.run(session, step)
    return evaluate(step, ended, device, log.name)

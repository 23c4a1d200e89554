# SPDX-License-Identifier: MIT
"""Boot loaders signed by a token and by a cloud service start; with one bit changed they do not.

The keys are of the kinds that both key profiles have. SoftHSM is the token, moto's KMS the
service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from tests.integration.keys import vaults

from bootseal import device as devices
from bootseal.boot.attacks import firmware as attacks
from bootseal.boot.catalogue.steps import no_boot_loader, reached_kernel
from bootseal.boot.machine.session import switched_on
from bootseal.boot.scenario import power_cycle
from bootseal.boot.scenario.evaluate import evaluate
from bootseal.boot.scenario.model import Outcome
from bootseal.boot.scenario.workspace import Tpm, Workspace
from bootseal.firmware.chain import Key
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.profile import Role

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bootseal.boot.scenario.model import Step, StepResult

KINDS: Final = dict.fromkeys(map(str, Key), "rsa3072") | {"mrk": "rsa4096"}

pytestmark = [
    pytest.mark.device,
    pytest.mark.tool("softhsm2-util"),
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module", params=vaults.BACKENDS)
def signed(
    request: pytest.FixtureRequest, directory: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The device with the boot ROM and both banks for the keys of a backend."""
    if devices.load(directory).firmware is None:
        pytest.skip("the device has no boot ROM")
    work = tmp_path_factory.mktemp("signed")
    keys = directory / "keys"
    fit, policy = (key_directory.find(keys, role).name for role in (Role.FIT, Role.POLICY))
    command = ["disk", "sign", directory, "--key", keys / f"{fit}.key", "--trust"]
    command += ["--policy-key", keys / f"{policy}.key"]
    with vaults.opened(request.param, KINDS, work) as vault:
        named = [w for key, uri in vault.uris.items() for w in ("--firmware-key", f"{key}={uri}")]
        vaults.bootseal(*command, "--hint", fit, *named, "-o", work / "device")
    firmware = devices.load(work / "device").firmware
    assert firmware is not None
    assert firmware.mrk == vault.hashes[Key.MRK]
    return work / "device"


def boot(
    directory: Path, work: Path, step: Step, prepare: Callable[[Workspace], None] | None = None
) -> StepResult:
    device = devices.load(directory)
    workspace = Workspace(device, directory, directory / "keys", work)
    workspace.set_up(device.artefact(directory, "disk"), "raw", work, Tpm.FRESH)
    if prepare is not None:
        prepare(workspace)
    with switched_on(workspace.machine(), work / "serial.log") as session:
        ended = power_cycle.run(session, step)
    return evaluate(step, ended, device, "serial.log")


def test_boot_loaders_start_a_kernel(signed: Path, tmp_path: Path) -> None:
    step = reached_kernel("bank:a", "u-boot", "config-signed", forbidden=("bank-refused",))
    result = boot(signed, tmp_path, step)
    assert result.verdict is Outcome.PASSED, result.reason


@pytest.mark.parametrize(
    ("certificate", "why"),
    [
        ("tb-fw-cert", "bl2-refused"),
        ("soc-fw-cert", "image-refused:3"),
        ("nt-fw-cert", "image-refused:5"),
    ],
)
def test_changed_bit_of_a_signature_is_refused(
    signed: Path, tmp_path: Path, certificate: str, why: str
) -> None:
    change = attacks.changed(attacks.last_byte(certificate))
    result = boot(signed, tmp_path, no_boot_loader(why), change)
    assert result.verdict is Outcome.PASSED, result.reason


def test_rom_as_built_does_not_start_them(signed: Path, directory: Path, tmp_path: Path) -> None:
    rom = devices.load(directory).artefact(directory, "rom").read_bytes()
    result = boot(
        signed, tmp_path, no_boot_loader("bl2-refused"), lambda each: each.replace_bios(rom)
    )
    assert result.verdict is Outcome.PASSED, result.reason

# SPDX-License-Identifier: MIT
"""Eavesdropping on the TPM's bus: search recorded boots of a device for its keys."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal import proc
from bootseal.boot.attacks import approval, data_volume
from bootseal.boot.attacks import fit as fit_attacks
from bootseal.boot.machine import swtpm, tpm_traffic
from bootseal.boot.machine.session import RECORDING
from bootseal.errors import Inconclusive, VerificationRefused
from bootseal.formats import boot_partition
from bootseal.formats.tpm.eventlog import EventType
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.profile import Role
from bootseal.measure import pcr_policy
from bootseal.measure.predict import CAP, Prediction

if TYPE_CHECKING:
    from bootseal.boot.attacks.data_volume import Sealed
    from bootseal.boot.scenario.workspace import Workspace

_TIMEOUT: Final = 60.0
_STORAGE_ROOT: Final = "0x81000001"


def silent(workspace: Workspace, first_boot: Path) -> None:
    """Search the traffic of two boots with the TPM for the volume key and the sealed secret.

    Two things show that the search would find them: it finds the digest that closes the policy,
    which every boot sends in clear, and it finds the secret in the traffic of an unsealing without
    an encrypted session, recorded in the same way.

    Args:
        workspace: After a recorded boot of the provisioned device.
        first_boot: Serial log of the first boot, in which the key was sealed.

    Raises:
        VerificationRefused: The search finds one of them.
        Inconclusive: The search does not find what must be there.
    """
    header = data_volume.header(workspace)
    recovery = data_volume.recovery_key(workspace, first_boot)
    key = data_volume.volume_key(header, recovery)
    logs = (first_boot, workspace.work / "step-1.log")
    boots = [tpm_traffic.messages(log.with_suffix(RECORDING).read_text()) for log in logs]
    with tempfile.TemporaryDirectory(prefix="bootseal-") as name:
        secret, plain = _unsealed_in_clear(workspace, data_volume.sealed(header), Path(name))
    if not tpm_traffic.holding(plain, secret) or not all(
        tpm_traffic.holding(b, CAP) for b in boots
    ):
        raise Inconclusive("the recordings lack what goes over the bus in clear")
    keys = {"volume key": key, "sealed secret": secret, "recovery key": recovery}
    for title, wanted in keys.items():
        for log, messages in zip(logs, boots, strict=True):
            if found := tpm_traffic.holding(messages, wanted):
                raise VerificationRefused(f"{found} messages in {log.name} contain the {title}")


def _unsealed_in_clear(
    workspace: Workspace, sealed: Sealed, scratch: Path
) -> tuple[bytes, list[bytes]]:
    """Unseal with a copy of the TPM and the measurements of slot a; also return the traffic."""
    first = workspace.device.slots[0]
    prediction = approval.predictions(workspace, fit_attacks.original(workspace))[first.name]
    shutil.copytree(workspace.tpm, scratch / "tpm")
    log = scratch / "recording"
    with swtpm.serving(scratch / "tpm", scratch / "s", scratch / "said", *swtpm.recorded(log)):
        secret = _unseal(workspace, sealed, prediction, scratch)
    return secret, tpm_traffic.messages(log.read_text())


def _unseal(workspace: Workspace, sealed: Sealed, prediction: Prediction, scratch: Path) -> bytes:
    """Do what systemd-cryptsetup does at boot, but without a salted and encrypted session."""
    env = {"TPM2TOOLS_TCTI": f"swtpm:path={scratch / 's'}"}

    def tool(name: str, *args: str) -> bytes:
        done = proc.run(f"tpm2_{name}", args, cwd=scratch, env=env, timeout=_TIMEOUT).stdout
        # There is no resource manager, and the TPM holds three objects.
        proc.run("tpm2_flushcontext", ["-t"], cwd=scratch, env=env, timeout=_TIMEOUT)
        return done

    digest = pcr_policy.policy_digest(prediction)
    text = boot_partition.parse_policy(_tail(workspace))
    approval = next(each for each in pcr_policy.parse(text).sha256 if each.policy == digest)
    files = {
        "key.pem": key_directory.find(workspace.keys, Role.POLICY).public_key.pem,
        "policy": digest,
        "signature": approval.sig,
        "private": sealed.private,
        "public": sealed.public,
    }
    for name, data in files.items():
        (scratch / name).write_bytes(data)
    for event in prediction.events:
        if event.type != EventType.NO_ACTION:
            tool("pcrextend", f"{event.pcr}:sha256={event.digests['sha256'].hex()}")
    tool("loadexternal", "-C", "o", "-G", "rsa", "-u", "key.pem", "-c", "key", "-n", "key.name")
    signed = ["-g", "sha256", "-f", "rsassa", "-m", "policy", "-s", "signature"]
    tool("verifysignature", "-c", "key", *signed, "-t", "ticket")
    tool("startauthsession", "--policy-session", "-S", "session")
    pcrs = ",".join(map(str, pcr_policy.covered(prediction)))
    tool("policypcr", "-S", "session", "-l", f"sha256:{pcrs}")
    tool("policyauthorize", "-S", "session", "-i", "policy", "-n", "key.name", "-t", "ticket")
    tool("load", "-C", _STORAGE_ROOT, "-u", "public", "-r", "private", "-c", "sealed")
    return tool("unseal", "-c", "sealed", "-p", "session:session")


def _tail(workspace: Workspace) -> bytes:
    boot = workspace.device.slots[0].boot
    offset = boot_partition.room(workspace.disk.size(boot))
    return workspace.disk.read(boot, offset, boot_partition.POLICY_SIZE)

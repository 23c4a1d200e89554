# SPDX-License-Identifier: MIT
"""Our policy arithmetic against a software TPM, from the predicted events to an unsealed secret."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests import event_logs

from bootseal import documents, proc
from bootseal.boot.machine import swtpm
from bootseal.errors import ToolError
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format
from bootseal.formats.tpm import policy as tpm
from bootseal.formats.tpm.eventlog import Event, EventLog
from bootseal.keys import profile
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.profile import Role
from bootseal.keys.public import RsaPublicKey
from bootseal.measure import pcr_policy
from bootseal.measure.predict import Prediction, predict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from bootseal.keys.signers.base import Signer

pytestmark = [
    pytest.mark.tool("swtpm"),
    pytest.mark.tool("tpm2_policypcr"),
]

PCRS = "sha256:1,8,9"
SECRET = b"volume key"
# TPM_RC_VALUE for parameter 1 of TPM2_PolicyAuthorize: this is not the approved policy.
NOT_APPROVED = r"Esys_PolicyAuthorize\(0x1C4\)"
# TPM_RC_SIGNATURE for parameter 2 of TPM2_VerifySignature.
BAD_SIGNATURE = r"Esys_VerifySignature\(0x2DB\)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tpm:
    """tpm2-tools talking to one powered software TPM; files live in `directory`."""

    directory: Path
    socket: Path

    def run(self, tool: str, *args: str) -> bytes:
        env = {"TPM2TOOLS_TCTI": f"swtpm:path={self.socket}"}
        return proc.run(tool, args, cwd=self.directory, env=env, timeout=30).stdout

    def free(self) -> None:
        """Make room for objects: without a resource manager the TPM holds three."""
        self.run("tpm2_flushcontext", "-t")

    def measure(self, events: Iterable[Event]) -> None:
        for event in events:
            self.run("tpm2_pcrextend", f"{event.pcr}:sha256={event.digests['sha256'].hex()}")

    def pcrs(self) -> bytes:
        self.run("tpm2_pcrread", PCRS, "-o", "pcrs")
        return (self.directory / "pcrs").read_bytes()

    def load_key(self, signer: Signer) -> bytes:
        """Load the policy key and return its name."""
        (self.directory / "key.pub").write_bytes(signer.public_key.pem)
        args = ["-C", "o", "-G", "rsa", "-u", "key.pub", "-c", "key.ctx", "-n", "key.name"]
        self.run("tpm2_loadexternal", *args)
        return (self.directory / "key.name").read_bytes()

    def check_signature(self, entry: pcr_policy.Approval) -> None:
        (self.directory / "pol").write_bytes(entry.policy)
        (self.directory / "sig").write_bytes(entry.sig)
        args = ["-c", "key.ctx", "-g", "sha256", "-f", "rsassa", "-m", "pol", "-s", "sig"]
        self.run("tpm2_verifysignature", *args, "-t", "ticket")

    @contextmanager
    def session(self, *kind: str) -> Iterator[None]:
        self.run("tpm2_startauthsession", *kind, "-S", "session")
        try:
            yield
        finally:
            self.run("tpm2_flushcontext", "session")

    def policy_pcr(self) -> bytes:
        self.run("tpm2_policypcr", "-S", "session", "-l", PCRS, "-L", "digest")
        return (self.directory / "digest").read_bytes()

    def policy_authorize(self) -> bytes:
        args = ["-S", "session", "-i", "pol", "-n", "key.name", "-t", "ticket", "-L", "digest"]
        self.run("tpm2_policyauthorize", *args)
        return (self.directory / "digest").read_bytes()

    def seal(self, authorized: bytes) -> None:
        (self.directory / "authorized").write_bytes(authorized)
        (self.directory / "secret").write_bytes(SECRET)
        self.run("tpm2_createprimary", "-C", "o", "-G", "ecc", "-c", "primary.ctx")
        args = ["-C", "primary.ctx", "-L", "authorized", "-i", "secret"]
        # Neither adminWithPolicy nor userWithAuth: the policy is the only way in.
        self.run("tpm2_create", *args, "-a", "fixedtpm|fixedparent", "-u", "pub", "-r", "priv")

    def unseal(self, entry: pcr_policy.Approval) -> bytes:
        """Do what systemd-cryptsetup does at boot."""
        self.free()
        self.run("tpm2_load", "-C", "primary.ctx", "-u", "pub", "-r", "priv", "-c", "sealed.ctx")
        self.free()
        self.check_signature(entry)
        self.free()
        with self.session("--policy-session"):
            self.policy_pcr()
            self.policy_authorize()
            return self.run("tpm2_unseal", "-c", "sealed.ctx", "-p", "session:session")


@contextmanager
def powered(directory: Path) -> Iterator[Tpm]:
    """Power the chip whose state is in `directory`; PCRs start as zeros each time."""
    socket = directory / "tpm"
    with swtpm.serving(directory, socket, directory / "log"):
        yield Tpm(directory=directory, socket=socket)


@pytest.fixture
def chip(tmp_path: Path) -> Iterator[Tpm]:
    with powered(tmp_path) as tpm_:
        yield tpm_


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    directory = tmp_path_factory.mktemp("policy") / "keys"
    dev = profile.load(profile.find("dev"))
    key_directory.generate(dev, directory, only=[Role.ROOT, Role.POLICY])
    return key_directory.signer(directory, Role.POLICY)


def fit(kernel: bytes) -> bytes:
    def image(name: str, data: bytes) -> fdt.Node:
        return fdt.Node(name, {"data": data})

    board = fdt.emit(fdt.Node("", {"model": b"a board\0"}))
    images = [image("kernel-1", kernel), image("ramdisk-1", b"RAMDISK"), image("fdt-a", board)]
    names = {"kernel": b"kernel-1\0", "ramdisk": b"ramdisk-1\0", "fdt": b"fdt-a\0"}
    return fdt.emit(
        fdt.Node(
            "",
            {"description": b"one slot\0"},
            [
                fdt.Node("images", {}, images),
                fdt.Node("configurations", {}, [fdt.Node("conf-a", names)]),
            ],
        )
    )


@pytest.fixture(scope="module")
def prediction() -> Prediction:
    return predict(fit_format.parse(fit(b"KERNEL")), "conf-a")


def entry_for(prediction: Prediction, signer: Signer) -> pcr_policy.Approval:
    return pcr_policy.sign([prediction], signer).sha256[0]


def test_predicted_pcrs_and_policy_are_the_tpms(chip: Tpm, prediction: Prediction) -> None:
    chip.measure(prediction.events)

    assert chip.pcrs() == b"".join(prediction.pcrs[pcr] for pcr in (1, 8, 9))
    with chip.session():
        assert chip.policy_pcr() == pcr_policy.policy_digest(prediction)


@pytest.mark.parametrize("pcr", [1, 8, 9])
def test_one_more_measurement_makes_another_policy(
    chip: Tpm, prediction: Prediction, pcr: int
) -> None:
    chip.measure(prediction.events)
    chip.run("tpm2_pcrextend", f"{pcr}:sha256={hashlib.sha256(b'more').hexdigest()}")

    with chip.session():
        assert chip.policy_pcr() != pcr_policy.policy_digest(prediction)


def test_key_name_and_authorized_policy_are_the_tpms(
    chip: Tpm, prediction: Prediction, signer: Signer
) -> None:
    key = signer.public_key
    assert isinstance(key, RsaPublicKey)
    chip.measure(prediction.events)

    name = chip.load_key(signer)
    chip.check_signature(entry_for(prediction, signer))

    assert name == tpm.key_name(key.modulus, key.exponent)
    with chip.session("--policy-session"):
        chip.policy_pcr()
        assert chip.policy_authorize() == tpm.policy_authorize(name)


def test_tampered_signature_is_refused_by_the_tpm(
    chip: Tpm, prediction: Prediction, signer: Signer
) -> None:
    entry = entry_for(prediction, signer)
    chip.load_key(signer)
    chip.check_signature(entry)
    changed = bytearray(entry.sig)
    changed[9] ^= 1

    with pytest.raises(ToolError, match=BAD_SIGNATURE):
        chip.check_signature(dataclasses.replace(entry, sig=bytes(changed)))


def test_changed_pcr_is_refused_by_the_tpm(
    chip: Tpm, prediction: Prediction, signer: Signer
) -> None:
    chip.load_key(signer)
    chip.check_signature(entry_for(prediction, signer))
    chip.measure(predict(fit_format.parse(fit(b"OTHER KERNEL")), "conf-a").events)

    with chip.session("--policy-session"):
        chip.policy_pcr()
        with pytest.raises(ToolError, match=NOT_APPROVED):
            chip.policy_authorize()


def test_sealed_secret_opens_for_signed_states_and_no_other(
    tmp_path: Path, prediction: Prediction, signer: Signer
) -> None:
    update = predict(fit_format.parse(fit(b"UPDATED KERNEL")), "conf-a")
    attack = predict(fit_format.parse(fit(b"EVIL KERNEL")), "conf-a")
    key = signer.public_key
    assert isinstance(key, RsaPublicKey)
    name = tpm.key_name(key.modulus, key.exponent)

    with powered(tmp_path) as chip:
        # Sealed before anything was measured: to the vendor's key, not to a state.
        chip.seal(tpm.policy_authorize(name))
        chip.load_key(signer)
        chip.measure(prediction.events)
        assert chip.unseal(entry_for(prediction, signer)) == SECRET
        capped = f"9:sha256={hashlib.sha256(b'capped').hexdigest()}"
        chip.run("tpm2_pcrextend", capped)
        with pytest.raises(ToolError, match=NOT_APPROVED):
            chip.unseal(entry_for(prediction, signer))
    for booted, opens in ((update, True), (attack, False)):
        with powered(tmp_path) as chip:
            chip.run("tpm2_createprimary", "-C", "o", "-G", "ecc", "-c", "primary.ctx")
            chip.load_key(signer)
            chip.measure(booted.events)
            if opens:
                assert chip.unseal(entry_for(booted, signer)) == SECRET
            else:
                # The attacker has every document ever signed, and none for this state.
                for signed in (prediction, update):
                    with pytest.raises(ToolError, match=NOT_APPROVED):
                        chip.unseal(entry_for(signed, signer))


def test_kept_policy_opens_the_same_secret_for_both_releases(
    tmp_path: Path, prediction: Prediction, signer: Signer
) -> None:
    update = predict(fit_format.parse(fit(b"UPDATED KERNEL")), "conf-a")
    before = pcr_policy.sign([prediction], signer)
    document = pcr_policy.keep(pcr_policy.sign([update], signer), before, signer.public_key)
    key = signer.public_key
    assert isinstance(key, RsaPublicKey)
    name = tpm.key_name(key.modulus, key.exponent)

    with powered(tmp_path) as chip:
        chip.seal(tpm.policy_authorize(name))
    for booted, entry in zip((update, prediction), document.sha256, strict=True):
        with powered(tmp_path) as chip:
            chip.run("tpm2_createprimary", "-C", "o", "-G", "ecc", "-c", "primary.ctx")
            chip.load_key(signer)
            chip.measure(booted.events)
            assert chip.unseal(entry) == SECRET


@pytest.mark.tool("tpm2_eventlog")
def test_tpm2_eventlog_replays_our_log_to_the_same_pcrs(
    tmp_path: Path, prediction: Prediction
) -> None:
    log = event_logs.emit(EventLog(algorithms=("sha256",), events=prediction.events))
    (tmp_path / "log").write_bytes(log)

    text = proc.run("tpm2_eventlog", [tmp_path / "log"], timeout=20).stdout.decode()

    _, _, replayed = text.partition("\npcrs:")
    assert all(value.hex() in replayed for value in prediction.pcrs.values())


@pytest.mark.tool("systemd-cryptenroll")
@pytest.mark.tool("cryptsetup")
def test_systemd_enrols_our_key_and_takes_our_signature_for_the_booted_state_alone(
    chip: Tpm, prediction: Prediction, signer: Signer
) -> None:
    directory = chip.directory
    unlock, volume = directory / "unlock", directory / "volume"
    unlock.touch(mode=0o600)
    unlock.write_text("password")
    volume.touch()
    os.truncate(volume, 20 << 20)
    fast = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"]
    proc.run("cryptsetup", ["luksFormat", "-q", *fast, volume, unlock], timeout=60)
    (directory / "key.pub").write_bytes(signer.public_key.pem)
    chip.measure(prediction.events)
    other = predict(fit_format.parse(fit(b"OTHER KERNEL")), "conf-a")

    # Given signatures, systemd-cryptenroll unseals once to see that they fit this very boot.
    with pytest.raises(ToolError, match="find signature for this PCR bank, PCR index and public"):
        enrol(chip, volume, pcr_policy.sign([other], signer))
    enrol(chip, volume, pcr_policy.sign([other, prediction], signer))

    metadata = proc.run(
        "cryptsetup", ["luksDump", "--dump-json-metadata", volume], timeout=60
    ).stdout
    (token,) = json.loads(metadata)["tokens"].values()
    key = signer.public_key
    assert isinstance(key, RsaPublicKey)
    name = tpm.key_name(key.modulus, key.exponent)
    assert token["tpm2-policy-hash"] == tpm.policy_authorize(name).hex()


def enrol(chip: Tpm, volume: Path, document: pcr_policy.PcrPolicy) -> None:
    signature = chip.directory / pcr_policy.FILE_NAME
    signature.write_bytes(documents.dump(document))
    args = [f"--unlock-key-file={chip.directory / 'unlock'}", "--tpm2-pcrs="]
    args += [f"--tpm2-device=swtpm:path={chip.socket}", "--tpm2-public-key-pcrs=1+8+9"]
    args += [f"--tpm2-public-key={chip.directory / 'key.pub'}", f"--tpm2-signature={signature}"]
    # systemd 257 tells what it found only when debugging.
    env = {"SYSTEMD_LOG_LEVEL": "debug"}
    proc.run("systemd-cryptenroll", [*args, str(volume)], timeout=60, env=env)

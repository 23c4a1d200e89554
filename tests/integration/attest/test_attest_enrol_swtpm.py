# SPDX-License-Identifier: MIT
"""Whose keys are enrolled, and how they are certified, against a software TPM."""

from __future__ import annotations

import base64
import dataclasses
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from tests.integration.attest.fleet import Chip, identity, now, powered

from bootseal import proc
from bootseal.attest import messages, verify
from bootseal.boot.machine import swtpm
from bootseal.errors import ToolError, VerificationRefused
from bootseal.keys import public
from bootseal.keys.tpm import credential, endorsement

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.attest.fleet import Fleet

pytestmark = [pytest.mark.tool("swtpm"), pytest.mark.tool("swtpm_setup"), pytest.mark.tool("tpm2")]
# TPM_RC_INTEGRITY and TPM_RC_VALUE of a parameter of TPM2_ActivateCredential.
NOT_FOR_THIS_KEY = "Esys_ActivateCredential"


def test_endorsement_of_another_authority_is_refused(fleet: Fleet, tmp_path: Path) -> None:
    swtpm.manufacture(tmp_path / "other")
    foreign = dataclasses.replace(
        fleet,
        authorities=(
            tmp_path / "other/ca/issuer.pem",
            tmp_path / "other/ca/swtpm-localca-rootca-cert.pem",
        ),
    )

    verify.enrol(identity(fleet), fleet.trusted(), "x", datetime.now(UTC))
    with pytest.raises(VerificationRefused, match="not one of the given CAs"):
        verify.enrol(identity(fleet), foreign.trusted(), "x", datetime.now(UTC))


def test_endorsement_without_the_root_of_its_path_is_refused(fleet: Fleet) -> None:
    issuer_alone = dataclasses.replace(fleet, authorities=fleet.authorities[:1]).trusted()

    with pytest.raises(VerificationRefused, match="not one of the given CAs"):
        verify.enrol(identity(fleet), issuer_alone, "x", datetime.now(UTC))


def test_endorsement_before_it_was_issued_is_refused(fleet: Fleet) -> None:
    early = datetime.now(UTC) - timedelta(days=2)

    with pytest.raises(VerificationRefused, match="is valid from"):
        verify.enrol(identity(fleet), fleet.trusted(), "x", early)


def test_certificate_of_an_authority_endorses_nothing(fleet: Fleet) -> None:
    der = proc.run(
        "openssl", ["x509", "-in", fleet.authorities[0], "-outform", "DER"], timeout=30
    ).stdout
    forged = dataclasses.replace(identity(fleet), ek_certificate=der)

    with pytest.raises(VerificationRefused, match="is a CA's"):
        verify.enrol(forged, fleet.trusted(), "x", datetime.now(UTC))


def test_platform_certificate_or_any_other_without_the_usage_is_refused(
    fleet: Fleet, tmp_path: Path
) -> None:
    args = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(tmp_path / "k")]
    der = proc.run(
        "openssl",
        [*args, "-subj", "/CN=x", "-outform", "DER", "-addext", "basicConstraints=CA:FALSE"],
        timeout=30,
    ).stdout
    forged = dataclasses.replace(identity(fleet), ek_certificate=der)

    with pytest.raises(VerificationRefused, match="extended key usage is none"):
        verify.enrol(forged, fleet.trusted(), "x", datetime.now(UTC))


def test_key_that_may_sign_anything_is_not_enrolled(fleet: Fleet) -> None:
    with powered(fleet.state) as chip:
        chip.run("tpm2_createprimary", "-Q", "-C", "o", "-c", "parent.ctx")
        chip.run(
            "tpm2_create", "-Q", "-C", "parent.ctx", "-G", "ecc256:ecdsa", "-u", "u", "-r", "r"
        )
        chip.run("tpm2_flushcontext", "-t")
        chip.run("tpm2_load", "-Q", "-C", "parent.ctx", "-u", "u", "-r", "r", "-c", "free.ctx")
        chip.run("tpm2_readpublic", "-Q", "-c", "free.ctx", "-f", "tpmt", "-o", "free.pub")
        free = (chip.directory / "free.pub").read_bytes()
    forged = dataclasses.replace(identity(fleet), ak=free)

    with pytest.raises(VerificationRefused, match="lacks RESTRICTED"):
        verify.enrol(forged, fleet.trusted(), "x", datetime.now(UTC))


def test_device_that_did_not_open_its_credential_is_not_certified(fleet: Fleet) -> None:
    record, _ = verify.enrol(identity(fleet), fleet.trusted(), "x", datetime.now(UTC))

    with pytest.raises(VerificationRefused, match="did not open its credential"):
        verify.certify(record, bytes(32), now())


def test_tpm_does_not_open_a_credential_for_a_key_it_does_not_hold(fleet: Fleet) -> None:
    vouched = endorsement.check(identity(fleet).ek_certificate, fleet.trusted(), datetime.now(UTC))
    name = bytearray(bytes.fromhex(fleet.store.record("dev-1").ak_name))
    with powered(fleet.state) as chip:
        good = credential.make_credential(vouched.public_key, bytes(name), b"secret")
        answer = chip.script("activate", base64.b64encode(good).decode())
        assert messages.parse_activation(answer) == b"secret"
        name[-1] ^= 1
        other = credential.make_credential(vouched.public_key, bytes(name), b"secret")
        with pytest.raises(ToolError, match=NOT_FOR_THIS_KEY):
            chip.script("activate", base64.b64encode(other).decode())


@pytest.mark.parametrize("kind", ["ecc", "rsa"])
def test_credential_opens_with_each_kind_of_endorsement_key(fleet: Fleet, kind: str) -> None:
    with powered(fleet.state) as chip:
        chip.run("tpm2_createek", "-Q", "-c", "ek.ctx", "-G", kind, "-u", "ek.pub")
        chip.run("tpm2_readpublic", "-Q", "-c", "ek.ctx", "-f", "pem", "-o", "ek.pem")
        key = public.from_pem((chip.directory / "ek.pem").read_bytes())
        name = bytes.fromhex(fleet.store.record("dev-1").ak_name)
        (chip.directory / "blob").write_bytes(credential.make_credential(key, name, b"secret"))
        chip.run("tpm2_flushcontext", "-t")
        chip.run("tpm2_startauthsession", "-Q", "--policy-session", "-S", "ses")
        chip.run("tpm2_policysecret", "-Q", "-S", "ses", "-c", "e")
        args = ["-c", "0x81010010", "-C", "ek.ctx", "-i", "blob", "-o", "got", "-P", "session:ses"]
        chip.run("tpm2_activatecredential", "-Q", *args)
        chip.run("tpm2_flushcontext", "ses")
        assert (chip.directory / "got").read_bytes() == b"secret"


def test_script_keeps_its_key_over_a_restart(fleet: Fleet) -> None:
    with powered(fleet.state) as chip:
        again = messages.parse_identity(chip.script("identity"))

    assert again.ak.hex() == fleet.store.record("dev-1").ak


@pytest.mark.parametrize("made_by", ["script", "tpm2_createak"])
def test_power_cut_after_a_quote_counts_as_no_guess(tmp_path: Path, made_by: str) -> None:
    """A TPM counts it as one if a key without noDA was used, as that of the second case."""
    state = tmp_path / "chip"
    swtpm.manufacture(state)
    chip = Chip(directory=state)
    with swtpm.serving(state, state / "tpm", state / "log"):
        if made_by == "script":
            chip.script("identity")
        else:
            args = ["-C", "0x81010001", "-G", "ecc256", "-g", "sha256", "-s", "ecdsa"]
            chip.run("tpm2_createak", "-Q", *args, "-c", "k", "-u", "k.pub", "-n", "k.name")
            chip.run("tpm2_flushcontext", "-t")
            chip.run("tpm2_evictcontrol", "-Q", "-C", "o", "-c", "k", "0x81010010")
            chip.run("tpm2_flushcontext", "-t")
        args = ["-c", "0x81010010", "-l", "sha256:0", "-q", "00", "-m", "quote", "-s", "signature"]
        chip.run("tpm2_quote", "-Q", *args)
    # No tpm2_shutdown.
    with powered(state):
        said = chip.run("tpm2_getcap", "properties-variable").decode()

    counted = re.search(r"TPM2_PT_LOCKOUT_COUNTER: (\w+)", said)
    assert counted is not None
    assert counted[1] == ("0x0" if made_by == "script" else "0x1")

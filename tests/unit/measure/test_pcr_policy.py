# SPDX-License-Identifier: MIT
from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseal import documents
from bootseal.errors import FormatError, UsageError, VerificationRefused
from bootseal.findings.model import Severity
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format
from bootseal.formats.tpm import policy as tpm
from bootseal.keys import profile
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.profile import Role
from bootseal.keys.public import PublicKey, RsaPublicKey, verify_digest
from bootseal.measure import firmware, pcr_policy
from bootseal.measure.pcr_policy import Approval, PcrPolicy
from bootseal.measure.predict import FIRMWARE_PROPERTY, Prediction, predict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bootseal.keys.signers.base import Signer


@pytest.fixture
def predictions(tree: fdt.Node) -> list[Prediction]:
    data = fdt.emit(tree)
    return [predict(fit_format.parse(data), "conf-a"), predict(fit_format.parse(data), "conf-b")]


@pytest.fixture
def document(predictions: list[Prediction], signer: Signer) -> PcrPolicy:
    return pcr_policy.sign(predictions, signer)


def test_document_is_what_systemd_reads(
    document: PcrPolicy, predictions: list[Prediction], signer: Signer
) -> None:
    found = json.loads(documents.dump(document))

    assert list(found) == ["sha256"]
    assert isinstance(signer.public_key, RsaPublicKey)
    key = hashlib.sha256(signer.public_key.pkcs1_der).hexdigest()
    for entry, prediction in zip(found["sha256"], predictions, strict=True):
        digest = tpm.policy_pcr({pcr: prediction.pcrs[pcr] for pcr in (1, 8, 9)})
        assert list(entry) == ["pcrs", "pkfp", "pol", "sig"]
        assert (entry["pcrs"], entry["pkfp"]) == ([1, 8, 9], key)
        assert entry["pol"] == digest.hex()
        verify_digest(
            signer.public_key,
            hashlib.sha256(digest).digest(),
            base64.b64decode(entry["sig"]),
            Algorithm.parse("sha256,rsa2048"),
        )


def test_verify_accepts_what_sign_made(
    document: PcrPolicy, predictions: list[Prediction], signer: Signer
) -> None:
    pcr_policy.verify(documents.dump(document), signer.public_key, predictions)
    assert pcr_policy.parse(documents.dump(document)) == document


def test_one_state_of_two_configurations_is_signed_once(
    predictions: list[Prediction], signer: Signer
) -> None:
    assert len(pcr_policy.sign([predictions[0], predictions[0]], signer).sha256) == 1


def flip_signature(first: Approval, second: Approval) -> list[Approval]:
    signature = bytearray(first.sig)
    signature[40] ^= 1
    return [dataclasses.replace(first, sig=bytes(signature)), second]


def swap_policies(first: Approval, second: Approval) -> list[Approval]:
    return [
        dataclasses.replace(first, pol=second.pol),
        dataclasses.replace(second, pol=first.pol),
    ]


def drop_entry(_: Approval, second: Approval) -> list[Approval]:
    return [second]


def other_pcrs(first: Approval, second: Approval) -> list[Approval]:
    return [dataclasses.replace(first, pcrs=(8, 9)), second]


def other_key(first: Approval, second: Approval) -> list[Approval]:
    return [dataclasses.replace(first, pkfp="0" * 64), second]


def short_signature(first: Approval, second: Approval) -> list[Approval]:
    return [dataclasses.replace(first, sig=b""), second]


@pytest.mark.parametrize(
    ("change", "identifier"),
    [
        (flip_signature, "policy.signature"),
        (swap_policies, "policy.signature"),
        (short_signature, "policy.signature"),
        (drop_entry, "policy.missing"),
        (other_pcrs, "policy.pcrs"),
        (other_key, "policy.key"),
    ],
)
def test_tampered_document_is_refused(
    document: PcrPolicy,
    predictions: list[Prediction],
    signer: Signer,
    change: Callable[[Approval, Approval], list[Approval]],
    identifier: str,
) -> None:
    data = documents.dump(PcrPolicy(sha256=tuple(change(*document.sha256))))

    findings = pcr_policy.inspect(data, signer.public_key, predictions)

    assert findings[0].id == identifier
    # Whatever is wrong with an entry, the state it should approve counts as not approved.
    assert findings[-1].id == "policy.missing"
    with pytest.raises(VerificationRefused, match="the PCR policy is refused"):
        pcr_policy.verify(data, signer.public_key, predictions)


def test_document_of_another_vendor_is_refused(
    predictions: list[Prediction], signer: Signer, stranger: Signer
) -> None:
    data = documents.dump(pcr_policy.sign(predictions, stranger))
    pcr_policy.verify(data, stranger.public_key, predictions)

    ids = [finding.id for finding in pcr_policy.inspect(data, signer.public_key, predictions)]

    assert ids == ["policy.key", "policy.signature"] * 2 + ["policy.missing"] * 2


@pytest.mark.parametrize("path", ["/images/kernel-1", "/images/ramdisk-1", "/images/fdt-a"])
def test_document_does_not_approve_a_changed_fit(
    document: PcrPolicy, tree: fdt.Node, signer: Signer, path: str
) -> None:
    image = tree.find(path)
    assert image is not None
    image.properties["data"] = image.properties["data"][:-1] + b"\xff"

    changed = predict(fit_format.parse(fdt.emit(tree)), "conf-a")

    with pytest.raises(VerificationRefused, match="conf-a: no valid entry approves its state"):
        pcr_policy.verify(documents.dump(document), signer.public_key, [changed])


def rom_predictions(tree: fdt.Node, boot_loader: bytes) -> list[Prediction]:
    """Predict a release that is for a boot ROM, with a boot loader."""
    chosen = fdt.Node("chosen", {FIRMWARE_PROPERTY: (2).to_bytes(4)})
    board = tree.find("/images/fdt-a")
    assert board is not None
    board.properties["data"] = fdt.emit(fdt.Node("", {}, [chosen]))
    before = firmware.events(dict.fromkeys(firmware.ROLES, boot_loader))
    fit = fit_format.parse(fdt.emit(tree))
    return [predict(fit, "conf-a", version=b"U-Boot", before=before)]


def test_policy_of_a_release_for_a_boot_rom_is_over_the_boot_loader(
    tree: fdt.Node, signer: Signer
) -> None:
    old, new = (rom_predictions(tree, each) for each in (b"old", b"new"))
    assert old[0].firmware_version == 2
    both = pcr_policy.keep(
        pcr_policy.sign(new, signer), pcr_policy.sign(old, signer), signer.public_key
    )
    assert [each.pcrs for each in both.sha256] == [(0, 1, 8, 9)] * 2
    pcr_policy.verify(documents.dump(both), signer.public_key, [*old, *new])
    with pytest.raises(VerificationRefused, match="no valid entry approves its state"):
        pcr_policy.verify(
            documents.dump(pcr_policy.sign(new, signer)), signer.public_key, [*old, *new]
        )


def test_policy_that_leaves_the_boot_loader_out_is_refused(tree: fdt.Node, signer: Signer) -> None:
    found = rom_predictions(tree, b"new")
    without = pcr_policy.sign(found, signer, pcr_policy.PCRS)
    ids = [
        each.id for each in pcr_policy.inspect(documents.dump(without), signer.public_key, found)
    ]
    assert ids == ["policy.pcrs", "policy.missing"]
    unknown = dataclasses.replace(found[0], pcrs={1: b"1" * 32, 8: b"8" * 32, 9: b"9" * 32})
    with pytest.raises(UsageError, match="PCR 0 of conf-a is not predicted") as refusal:
        pcr_policy.sign([unknown], signer)
    assert "--u-boot FIP" in refusal.value.hint


def test_state_beyond_the_predicted_is_a_warning(
    document: PcrPolicy, predictions: list[Prediction], signer: Signer
) -> None:
    findings = pcr_policy.inspect(documents.dump(document), signer.public_key, predictions[:1])

    assert [(f.id, f.severity) for f in findings] == [("policy.unexpected", Severity.WARNING)]


@pytest.mark.parametrize("pcrs", [(8, 9), (8,)])
def test_policy_without_a_firmware_pcr_is_not_signed(
    predictions: list[Prediction], signer: Signer, pcrs: tuple[int, ...]
) -> None:
    with pytest.raises(UsageError, match="can be satisfied from Linux"):
        pcr_policy.sign(predictions, signer, pcrs)


def test_policy_over_a_zero_pcr_is_not_signed(
    predictions: list[Prediction], signer: Signer
) -> None:
    pcrs = predictions[0].pcrs | {9: bytes(32)}
    blank = dataclasses.replace(predictions[0], pcrs=pcrs)

    with pytest.raises(UsageError, match="PCR 9 of conf-a is all zeros"):
        pcr_policy.sign([blank], signer)


def test_policy_over_a_pcr_that_is_not_predicted_is_not_signed(
    predictions: list[Prediction], signer: Signer
) -> None:
    with pytest.raises(UsageError, match="PCR 0 of conf-a is not predicted: known are 1, 2"):
        pcr_policy.sign(predictions, signer, (0, 1, 8, 9))


def test_nothing_to_approve_is_refused(signer: Signer) -> None:
    with pytest.raises(UsageError, match="no predicted state"):
        pcr_policy.sign([], signer)


def test_key_that_tpms_cannot_load_is_refused(keys: Path, predictions: list[Prediction]) -> None:
    root = key_directory.signer(keys / "ours", Role.ROOT)

    with pytest.raises(UsageError, match="is rsa4096: systemd and TPMs need rsa2048"):
        pcr_policy.sign(predictions, root)


def test_signer_that_signs_something_else_is_found_out(
    predictions: list[Prediction], signer: Signer
) -> None:
    class Confused:
        @property
        def public_key(self) -> PublicKey:
            return signer.public_key

        def sign_digest(self, digest: bytes, algorithm: Algorithm) -> bytes:
            return signer.sign_digest(hashlib.sha256(digest).digest(), algorithm)

    with pytest.raises(VerificationRefused, match="is not by key"):
        pcr_policy.sign(predictions, Confused())


GOOD = {"pcrs": [1, 8, 9], "pkfp": "0" * 64, "pol": "0" * 64, "sig": ""}


@pytest.mark.parametrize(
    "found",
    [
        [],
        {},
        {"sha1": []},
        {"sha256": [], "sha1": []},
        {"sha256": {}},
        {"sha256": [1]},
        {"sha256": [{"pcrs": [1]}]},
        {"sha256": [GOOD | {"more": 1}]},
        {"sha256": [GOOD | {"pcrs": [True]}]},
        {"sha256": [GOOD | {"pcrs": "1+8+9"}]},
        {"sha256": [GOOD | {"pol": "0" * 63}]},
        {"sha256": [GOOD | {"pol": "G" * 64}]},
        {"sha256": [GOOD | {"pkfp": "A" * 64}]},
        {"sha256": [GOOD | {"sig": "%"}]},
        {"sha256": [GOOD | {"sig": "YR=="}]},
        {"sha256": [GOOD | {"sig": 1}]},
    ],
    ids=str,
)
def test_document_of_another_shape_is_refused(found: object) -> None:
    with pytest.raises(FormatError, match="PCR policy"):
        pcr_policy.parse(json.dumps(found).encode())


@given(st.binary(max_size=100))
def test_parse_of_any_bytes_is_a_format_error(data: bytes) -> None:
    with pytest.raises(FormatError):
        pcr_policy.parse(data)


def test_parse_of_deeply_nested_text_is_a_format_error() -> None:
    with pytest.raises(FormatError):
        pcr_policy.parse(b"[" * 60000)


def test_policy_key_of_the_dev_profile_signs_policies() -> None:
    spec = next(s for s in profile.load(profile.find("dev")).keys if s.role is Role.POLICY)

    assert spec.algorithm.name == "sha256,rsa2048"


def test_keep_puts_earlier_states_behind_the_new_ones_once(
    document: PcrPolicy, predictions: list[Prediction], tree: fdt.Node, signer: Signer
) -> None:
    kernel = tree.find("/images/kernel-1")
    assert kernel is not None
    kernel.properties["data"] = b"NEW KERNEL"
    update = [predict(fit_format.parse(fdt.emit(tree)), name) for name in ("conf-a", "conf-b")]
    new = pcr_policy.sign([*update, predictions[0]], signer)

    kept = pcr_policy.keep(new, document, signer.public_key)

    states = [pcr_policy.policy_digest(one).hex() for one in (*update, *predictions)]
    assert [approval.pol for approval in kept.sha256] == states
    pcr_policy.verify(documents.dump(kept), signer.public_key, [*update, *predictions])


def test_keep_leaves_out_what_is_no_longer_approved(
    document: PcrPolicy, predictions: list[Prediction], signer: Signer
) -> None:
    new = pcr_policy.sign([predictions[0]], signer)

    assert pcr_policy.keep(new, document, signer.public_key, approved=frozenset()) == new


def test_keep_of_a_state_that_another_key_approved_is_refused(
    document: PcrPolicy, predictions: list[Prediction], signer: Signer, stranger: Signer
) -> None:
    theirs = pcr_policy.sign(predictions, stranger)

    with pytest.raises(VerificationRefused, match="cannot be kept: entry 0 names the key"):
        pcr_policy.keep(document, theirs, signer.public_key)


def test_keep_of_a_tampered_state_is_refused(document: PcrPolicy, signer: Signer) -> None:
    changed = PcrPolicy(sha256=(dataclasses.replace(document.sha256[0], pol="00" * 32),))

    with pytest.raises(VerificationRefused, match="cannot be kept: entry 0 the sha256,rsa2048"):
        pcr_policy.keep(document, changed, signer.public_key)

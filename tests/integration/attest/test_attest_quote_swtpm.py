# SPDX-License-Identifier: MIT
"""Quotes and logs of a software TPM before the verifier: genuine, and altered in every way."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING

import pytest
from tests import event_logs
from tests.integration.attest.fleet import QUOTED, ask, found_by, listed, now, powered, quote_with

from bootseal.attest import verify
from bootseal.errors import FormatError, VerificationRefused
from bootseal.formats.tpm import eventlog, structures
from bootseal.formats.tpm.eventlog import Event, EventType
from bootseal.keys.tpm import credential
from bootseal.measure.approved import Approved

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.attest.fleet import Answer, Fleet

    from bootseal.formats.tpm.eventlog import EventLog


pytestmark = [pytest.mark.tool("swtpm"), pytest.mark.tool("swtpm_setup"), pytest.mark.tool("tpm2")]


def test_fresh_quote_of_an_approved_release_is_accepted(
    answer: Answer, verifier: verify.Verifier
) -> None:
    verdict = verifier.inspect(answer.evidence(), answer.record, answer.challenge, now())

    assert (verdict.release, verdict.slot, verdict.rollback_index) == ("1.0", "a", 7)
    assert verdict.accepted


def test_nonce_that_expired_is_refused(fleet: Fleet, answer: Answer) -> None:
    old = fleet.store.ask("dev-1", now=now() - 301, validity=300)

    with pytest.raises(VerificationRefused, match=r"expired \d+ seconds ago"):
        fleet.store.take(bytes.fromhex(old.nonce), now=now())

    verifier = verify.Verifier(listed(b"KERNEL 1", "1.0"))
    late = answer.challenge.expires + 1
    verdict = verifier.inspect(answer.evidence(), answer.record, answer.challenge, late)
    assert [finding.id for finding in verdict.findings] == ["attest.nonce"]


def test_nonce_that_was_never_asked_is_refused(fleet: Fleet) -> None:
    for nonce in (bytes(32), b"", b"../../x"):
        with pytest.raises(VerificationRefused, match="is not an open challenge"):
            fleet.store.take(nonce, now=now())


def test_quote_over_an_earlier_nonce_is_refused(
    fleet: Fleet, answer: Answer, verifier: verify.Verifier
) -> None:
    later = fleet.store.ask("dev-1", now=now(), validity=300)

    verdict = verifier.inspect(answer.evidence(), answer.record, later, now())

    assert [finding.id for finding in verdict.findings] == ["attest.nonce"]


def test_key_that_is_not_activated_is_refused(answer: Answer, verifier: verify.Verifier) -> None:
    pending = dataclasses.replace(answer.record, certified=0)

    verdict = verifier.inspect(answer.evidence(), pending, answer.challenge, now())

    assert [finding.id for finding in verdict.findings] == ["attest.key-not-certified"]


def test_quote_by_another_key_of_the_same_tpm_is_refused(
    fleet: Fleet, answer: Answer, verifier: verify.Verifier
) -> None:
    with powered(fleet.state) as chip:
        chip.boot(b"KERNEL 1")
        args = ["-C", "0x81010001", "-G", "ecc256", "-g", "sha256", "-s", "ecdsa"]
        chip.run("tpm2_createak", "-Q", *args, "-c", "ak2.ctx", "-u", "ak2.pub", "-n", "ak2.name")
        chip.run("tpm2_flushcontext", "-t")
        evidence = quote_with(chip, answer, "ak2.ctx", "-l", QUOTED)

    assert found_by(verifier, answer, evidence) == ["attest.signature"]


def test_quote_over_fewer_pcrs_is_refused(
    fleet: Fleet, answer: Answer, verifier: verify.Verifier
) -> None:
    with powered(fleet.state) as chip:
        chip.boot(b"KERNEL 1")
        evidence = quote_with(chip, answer, "0x81010010", "-l", "sha256:0,1")

    assert found_by(verifier, answer, evidence) == ["attest.selection"]


@pytest.mark.parametrize("kernel", [b"KERNEL 1", b"EVIL KERNEL"], ids=["approved", "evil"])
def test_quote_of_a_boot_beside_the_log_of_an_approved_one_is_refused(
    fleet: Fleet, answer: Answer, verifier: verify.Verifier, kernel: bytes
) -> None:
    log = answer.fields()["event_log"]
    with powered(fleet.state) as chip:
        chip.boot(kernel)
        evidence = dataclasses.replace(
            quote_with(chip, answer, "0x81010010", "-l", QUOTED), log=eventlog.parse(log)
        )

    assert found_by(verifier, answer, evidence) == ([] if kernel == b"KERNEL 1" else ["attest.log"])


@pytest.mark.parametrize(
    ("locality", "finding"), [(0, "attest.release"), (3, "attest.log")], ids=["own", "another"]
)
def test_log_that_names_a_startup_locality_is_replayed_from_it(
    answer: Answer, verifier: verify.Verifier, locality: int, finding: str
) -> None:
    """The TPM started from locality 0; the log of an approved boot does not have the event."""
    evidence = answer.evidence()
    started = Event(
        pcr=0,
        type=EventType.NO_ACTION,
        digests={"sha256": bytes(32)},
        data=b"StartupLocality\0" + bytes([locality]),
    )
    log = dataclasses.replace(evidence.log, events=(started, *evidence.log.events))

    assert found_by(verifier, answer, dataclasses.replace(evidence, log=log)) == [finding]


def without_kernel(log: EventLog) -> EventLog:
    return dataclasses.replace(log, events=log.events[:1] + log.events[2:])


def other_digest(log: EventLog) -> EventLog:
    changed = dataclasses.replace(log.events[1], digests={"sha256": bytes(32)})
    return dataclasses.replace(log, events=(log.events[0], changed, *log.events[2:]))


def one_more(log: EventLog) -> EventLog:
    return dataclasses.replace(log, events=(*log.events, log.events[1]))


def other_words(log: EventLog) -> EventLog:
    changed = dataclasses.replace(log.events[0], data=b"U-Boot from elsewhere\0")
    return dataclasses.replace(log, events=(changed, *log.events[1:]))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (without_kernel, "attest.log"),
        (other_digest, "attest.log"),
        (one_more, "attest.log"),
        # What the TPM signed covers digests, not the words next to them.
        (other_words, "attest.release"),
    ],
)
def test_altered_log_is_refused(
    answer: Answer,
    verifier: verify.Verifier,
    change: Callable[[EventLog], EventLog],
    expected: str,
) -> None:
    log = event_logs.emit(change(answer.evidence().log))

    assert found_by(verifier, answer, answer.evidence(event_log=log)) == [expected]


def test_log_of_a_release_that_is_not_approved_is_refused_and_explained(
    fleet: Fleet, verifier: verify.Verifier
) -> None:
    with powered(fleet.state) as chip:
        chip.boot(b"KERNEL 2")
        answer = ask(fleet, chip)

    verdict = verifier.inspect(answer.evidence(), answer.record, answer.challenge, now())

    (finding,) = verdict.findings
    assert finding.id == "attest.release"
    assert "compared with 1.0, slot a: unexpected in PCR 8: the kernel" in finding.message
    assert verdict.release == ""
    both = Approved(
        releases=(*listed(b"KERNEL 1", "1.0").releases, *listed(b"KERNEL 2", "2").releases)
    )
    again = verify.Verifier(both).inspect(answer.evidence(), answer.record, answer.challenge, now())
    assert again.release == "2"


def test_empty_list_approves_nothing(answer: Answer) -> None:
    assert found_by(verify.Verifier(Approved()), answer, answer.evidence()) == ["attest.release"]


def test_system_that_left_the_way_to_the_data_key_open_is_refused(
    fleet: Fleet, verifier: verify.Verifier
) -> None:
    with powered(fleet.state) as chip:
        chip.boot(b"KERNEL 1", capped=False)
        answer = ask(fleet, chip)

    assert found_by(verifier, answer, answer.evidence()) == ["attest.not-capped"]


def test_pcr_that_something_extended_later_is_refused(
    fleet: Fleet, verifier: verify.Verifier
) -> None:
    with powered(fleet.state) as chip:
        chip.boot(b"KERNEL 1")
        chip.run("tpm2_pcrextend", f"4:sha256={hashlib.sha256(b'more').hexdigest()}")
        answer = ask(fleet, chip)

    assert found_by(verifier, answer, answer.evidence()) == ["attest.log"]


def test_counter_that_went_back_is_refused(answer: Answer, verifier: verify.Verifier) -> None:
    quote = answer.evidence().quote
    later = dataclasses.replace(answer.record, reset_count=quote.reset_count + 1)

    verdict = verifier.inspect(answer.evidence(), later, answer.challenge, now())

    assert [finding.id for finding in verdict.findings] == ["attest.counter"]


def test_record_moves_on_with_an_accepted_answer(answer: Answer, verifier: verify.Verifier) -> None:
    evidence = answer.evidence()
    verdict = verifier.inspect(evidence, answer.record, answer.challenge, now())

    after = verify.seen(answer.record, verdict, evidence)

    assert (after.reset_count, after.clock) == (evidence.quote.reset_count, evidence.quote.clock)
    assert verifier.inspect(evidence, after, answer.challenge, now()).accepted


@pytest.mark.parametrize("field", ["quote", "signature", "event_log"])
def test_structure_cut_short_anywhere_is_malformed(answer: Answer, field: str) -> None:
    whole = answer.fields()[field]
    # An event log may end after any event; what it then says is another matter.
    ends = range(len(whole)) if field != "event_log" else [1, 31, len(whole) - 1]
    for end in ends:
        with pytest.raises(FormatError):
            answer.evidence(**{field: whole[:end]})
    with pytest.raises(FormatError):
        answer.evidence(**{field: whole + b"\1"})


@pytest.mark.parametrize("field", ["quote", "signature"])
def test_every_changed_byte_is_refused(
    answer: Answer, verifier: verify.Verifier, field: str
) -> None:
    whole = answer.fields()[field]
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1
        try:
            evidence = answer.evidence(**{field: bytes(changed)})
        except FormatError:
            continue
        assert found_by(verifier, answer, evidence) == ["attest.signature"], at


def test_every_changed_byte_of_the_log_is_refused(
    answer: Answer, verifier: verify.Verifier
) -> None:
    whole = answer.fields()["event_log"]
    # The first 65 bytes are the header, in which errata and platform class decide nothing.
    for at in range(65, len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1
        try:
            evidence = answer.evidence(event_log=bytes(changed))
        except FormatError:
            continue
        assert found_by(verifier, answer, evidence) in (["attest.log"], ["attest.release"]), at


@pytest.mark.parametrize(
    ("algorithm", "scheme"),
    [("rsa2048", "rsassa"), ("rsa2048", "rsapss"), ("ecc384", "ecdsa"), ("ecc256", "ecdsa")],
)
def test_quote_of_every_scheme_is_verified(fleet: Fleet, algorithm: str, scheme: str) -> None:
    with powered(fleet.state) as chip:
        args = ["-C", "0x81010001", "-G", algorithm, "-g", "sha256", "-s", scheme]
        chip.run("tpm2_createak", "-Q", *args, "-c", "k.ctx", "-u", "k.pub", "-n", "k.name")
        chip.run("tpm2_flushcontext", "-t")
        chip.run("tpm2_readpublic", "-Q", "-c", "k.ctx", "-f", "tpmt", "-o", "k.tpmt")
        chip.run("tpm2_flushcontext", "-t")
        args = ["-c", "k.ctx", "-l", QUOTED, "-q", "00", "-g", "sha256", "-m", "m", "-s", "s"]
        args += ["--scheme", scheme]
        chip.run("tpm2_quote", "-Q", *args)
        area, message, signature, name = (
            (chip.directory / file).read_bytes() for file in ("k.tpmt", "m", "s", "k.name")
        )
    key = structures.parse_public(area, "attestation key")
    sealed = structures.parse_signature(signature)
    verifying = credential.public_key(key.key)

    credential.check_attestation_key(key)
    assert key.name == name
    credential.verify(key, verifying, message, sealed)
    with pytest.raises(VerificationRefused, match="is not by key"):
        credential.verify(key, verifying, message + b"\0", sealed)

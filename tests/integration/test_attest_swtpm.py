# SPDX-License-Identifier: MIT
"""Attestation against a software TPM: the device's own script on one side, the verifier on ours."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from bootseal import proc
from bootseal.boot import swtpm
from bootseal.cli.attest import app
from bootseal.errors import FormatError, ToolError, UsageError, VerificationRefused
from bootseal.formats import eventlog, fdt, tpm_structures
from bootseal.formats.eventlog import EventLog
from bootseal.keys import endorsement, public, tpm_keys
from bootseal.measure import approved, attest, messages, source
from bootseal.measure.approved import Approved
from bootseal.measure.attest_store import Store
from bootseal.measure.predict import CAP, Prediction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bootseal.measure.attest_store import Challenge, Record
    from bootseal.measure.messages import Evidence

pytestmark = [pytest.mark.tool("swtpm"), pytest.mark.tool("swtpm_setup"), pytest.mark.tool("tpm2")]

SCRIPT = (
    Path(__file__).parents[2]
    / "meta-secureboot/recipes-core/secureboot-device/files/secureboot-attest"
)
VERSION = b"U-Boot 2025.01 (Jan 01 2026 - 00:00:00 +0000)"
QUOTED = "sha256:0,1,2,3,4,5,6,7,8,9"
# TPM_RC_INTEGRITY and TPM_RC_VALUE of a parameter of TPM2_ActivateCredential.
NOT_FOR_THIS_KEY = "Esys_ActivateCredential"


def fit(kernel: bytes) -> bytes:
    def image(name: str, data: bytes) -> fdt.Node:
        return fdt.Node(name, {"data": data})

    chosen = fdt.Node("chosen", {"bootseal,rollback-index": b"\0\0\0\7"})
    images = [
        image("kernel-1", kernel),
        image("ramdisk-1", b"RAMDISK"),
        image("fdt-a", fdt.emit(fdt.Node("", {}, [chosen]))),
    ]
    names = {"kernel": b"kernel-1\0", "ramdisk": b"ramdisk-1\0", "fdt": b"fdt-a\0"}
    configurations = fdt.Node("configurations", {}, [fdt.Node("conf-a", names)])
    return fdt.emit(
        fdt.Node("", {"description": b"d\0"}, [fdt.Node("images", {}, images), configurations])
    )


def predict(kernel: bytes) -> tuple[source.Source, Prediction]:
    artefacts = source.Source(fit=fit(kernel), version=VERSION, slots={"conf-a": "a"})
    ((_, prediction),) = source.predictions(artefacts)
    return artefacts, prediction


def listed(kernel: bytes, name: str) -> Approved:
    artefacts, prediction = predict(kernel)
    release = approved.release(name, [("a", prediction)], artefacts.fit, VERSION)
    return Approved(releases=(release,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """A powered TPM; files live in `directory`."""

    directory: Path

    @property
    def env(self) -> dict[str, str]:
        return {
            "TPM2TOOLS_TCTI": f"swtpm:path={self.directory / 'tpm'}",
            "EVENT_LOG": str(self.directory / "event-log"),
        }

    def run(self, tool: str, *args: str) -> bytes:
        return proc.run(tool, args, cwd=self.directory, env=self.env, timeout=30).stdout

    def script(self, *args: str) -> bytes:
        return proc.run("sh", [SCRIPT, *args], env=self.env, timeout=60).stdout

    def boot(self, kernel: bytes, *, capped: bool = True) -> None:
        """Measure what a boot measures, and leave its log."""
        _, prediction = predict(kernel)
        args = [f"{e.pcr}:sha256={e.digests['sha256'].hex()}" for e in prediction.events]
        args += [f"9:sha256={CAP.hex()}"] if capped else []
        for arg in args:
            self.run("tpm2_pcrextend", arg)
        events = tuple(
            dataclasses.replace(event, digests={"sha256": event.digests["sha256"]})
            for event in prediction.events
        )
        log = eventlog.emit(EventLog(algorithms=("sha256",), events=events))
        (self.directory / "event-log").write_bytes(log)


@contextmanager
def powered(state: Path) -> Iterator[Chip]:
    """Power the chip in `state`; its PCRs start as zeros, its persistent keys stay."""
    socket = state / "tpm"
    args = ["socket", "--tpm2", "--tpmstate", f"dir={state}"]
    args += ["--server", f"type=unixio,path={socket}", "--ctrl", f"type=unixio,path={socket}.ctrl"]
    args += ["--flags", "not-need-init,startup-clear"]
    with proc.background("swtpm", args, output=state / "log") as process:
        deadline = time.monotonic() + 10
        while not socket.exists():
            assert process.poll() is None, (state / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        try:
            yield Chip(directory=state)
        finally:
            # An orderly end: a power cut would count against the TPM's own clock.
            proc.run("tpm2_shutdown", ["-c"], env=Chip(directory=state).env, timeout=30)
            socket.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """One manufactured chip, enrolled and certified, and the verifier that knows it."""

    state: Path
    store: Store
    directory: Path
    authorities: tuple[Path, ...]

    def trusted(self) -> list[endorsement.Authority]:
        return [
            one
            for path in self.authorities
            for one in endorsement.authorities(path.read_bytes(), path.name)
        ]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """Enrol through the command line, as an operator does."""
    directory = tmp_path_factory.mktemp("attest")
    state, store = directory / "chip", directory / "store"
    swtpm.manufacture(state)
    authorities = (state / "ca/issuer.pem", state / "ca/swtpm-localca-rootca-cert.pem")
    identity, credential, answer = (directory / n for n in ("identity", "credential", "answer"))
    with powered(state) as chip:
        identity.write_bytes(chip.script("identity"))
        options = [f"--ca={path}" for path in authorities]
        command("enrol", "dev-1", identity, *options, "--store", store, "-o", credential)
        answer.write_bytes(chip.script("activate", credential.read_text().strip()))
    command("certify", "dev-1", answer, "--store", store)
    return Fleet(state=state, store=Store(store), directory=directory, authorities=authorities)


def command(*args: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(map(str, args)), catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.stdout


def now() -> int:
    return int(time.time())


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A genuine answer to a challenge, as bytes."""

    challenge: Challenge
    record: Record
    data: bytes

    def fields(self) -> dict[str, bytes]:
        document = json.loads(self.data)
        return {k: base64.b64decode(v) for k, v in document.items() if k != "schema"}

    def evidence(self, **changes: bytes) -> Evidence:
        fields = {**self.fields(), **changes}
        return messages.parse_evidence(messages.emit(messages.EVIDENCE, **fields))


def ask(fleet: Fleet, chip: Chip) -> Answer:
    challenge = fleet.store.ask("dev-1", now=now(), validity=300)
    data = chip.script("quote", challenge.nonce)
    return Answer(challenge=challenge, record=fleet.store.record("dev-1"), data=data)


@pytest.fixture(scope="module")
def answer(fleet: Fleet) -> Answer:
    """Return a genuine answer of a device that booted release 1."""
    with powered(fleet.state) as chip:
        chip.boot(b"KERNEL 1")
        return ask(fleet, chip)


@pytest.fixture(scope="module")
def verifier() -> attest.Verifier:
    return attest.Verifier(listed(b"KERNEL 1", "1.0"))


def judged(verifier: attest.Verifier, answer: Answer, evidence: Evidence) -> list[str]:
    verdict = verifier.inspect(evidence, answer.record, answer.challenge, now())
    return [finding.id for finding in verdict.findings]


def test_fresh_quote_of_an_approved_release_is_accepted(
    answer: Answer, verifier: attest.Verifier
) -> None:
    verdict = verifier.verify(answer.evidence(), answer.record, answer.challenge, now())

    assert (verdict.release, verdict.slot, verdict.rollback_index) == ("1.0", "a", 7)
    assert verdict.accepted


def test_command_line_accepts_once_and_names_the_replay(fleet: Fleet) -> None:
    approved_list, evidence = fleet.directory / "approved.json", fleet.directory / "evidence"
    approved_list.write_bytes(approved.emit(listed(b"KERNEL 1", "1.0")))
    verify = ("verify", evidence, "--store", fleet.directory / "store", "--approved", approved_list)
    with powered(fleet.state) as chip:
        chip.boot(b"KERNEL 1")
        nonce = command("challenge", "dev-1", "--store", fleet.directory / "store").strip()
        evidence.write_bytes(chip.script("quote", nonce))

    document = json.loads(command(*verify, "--json"))

    assert (document["schema"], document["verdict"]) == ("bootseal.attestation/1", "accepted")
    assert (document["device"], document["release"], document["slot"]) == ("dev-1", "1.0", "a")
    replay = json.loads(command(*verify, "--json", code=3))
    assert (replay["verdict"], replay["device"]) == ("refused", "")
    (finding,) = replay["findings"]
    assert finding["id"] == "attest.nonce"
    assert "was answered before: the quote is a replay" in finding["message"]


def test_command_line_refuses_what_is_not_approved_with_exit_code_3(fleet: Fleet) -> None:
    approved_list, evidence = fleet.directory / "other.json", fleet.directory / "evidence-2"
    approved_list.write_bytes(approved.emit(listed(b"KERNEL 2", "2.0")))
    store = fleet.directory / "store"
    with powered(fleet.state) as chip:
        chip.boot(b"KERNEL 1")
        nonce = command("challenge", "dev-1", "--store", store).strip()
        evidence.write_bytes(chip.script("quote", nonce))

    verify = ("verify", evidence, "--store", store, "--approved", approved_list)
    said = command(*verify, code=3)

    assert said.startswith("REFUSED  dev-1: no approved release")
    assert "attest.release" in said
    assert "unexpected in PCR 8: the kernel" in said


def test_nonce_that_expired_is_refused(fleet: Fleet, answer: Answer) -> None:
    old = fleet.store.ask("dev-1", now=now() - 301, validity=300)

    with pytest.raises(VerificationRefused, match=r"expired \d+ seconds ago"):
        fleet.store.take(bytes.fromhex(old.nonce), now=now())

    verifier = attest.Verifier(listed(b"KERNEL 1", "1.0"))
    late = answer.challenge.expires + 1
    verdict = verifier.inspect(answer.evidence(), answer.record, answer.challenge, late)
    assert [finding.id for finding in verdict.findings] == ["attest.nonce"]


def test_nonce_that_was_never_asked_is_refused(fleet: Fleet) -> None:
    for nonce in (bytes(32), b"", b"../../x"):
        with pytest.raises(VerificationRefused, match="was not asked"):
            fleet.store.take(nonce, now=now())


def test_quote_over_an_earlier_nonce_is_refused(
    fleet: Fleet, answer: Answer, verifier: attest.Verifier
) -> None:
    later = fleet.store.ask("dev-1", now=now(), validity=300)

    verdict = verifier.inspect(answer.evidence(), answer.record, later, now())

    assert [finding.id for finding in verdict.findings] == ["attest.nonce"]


def test_key_that_is_not_activated_is_refused(answer: Answer, verifier: attest.Verifier) -> None:
    pending = dataclasses.replace(answer.record, certified=0)

    verdict = verifier.inspect(answer.evidence(), pending, answer.challenge, now())

    assert [finding.id for finding in verdict.findings] == ["attest.key-not-certified"]


def quote_with(chip: Chip, answer: Answer, key: str, *options: str) -> Evidence:
    args = ["-Q", "-c", key, "-q", answer.challenge.nonce, "-g", "sha256", *options]
    chip.run("tpm2_quote", *args, "-m", "quote", "-s", "signature")
    quote, signature = ((chip.directory / name).read_bytes() for name in ("quote", "signature"))
    return answer.evidence(quote=quote, signature=signature)


def test_quote_by_another_key_of_the_same_tpm_is_refused(
    fleet: Fleet, answer: Answer, verifier: attest.Verifier
) -> None:
    with powered(fleet.state) as chip:
        chip.boot(b"KERNEL 1")
        args = ["-C", "0x81010001", "-G", "ecc256", "-g", "sha256", "-s", "ecdsa"]
        chip.run("tpm2_createak", "-Q", *args, "-c", "ak2.ctx", "-u", "ak2.pub", "-n", "ak2.name")
        chip.run("tpm2_flushcontext", "-t")
        evidence = quote_with(chip, answer, "ak2.ctx", "-l", QUOTED)

    assert judged(verifier, answer, evidence) == ["attest.signature"]


def test_quote_over_fewer_pcrs_is_refused(
    fleet: Fleet, answer: Answer, verifier: attest.Verifier
) -> None:
    with powered(fleet.state) as chip:
        chip.boot(b"KERNEL 1")
        evidence = quote_with(chip, answer, "0x81010010", "-l", "sha256:0,1")

    assert judged(verifier, answer, evidence) == ["attest.selection"]


@pytest.mark.parametrize("kernel", [b"KERNEL 1", b"EVIL KERNEL"], ids=["approved", "evil"])
def test_quote_of_a_boot_beside_the_log_of_an_approved_one_is_refused(
    fleet: Fleet, answer: Answer, verifier: attest.Verifier, kernel: bytes
) -> None:
    log = answer.fields()["event_log"]
    with powered(fleet.state) as chip:
        chip.boot(kernel)
        evidence = dataclasses.replace(
            quote_with(chip, answer, "0x81010010", "-l", QUOTED), log=eventlog.parse(log)
        )

    assert judged(verifier, answer, evidence) == ([] if kernel == b"KERNEL 1" else ["attest.log"])


def without_kernel(log: EventLog) -> EventLog:
    return dataclasses.replace(log, events=log.events[:1] + log.events[2:])


def other_digest(log: EventLog) -> EventLog:
    changed = dataclasses.replace(log.events[1], digests={"sha256": bytes(32)})
    return dataclasses.replace(log, events=(log.events[0], changed, *log.events[2:]))


def one_more(log: EventLog) -> EventLog:
    return dataclasses.replace(log, events=(*log.events, log.events[1]))


def other_words(log: EventLog) -> EventLog:
    changed = dataclasses.replace(log.events[0], data=b"U-Boot of somebody else\0")
    return dataclasses.replace(log, events=(changed, *log.events[1:]))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (without_kernel, "attest.log"),
        (other_digest, "attest.log"),
        (one_more, "attest.log"),
        # What the TPM signed covers digests, not the words beside them.
        (other_words, "attest.release"),
    ],
)
def test_altered_log_is_refused(
    answer: Answer,
    verifier: attest.Verifier,
    change: Callable[[EventLog], EventLog],
    expected: str,
) -> None:
    log = eventlog.emit(change(answer.evidence().log))

    assert judged(verifier, answer, answer.evidence(event_log=log)) == [expected]


def test_log_of_a_release_that_is_not_approved_is_refused_and_explained(
    fleet: Fleet, verifier: attest.Verifier
) -> None:
    with powered(fleet.state) as chip:
        chip.boot(b"KERNEL 2")
        answer = ask(fleet, chip)

    verdict = verifier.inspect(answer.evidence(), answer.record, answer.challenge, now())

    (finding,) = verdict.findings
    assert finding.id == "attest.release"
    assert "beside 1.0, slot a: unexpected in PCR 8: the kernel" in finding.message
    assert verdict.release == ""
    both = Approved(
        releases=(*listed(b"KERNEL 1", "1.0").releases, *listed(b"KERNEL 2", "2").releases)
    )
    again = attest.Verifier(both).verify(answer.evidence(), answer.record, answer.challenge, now())
    assert again.release == "2"


def test_empty_list_approves_nothing(answer: Answer) -> None:
    assert judged(attest.Verifier(Approved()), answer, answer.evidence()) == ["attest.release"]


def test_system_that_left_the_way_to_the_data_key_open_is_refused(
    fleet: Fleet, verifier: attest.Verifier
) -> None:
    with powered(fleet.state) as chip:
        chip.boot(b"KERNEL 1", capped=False)
        answer = ask(fleet, chip)

    assert judged(verifier, answer, answer.evidence()) == ["attest.not-capped"]


def test_pcr_that_something_extended_later_is_refused(
    fleet: Fleet, verifier: attest.Verifier
) -> None:
    with powered(fleet.state) as chip:
        chip.boot(b"KERNEL 1")
        chip.run("tpm2_pcrextend", f"4:sha256={hashlib.sha256(b'more').hexdigest()}")
        answer = ask(fleet, chip)

    assert judged(verifier, answer, answer.evidence()) == ["attest.log"]


def test_counter_that_went_back_is_refused(answer: Answer, verifier: attest.Verifier) -> None:
    quote = answer.evidence().quote
    later = dataclasses.replace(answer.record, reset_count=quote.reset_count + 1)

    verdict = verifier.inspect(answer.evidence(), later, answer.challenge, now())

    assert [finding.id for finding in verdict.findings] == ["attest.counter"]


def test_record_moves_on_with_an_accepted_answer(answer: Answer, verifier: attest.Verifier) -> None:
    evidence = answer.evidence()
    verdict = verifier.verify(evidence, answer.record, answer.challenge, now())

    after = attest.seen(answer.record, verdict, evidence)

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
        answer.evidence(**{field: whole + b"\0"})


@pytest.mark.parametrize("field", ["quote", "signature"])
def test_every_changed_byte_is_refused(
    answer: Answer, verifier: attest.Verifier, field: str
) -> None:
    whole = answer.fields()[field]
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1
        try:
            evidence = answer.evidence(**{field: bytes(changed)})
        except FormatError:
            continue
        assert judged(verifier, answer, evidence) == ["attest.signature"], at


def test_every_changed_byte_of_the_log_is_refused(
    answer: Answer, verifier: attest.Verifier
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
        assert judged(verifier, answer, evidence) in (["attest.log"], ["attest.release"]), at


def identity(fleet: Fleet) -> messages.Identity:
    return messages.parse_identity((fleet.directory / "identity").read_bytes())


def test_endorsement_of_another_authority_is_refused(fleet: Fleet, tmp_path: Path) -> None:
    swtpm.manufacture(tmp_path / "other")
    foreign = dataclasses.replace(
        fleet,
        authorities=(
            tmp_path / "other/ca/issuer.pem",
            tmp_path / "other/ca/swtpm-localca-rootca-cert.pem",
        ),
    )

    attest.enrol(identity(fleet), fleet.trusted(), "x", datetime.now(UTC))
    with pytest.raises(VerificationRefused, match="none of the given authorities"):
        attest.enrol(identity(fleet), foreign.trusted(), "x", datetime.now(UTC))


def test_endorsement_without_the_root_of_its_path_is_refused(fleet: Fleet) -> None:
    issuer_alone = dataclasses.replace(fleet, authorities=fleet.authorities[:1]).trusted()

    with pytest.raises(VerificationRefused, match="none of the given authorities"):
        attest.enrol(identity(fleet), issuer_alone, "x", datetime.now(UTC))


def test_endorsement_before_it_was_issued_is_refused(fleet: Fleet) -> None:
    early = datetime.now(UTC) - timedelta(days=2)

    with pytest.raises(VerificationRefused, match="is valid from"):
        attest.enrol(identity(fleet), fleet.trusted(), "x", early)


def test_certificate_of_an_authority_endorses_nothing(fleet: Fleet) -> None:
    der = proc.run(
        "openssl", ["x509", "-in", fleet.authorities[0], "-outform", "DER"], timeout=30
    ).stdout
    forged = dataclasses.replace(identity(fleet), ek_certificate=der)

    with pytest.raises(VerificationRefused, match="is one of an authority"):
        attest.enrol(forged, fleet.trusted(), "x", datetime.now(UTC))


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
        attest.enrol(forged, fleet.trusted(), "x", datetime.now(UTC))


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
        attest.enrol(forged, fleet.trusted(), "x", datetime.now(UTC))


def test_device_that_did_not_open_its_credential_is_not_certified(fleet: Fleet) -> None:
    record, _ = attest.enrol(identity(fleet), fleet.trusted(), "x", datetime.now(UTC))

    with pytest.raises(VerificationRefused, match="did not open its credential"):
        attest.certify(record, bytes(32), now())


def test_tpm_does_not_open_a_credential_for_a_key_it_does_not_hold(fleet: Fleet) -> None:
    vouched = endorsement.check(identity(fleet).ek_certificate, fleet.trusted(), datetime.now(UTC))
    name = bytearray(bytes.fromhex(fleet.store.record("dev-1").ak_name))
    with powered(fleet.state) as chip:
        good = tpm_keys.make_credential(vouched.public_key, bytes(name), b"secret")
        answer = chip.script("activate", base64.b64encode(good).decode())
        assert messages.parse_activation(answer) == b"secret"
        name[-1] ^= 1
        other = tpm_keys.make_credential(vouched.public_key, bytes(name), b"secret")
        with pytest.raises(ToolError, match=NOT_FOR_THIS_KEY):
            chip.script("activate", base64.b64encode(other).decode())


@pytest.mark.parametrize("kind", ["ecc", "rsa"])
def test_credential_opens_with_each_kind_of_endorsement_key(fleet: Fleet, kind: str) -> None:
    with powered(fleet.state) as chip:
        chip.run("tpm2_createek", "-Q", "-c", "ek.ctx", "-G", kind, "-u", "ek.pub")
        chip.run("tpm2_readpublic", "-Q", "-c", "ek.ctx", "-f", "pem", "-o", "ek.pem")
        key = public.from_pem((chip.directory / "ek.pem").read_bytes())
        name = bytes.fromhex(fleet.store.record("dev-1").ak_name)
        (chip.directory / "blob").write_bytes(tpm_keys.make_credential(key, name, b"secret"))
        chip.run("tpm2_flushcontext", "-t")
        chip.run("tpm2_startauthsession", "-Q", "--policy-session", "-S", "ses")
        chip.run("tpm2_policysecret", "-Q", "-S", "ses", "-c", "e")
        args = ["-c", "0x81010010", "-C", "ek.ctx", "-i", "blob", "-o", "got", "-P", "session:ses"]
        chip.run("tpm2_activatecredential", "-Q", *args)
        chip.run("tpm2_flushcontext", "ses")
        assert (chip.directory / "got").read_bytes() == b"secret"


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
    key = messages.parse_public(area)
    sealed = tpm_structures.parse_signature(signature)
    verifying = tpm_keys.public_key(key.key)

    tpm_keys.check_attestation_key(key)
    assert key.name == name
    tpm_keys.verify(key, verifying, message, sealed)
    with pytest.raises(VerificationRefused, match="is not by key"):
        tpm_keys.verify(key, verifying, message + b"\0", sealed)


def test_script_refuses_what_is_no_nonce(fleet: Fleet) -> None:
    with powered(fleet.state) as chip:
        for nonce in ("", "XYZ", "00;reboot"):
            with pytest.raises(ToolError, match="not lower-case hex"):
                chip.script("quote", nonce)


def test_script_keeps_its_key_over_a_restart(fleet: Fleet) -> None:
    with powered(fleet.state) as chip:
        again = messages.parse_identity(chip.script("identity"))

    assert again.ak.hex() == fleet.store.record("dev-1").ak


def test_enrolled_name_is_not_taken_over_silently(fleet: Fleet, tmp_path: Path) -> None:
    shutil.copytree(fleet.directory / "store", tmp_path / "store")
    options = [f"--ca={path}" for path in fleet.authorities]
    known = fleet.directory / "identity"
    enrol: tuple[str | Path, ...] = (
        "enrol",
        "dev-1",
        known,
        *options,
        "--store",
        tmp_path / "store",
    )

    with pytest.raises(UsageError, match="knows a device 'dev-1' already"):
        command(*enrol)
    command(*enrol, "--again")

    assert Store(tmp_path / "store").record("dev-1").certified == 0

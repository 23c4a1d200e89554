# SPDX-License-Identifier: MIT
"""A device with a software TPM and its own script, and the verifier that knows it."""

from __future__ import annotations

import base64
import dataclasses
import json
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests import event_logs
from typer.testing import CliRunner

from bootseal import documents, proc
from bootseal.attest import messages, verify
from bootseal.attest.store import Store
from bootseal.boot.machine import swtpm
from bootseal.cli.attest import app
from bootseal.formats.fdt import model as fdt
from bootseal.formats.tpm.eventlog import EventLog
from bootseal.keys.tpm import endorsement
from bootseal.measure import approved, inputs
from bootseal.measure.approved import Approved
from bootseal.measure.predict import CAP, Prediction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bootseal.attest.messages import Evidence
    from bootseal.attest.store import Challenge, Record

SCRIPT = (
    Path(__file__).parents[3] / "meta-secureboot/recipes-core/bootseal-device/files/bootseal-attest"
)
VERSION = b"U-Boot 2025.01 (Jan 01 2026 - 00:00:00 +0000)"
QUOTED = "sha256:0,1,2,3,4,5,6,7,8,9"


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


def predict(kernel: bytes) -> tuple[inputs.Source, Prediction]:
    artefacts = inputs.Source(fit=fit(kernel), version=VERSION, slots={"conf-a": "a"})
    ((_, prediction),) = inputs.predictions(artefacts)
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
            "LIBRARY": str(SCRIPT.parent),
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
        log = event_logs.emit(EventLog(algorithms=("sha256",), events=events))
        (self.directory / "event-log").write_bytes(log)


@contextmanager
def powered(state: Path) -> Iterator[Chip]:
    """Power the chip in `state`; its PCRs start as zeros, its persistent keys stay."""
    chip = Chip(directory=state)
    with swtpm.serving(state, state / "tpm", state / "log"):
        try:
            yield chip
        finally:
            # An orderly end: a power cut would count against the TPM's own clock.
            chip.run("tpm2_shutdown", "-c")


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
        fields = {"schema": "bootseal.evidence/1", **self.fields(), **changes}
        return messages.parse_evidence(documents.dump(fields))


def ask(fleet: Fleet, chip: Chip) -> Answer:
    challenge = fleet.store.ask("dev-1", now=now(), validity=300)
    data = chip.script("quote", challenge.nonce)
    return Answer(challenge=challenge, record=fleet.store.record("dev-1"), data=data)


def found_by(verifier: verify.Verifier, answer: Answer, evidence: Evidence) -> list[str]:
    verdict = verifier.inspect(evidence, answer.record, answer.challenge, now())
    return [finding.id for finding in verdict.findings]


def quote_with(chip: Chip, answer: Answer, key: str, *options: str) -> Evidence:
    args = ["-Q", "-c", key, "-q", answer.challenge.nonce, "-g", "sha256", *options]
    chip.run("tpm2_quote", *args, "-m", "quote", "-s", "signature")
    quote, signature = ((chip.directory / name).read_bytes() for name in ("quote", "signature"))
    return answer.evidence(quote=quote, signature=signature)


def identity(fleet: Fleet) -> messages.Identity:
    return messages.parse_identity((fleet.directory / "identity").read_bytes())


def enrolled(root: Path) -> Fleet:
    """Manufacture a chip, and enrol it by commands."""
    state, store = root / "chip", root / "store"
    swtpm.manufacture(state)
    authorities = (state / "ca/issuer.pem", state / "ca/swtpm-localca-rootca-cert.pem")
    identity, credential, answer = (root / n for n in ("identity", "credential", "answer"))
    with powered(state) as chip:
        identity.write_bytes(chip.script("identity"))
        options = [f"--ca={path}" for path in authorities]
        command("enrol", "dev-1", identity, *options, "--store", store, "-o", credential)
        answer.write_bytes(chip.script("activate", credential.read_text().strip()))
    command("certify", "dev-1", answer, "--store", store)
    return Fleet(state=state, store=Store(store), directory=root, authorities=authorities)

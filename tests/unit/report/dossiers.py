# SPDX-License-Identifier: MIT
"""What is known of a release that never was: every text of others is one and the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tests.evidence_samples import result

from bootseal.boot.scenario.model import Outcome
from bootseal.check.coverage import CheckedBy, DiskRegion
from bootseal.check.document import DiskReport
from bootseal.device import Device
from bootseal.dossier.model import (
    ApprovedList,
    Bill,
    Change,
    Course,
    Dossier,
    KeyUse,
    Matrix,
    Package,
    Part,
    SlotMeasures,
    Source,
    Stage,
    Standing,
)
from bootseal.evidence.statement import (
    BuildDefinition,
    Builder,
    Facts,
    Metadata,
    Parameters,
    Provenance,
    ProvenanceStatement,
    Release,
    ReleaseStatement,
    Resource,
    RunDetails,
)
from bootseal.evidence.verify import Verdict
from bootseal.findings.catalogue import finding
from bootseal.measure import approved
from bootseal.protection import State

EVIL: Final = "</pre><script>alert(1)</script> \x1b[2J \x00 \u202e \ufffe \ud800 &lt;"


def made_up(text: str) -> Dossier:
    """Return a dossier in which every text of others is this one."""
    source = Source(path=text, sha256=text, listed=False)
    region = DiskRegion(
        name=text, partition=text, start=0, end=8, state=State.SIGNED, kind=CheckedBy.FIT
    )
    found = finding("disk.gap", text, text, offset=512, expected=text, observed=text, remedy=text)
    resource = Resource(name=text, digest={"sha256": text}, uri=text)
    device = Device(
        name=text,
        profile=text,
        login=True,
        epoch=1 << 62,
        qemu=None,
        artefacts={},
        partitions=(),
        slots=(),
        keys={},
    )
    run = result(replace(device, name="a"))
    scenarios = tuple(
        replace(each, id=f"{text}{n}", title=text, expected=text, observed=text, reason=text)
        for n, each in enumerate(run.results[:3])
    )
    changes = (Change(id=text, title=text, course=Course.NEW, before=None, now=Outcome.FAILED),)
    provenance = ProvenanceStatement(
        subject=(resource,),
        predicate=Provenance(
            buildDefinition=BuildDefinition(
                buildType=text,
                externalParameters=Parameters(device=text, profile=text, release=text),
                internalParameters=Facts(epoch=0, keys={}, login=True, slots={}),
                resolvedDependencies=(resource,),
            ),
            runDetails=RunDetails(
                builder=Builder(id=text, version={}), metadata=Metadata(invocationId=text)
            ),
        ),
    )
    listed = ReleaseStatement(
        subject=(resource,),
        predicate=Release(
            created=text, device=text, name=text, sizes={text: 1}, statements={}, tool={}
        ),
    )
    return Dossier(
        device=device,
        disk=DiskReport(
            device=text, name=text, size=8, findings=(found,), partitions=(), map=(region,)
        ),
        stages=(
            Stage(name=text, title=text, holds=text, how=text, standing=Standing.REFUSED, level=0),
        ),
        keys=(
            KeyUse(
                role=text, fingerprint=text, held=text, signed=(text,), standing=Standing.UNKNOWN
            ),
        ),
        slots=(
            SlotMeasures(
                slot=text,
                root_hash=text,
                pcrs={"0": text, "1": text},
                found={"0": text, "1": "b"},
                policy=Standing.GOOD,
                approved=(text,),
            ),
        ),
        approved=ApprovedList(
            source=source,
            releases=(
                approved.Release(name=text, rollback_index=1, fit=text, firmware=text, boots=()),
            ),
            current=(text,),
        ),
        matrix=Matrix(
            source=source,
            result=replace(run, device=text, profile=text, started=text, results=scenarios),
            left_out=(text,),
            history=changes,
            before=source,
        ),
        bills=(
            Bill(
                source=source,
                kinds={text: 1},
                packages=(Package(name=text, version=text, sha256=text),) * 500,
            ),
        ),
        unnamed=(text,),
        evidence=Verdict(findings=[found], release=listed, statements={text: provenance}),
        signer=text,
        statements=1,
        parts=(Part(title=text, standing=Standing.GOOD, says=text),),
        findings=(found,),
    )

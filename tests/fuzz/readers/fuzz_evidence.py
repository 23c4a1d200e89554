# SPDX-License-Identifier: MIT
"""Coverage-guided fuzzing of envelopes, statements and what kas prints.

    pip install atheris
    python -m tests.fuzz.readers.fuzz_evidence CORPUS -max_total_time=600

Any bytes must end in a model or a `BootsealError`. What is read of an envelope or a statement is
written as the same bytes, no envelope verifies that was not signed, and every repository that is
read has a commit. The first byte chooses the reader; CORPUS is filled with well-formed inputs when
it is empty.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import atheris

with atheris.instrument_imports(include=["bootseal"]):
    from tests import evidence_samples as samples
    from tests.fuzz.readers import seeded

    from bootseal.errors import VerificationRefused
    from bootseal.evidence import envelope, sources, statement
    from bootseal.evidence.statement import Release, ReleaseStatement, Resource

if TYPE_CHECKING:
    from collections.abc import Callable

SIGNER = samples.signer()
LIST = statement.emit(
    ReleaseStatement(
        subject=(Resource(name="a", digest={"sha256": "0" * 64}),),
        predicate=Release(
            created="2027-01-15T08:00:00Z",
            device="d",
            name="1",
            sizes={"a": 1},
            statements={"disk": "1" * 64},
            tool={"bootseal": "1"},
        ),
    )
)
GENUINE = envelope.sign(LIST, SIGNER)


def read_envelope(data: bytes) -> None:
    read = envelope.parse(data, "it")
    with suppress(VerificationRefused):
        envelope.verify(read, SIGNER.public_key)
        assert data == GENUINE, "an envelope that nobody signed verifies"


def read_list(data: bytes) -> None:
    found = statement.parse_release(data, "it")
    assert statement.emit(found) == data
    assert all(statement.is_inside(name) for name in found.files)


def read_provenance(data: bytes) -> None:
    assert statement.emit(statement.parse_provenance(data, "it")) == data


def read_kas(data: bytes) -> None:
    found = sources.of_kas(data, "it").repositories
    assert all(each.uri and each.digest["gitCommit"] for each in found[:-1])


READERS: tuple[Callable[[bytes], None], ...] = (
    read_envelope,
    read_list,
    read_provenance,
    read_kas,
)


def seeds() -> dict[str, bytes]:
    provenance = statement.ProvenanceStatement(
        subject=(Resource(name="a", digest={"sha256": "0" * 64}),),
        predicate=statement.Provenance(
            buildDefinition=statement.BuildDefinition(
                buildType="urn:a",
                externalParameters=statement.Parameters(device="d", profile="dev", release="1"),
                internalParameters=statement.Facts(
                    epoch=1,
                    keys={},
                    login=False,
                    slots={"a": statement.SlotFacts(rootHash="", pcrs={"0": ""})},
                ),
                resolvedDependencies=sources.of_kas(samples.kas(), "it").repositories,
            ),
            runDetails=statement.RunDetails(
                builder=statement.Builder(id="urn:a", version={}),
                metadata=statement.Metadata(invocationId="1"),
            ),
        ),
    )
    return {
        "envelope": b"\0" + GENUINE,
        "list": b"\1" + LIST,
        "provenance": b"\2" + statement.emit(provenance),
        "kas": b"\3" + samples.kas(),
    }


if __name__ == "__main__":
    seeded.run(READERS, seeds)

# SPDX-License-Identifier: MIT
"""The record of a signing: an in-toto statement about the signed files, with SLSA provenance.

Spec: in-toto Attestation Framework, Statement v1; SLSA Provenance v1.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import bootseal

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE_NAME: Final = "signing-record.json"
STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://slsa.dev/provenance/v1"
BUILD_TYPE: Final = "urn:bootseal:disk-sign:1"
BUILDER: Final = "urn:bootseal:disk-sign"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What was signed, by whom, with what.

    Attributes:
        inputs: SHA-256 of every file that was read and changed, by name.
        outputs: SHA-256 of what each became.
        keys: Fingerprint of the key by role: `fit`, `policy`, and those of the boot loaders.
        algorithms: Algorithm by role.
        hint: Name of the FIT's key.
        profile: Key profile; empty when it stayed.
        trust: Whether U-Boot was given the key.
        who: Who ran it.
        when: As RFC 3339 text.
    """

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    keys: Mapping[str, str]
    algorithms: Mapping[str, str]
    hint: str
    profile: str
    trust: bool
    who: str
    when: str


def to_bytes(record: Provenance) -> bytes:
    """Write a record as JSON text."""
    document = {
        "_type": STATEMENT,
        "subject": _resources(record.outputs),
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "hint": record.hint,
                    "profile": record.profile,
                    "trust": record.trust,
                    "keys": {
                        role: {"fingerprint": value, "algorithm": record.algorithms[role]}
                        for role, value in record.keys.items()
                    },
                },
                "internalParameters": {"who": record.who},
                "resolvedDependencies": _resources(record.inputs),
            },
            "runDetails": {
                "builder": {"id": BUILDER, "version": {"bootseal": bootseal.__version__}},
                "metadata": {"startedOn": record.when},
            },
        },
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def _resources(digests: Mapping[str, str]) -> list[dict[str, object]]:
    return [{"name": name, "digest": {"sha256": value}} for name, value in digests.items()]

# SPDX-License-Identifier: MIT
"""The approved list in the forms other verifiers read, so that a fleet needs none of ours.

Spec: draft-ietf-rats-corim (CoRIM and CoMID); Keylime, `tpm_policy` and measured boot reference
state.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from bootseal.errors import ToolError, UsageError
from bootseal.formats.tpm import policy as tpm

if TYPE_CHECKING:
    from bootseal.measure.approved import Approved, Boot, Release

# Identifiers follow from content, so that an unchanged list gives an unchanged document.
_NAMESPACE: Final = uuid.UUID("9c8a2d54-6b0f-4e8e-8f43-0f7f3f8f2b8e")
_BANK: Final = "sha256"
# Says something about the log, and extends nothing: the policy that reads this leaves it out too.
_NOTE: Final = "EV_NO_ACTION"
_VENDOR: Final = "bootseal"
# Named Information Hash Algorithm Registry (RFC 6920), which CoRIM uses.
_HASH_NUMBERS: Final = {"sha256": 1, "sha384": 7, "sha512": 8}
_HASH_NAMES: Final = {"sha256": "sha-256", "sha384": "sha-384", "sha512": "sha-512"}
_TAG_UNSIGNED_CORIM: Final = 501
_TAG_COMID: Final = 506
_TAG_UUID: Final = 37
_TAG_SVN: Final = 552


class _Reference(NamedTuple):
    """What one boot of one release is expected to show."""

    release: Release
    boot: Boot
    registers: dict[int, dict[str, bytes]]


def keylime_tpm_policy(approved: Approved) -> bytes:
    """Return Keylime's `tpm_policy`: for each PCR the values it may have in a quote.

    Keylime checks each PCR by itself, so values of different releases may mix.

    Raises:
        UsageError: Nothing is approved.
    """
    allowed: dict[int, list[str]] = {}
    for reference in _references(approved):
        for pcr, digests in reference.registers.items():
            values = allowed.setdefault(pcr, [])
            if (value := digests[_BANK].hex()) not in values:
                values.append(value)
    mask = hex(sum(1 << pcr for pcr in allowed))
    policy = {**{str(pcr): values for pcr, values in sorted(allowed.items())}, "mask": mask}
    return _json(policy)


def keylime_refstate(approved: Approved) -> bytes:
    """Return a Keylime measured boot reference state: the event log of each approved boot.

    Keylime's bundled policy understands UEFI logs only; docs/measured-boot.md has the policy that
    reads this form.

    Raises:
        UsageError: Nothing is approved.
    """
    boots = [
        {
            "release": reference.release.name,
            "slot": reference.boot.slot,
            "rollback_index": reference.release.rollback_index,
            "events": [
                {"pcr": event.pcr, "type": event.type, _BANK: event.digests[_BANK]}
                for event in reference.boot.events
                if event.type != _NOTE
            ],
        }
        for reference in _references(approved)
    ]
    return _json({"bootseal": 1, "boots": boots})


def comid_json(approved: Approved) -> bytes:
    """Return a CoMID template in the JSON form that `cocli comid create` reads.

    Raises:
        UsageError: Nothing is approved.
    """
    triples = [
        {
            "environment": {
                "class": {
                    "id": {"type": "uuid", "value": str(_class_id(reference))},
                    "vendor": _VENDOR,
                    "model": reference.release.name,
                }
            },
            "measurements": [
                {
                    "key": {"type": "string", "value": _key(reference)},
                    "value": {
                        "svn": {
                            "type": "exact-value",
                            "value": reference.release.rollback_index,
                        },
                        "integrity-registers": {
                            str(pcr): {
                                "key-type": "uint",
                                "value": [
                                    [_HASH_NAMES[bank], _base64url(value)]
                                    for bank, value in digests.items()
                                ],
                            }
                            for pcr, digests in reference.registers.items()
                        },
                    },
                }
            ],
        }
        for reference in _references(approved)
    ]
    return _json(
        {
            "tag-identity": {"id": str(_tag_id(approved)), "version": 0},
            "triples": {"reference-values": triples},
        }
    )


def corim(approved: Approved) -> bytes:
    """Return an unsigned CoRIM: CBOR, with one CoMID that has one reference value for each boot.

    PCRs are integrity registers under their index, the rollback index is the SVN.

    Raises:
        UsageError: Nothing is approved.
        ToolError: The Python package cbor2 is not installed.
    """
    try:
        import cbor2  # noqa: PLC0415 - optional, and nothing else here needs it
    except ImportError as error:
        raise ToolError(
            "a CoRIM needs the Python package cbor2, which is not installed",
            hint="pip install 'bootseal[corim]'",
        ) from error
    triples = [
        [
            {
                0: {
                    0: cbor2.CBORTag(_TAG_UUID, _class_id(reference).bytes),
                    1: _VENDOR,
                    2: reference.release.name,
                }
            },
            [
                {
                    0: _key(reference),
                    1: {
                        1: cbor2.CBORTag(_TAG_SVN, reference.release.rollback_index),
                        14: {
                            pcr: [[_HASH_NUMBERS[bank], value] for bank, value in digests.items()]
                            for pcr, digests in reference.registers.items()
                        },
                    },
                }
            ],
        ]
        for reference in _references(approved)
    ]
    identity = _tag_id(approved)
    comid = cbor2.dumps({1: {0: identity.bytes}, 4: {0: triples}}, canonical=True)
    manifest = {
        0: uuid.uuid5(_NAMESPACE, f"corim {identity}").bytes,
        1: [cbor2.CBORTag(_TAG_COMID, comid)],
    }
    return cbor2.dumps(cbor2.CBORTag(_TAG_UNSIGNED_CORIM, manifest), canonical=True)


def _references(approved: Approved) -> Iterator[_Reference]:
    """Yield the PCR values of each boot as the running system shows them.

    Raises:
        UsageError: Nothing is approved.
    """
    if not approved.releases:
        raise UsageError(
            "the approved list is empty: there is nothing to export",
            hint="bootseal measure approve DIR --name RELEASE --list LIST",
        )
    for release in approved.releases:
        for boot in release.boots:
            yield _Reference(release, boot, _registers(release, boot))


def _registers(release: Release, boot: Boot) -> dict[int, dict[str, bytes]]:
    """Return PCR values by index and bank; what the system extends is known for SHA-256 alone."""
    registers: dict[int, dict[str, bytes]] = {}
    for bank, values in boot.pcrs.items():
        for pcr, text in values.items():
            if bank in _HASH_NUMBERS:
                registers.setdefault(int(pcr), {})[bank] = bytes.fromhex(text)
    for extension in release.runtime:
        old = registers.get(extension.pcr, {}).get(_BANK, tpm.ZERO_DIGEST)
        new = tpm.pcr_extend(old, bytes.fromhex(extension.digests[_BANK]))
        registers[extension.pcr] = {_BANK: new}
    return dict(sorted(registers.items()))


def _class_id(reference: _Reference) -> uuid.UUID:
    return uuid.uuid5(_NAMESPACE, f"class {reference.release.fit} {reference.boot.configuration}")


def _tag_id(approved: Approved) -> uuid.UUID:
    content = " ".join(f"{one.name} {one.fit} {one.firmware}" for one in approved.releases)
    return uuid.uuid5(_NAMESPACE, f"comid {content}")


def _key(reference: _Reference) -> str:
    return f"{reference.release.name}/{reference.boot.slot or reference.boot.configuration}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _json(document: object) -> bytes:
    return json.dumps(document, indent=1).encode() + b"\n"

# SPDX-License-Identifier: MIT
"""LUKS2 headers at each stage of a data partition's life, and manipulated ones, as data.

`luks2/escrowed.json` is the metadata that systemd-repart 257 and bootseal-data made on the
reference device, in a first boot with the provisioning station. The other stages follow from it.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bootseal.formats import luks2
from bootseal.formats.tpm import policy
from bootseal.keys import public
from bootseal.keys.public import RsaPublicKey

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]

_FILE: Final = Path(__file__).parent / "luks2/escrowed.json"
_UUID: Final = b"ee3b8e92-5d33-47a1-b522-b74188230f50"
_SIZE: Final = 0x4000


def escrowed() -> Json:
    """Return the metadata after a first boot with the provisioning station."""
    document: Json = json.loads(_FILE.read_text())
    return document


def policy_key() -> RsaPublicKey:
    """Return the policy key of the device that made the header."""
    pem = base64.b64decode(escrowed()["tokens"]["0"]["tpm2_pubkey"])
    key = public.from_pem(pem)
    assert isinstance(key, RsaPublicKey)
    return key


def made() -> Json:
    """Return the metadata after a first boot without a provisioning station."""
    document = escrowed()
    del document["keyslots"]["1"], document["tokens"]["1"], document["tokens"]["2"]
    document["digests"]["0"]["keyslots"] = ["0"]
    return document


def cut_off_in_escrow() -> Json:
    """Return the metadata when the station did not answer: no mark, so the key is made again."""
    document = escrowed()
    del document["tokens"]["2"]
    return document


def rotation_wanted() -> Json:
    """Return the metadata after `bootseal-data rotate`, typed twice."""
    document = escrowed()
    for number in ("3", "4"):
        document["tokens"][number] = {"type": "bootseal-rotate", "keyslots": []}
    return document


def cut_off_in_rotation() -> Json:
    """Return the metadata when the power went between the two new key slots."""
    document = rotation_wanted()
    token = copy.deepcopy(document["tokens"]["0"]) | {"keyslots": ["2"], "tpm2-pcrs": [12]}
    key = policy_key()
    authorized = policy.policy_authorize(policy.key_name(key.modulus, key.exponent))
    digest = policy.policy_pcr({12: bytes(32)}, authorized)
    blob = base64.b64decode(token["tpm2-blob"]).replace(authorized, digest)
    token |= {"tpm2-policy-hash": digest.hex(), "tpm2-blob": base64.b64encode(blob).decode()}
    token["tpm2-pcr-bank"] = "sha256"
    document["tokens"]["5"] = token
    add_slot(document, "2", 548864)
    return document


def rotated() -> Json:
    """Return the metadata after a rotation: the TPM has another key slot."""
    document = escrowed()
    document["keyslots"]["2"] = document["keyslots"].pop("0")
    document["keyslots"]["2"]["area"]["offset"] = "548864"
    document["digests"]["0"]["keyslots"] = ["1", "2"]
    document["tokens"]["3"] = document["tokens"].pop("0") | {"keyslots": ["2"]}
    return document


def erased() -> Json:
    """Return the metadata after `cryptsetup luksErase`, where a wipe was cut off."""
    document = escrowed()
    document["keyslots"] = {}
    document["digests"]["0"]["keyslots"] = []
    for token in document["tokens"].values():
        token["keyslots"] = []
    return document


STAGES: Final[dict[str, Callable[[], Json]]] = {
    "made": made,
    "cut-off-in-escrow": cut_off_in_escrow,
    "escrowed": escrowed,
    "rotation-wanted": rotation_wanted,
    "cut-off-in-rotation": cut_off_in_rotation,
    "rotated": rotated,
    "erased": erased,
}


def add_slot(document: Json, number: str, offset: int) -> None:
    """Add a key slot like the first one, without a token."""
    slot = copy.deepcopy(document["keyslots"]["0"])
    slot["area"]["offset"] = str(offset)
    document["keyslots"][number] = slot
    document["digests"]["0"]["keyslots"].append(number)


def binary(document: Json, *, label: bytes = b"data", subsystem: bytes = b"") -> bytes:
    """Return both copies of a header with these metadata, their checksums right."""
    text = json.dumps(document).encode()
    return b"".join(
        _copy(text, offset, magic, label, subsystem)
        for offset, magic in ((0, luks2.MAGIC), (_SIZE, luks2.SECOND_MAGIC))
    )


def _copy(text: bytes, offset: int, magic: bytes, label: bytes, subsystem: bytes) -> bytes:
    head = struct.pack(
        ">6sHQQ48s32s64s40s48sQ184s64s3584s",
        *(magic, 2, _SIZE, 7, label, b"sha256", b"salt", _UUID, subsystem, offset),
        *(b"", b"", b""),
    )
    raw = bytearray((head + text).ljust(_SIZE, b"\0"))
    raw[448:480] = hashlib.sha256(raw).digest()
    return bytes(raw)


def put(path: str, value: object) -> Callable[[Json], None]:
    """Return a change that sets one field."""

    def change(document: Json) -> None:
        *parents, name = path.split("/")
        for parent in parents:
            document = document[parent]
        document[name] = value

    return change


def drop(path: str) -> Callable[[Json], None]:
    """Return a change that removes one field."""

    def change(document: Json) -> None:
        *parents, name = path.split("/")
        for parent in parents:
            document = document[parent]
        del document[name]

    return change

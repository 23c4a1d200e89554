# SPDX-License-Identifier: MIT
"""The approved list in other verifiers' forms: their structure, and values taken from the list."""

from __future__ import annotations

import base64
import hashlib
import json

import cbor2
import pytest

from bootseal import documents
from bootseal.errors import UsageError
from bootseal.formats.fdt import model as fdt
from bootseal.measure import approved, export, inputs
from bootseal.measure.approved import Approved
from bootseal.measure.predict import CAP

VERSION = b"U-Boot 2025.01 (Jan 01 2026 - 00:00:00 +0000)"


@pytest.fixture
def listed(tree: fdt.Node) -> Approved:
    """Return two releases that differ in their kernels."""
    found = Approved()
    for name, kernel in (("1.0", b"KERNEL"), ("2.0", b"NEW KERNEL")):
        node = tree.find("/images/kernel-1")
        assert node is not None
        node.properties["data"] = kernel
        data = fdt.emit(tree)
        slots = {"conf-a": "a", "conf-b": "b"}
        artefacts = inputs.Source(fit=data, version=VERSION, slots=slots)
        predictions = inputs.predictions(artefacts)
        found = found.add(approved.release(name, predictions, data, VERSION))
    return found


def pcr(listed: Approved, release: int, boot: int, index: int) -> str:
    return listed.releases[release].boots[boot].pcrs["sha256"][str(index)]


def capped(value: str) -> bytes:
    return hashlib.sha256(bytes.fromhex(value) + CAP).digest()


def test_tpm_policy_of_keylime_lists_every_value_a_quote_may_show(listed: Approved) -> None:
    policy = json.loads(export.keylime_tpm_policy(listed))

    assert policy.pop("mask") == "0x3ff"
    assert sorted(map(int, policy)) == list(range(10))
    assert policy["8"] == [pcr(listed, 0, 0, 8), pcr(listed, 1, 0, 8)]
    assert policy["1"] == [pcr(listed, 0, 0, 1), pcr(listed, 0, 1, 1)]
    assert policy["9"] == [capped(pcr(listed, 0, 0, 9)).hex()]


def test_reference_state_of_keylime_has_the_log_of_every_boot(listed: Approved) -> None:
    state = json.loads(export.keylime_refstate(listed))

    assert [(boot["release"], boot["slot"]) for boot in state["boots"]] == [
        ("1.0", "a"),
        ("1.0", "b"),
        ("2.0", "a"),
        ("2.0", "b"),
    ]
    first = state["boots"][0]["events"]
    assert len(first) == 13
    assert first[1] == {
        "pcr": 8,
        "type": "EV_COMPACT_HASH",
        "sha256": hashlib.sha256(b"KERNEL").hexdigest(),
    }


def test_comid_template_has_registers_and_rollback_index(listed: Approved) -> None:
    template = json.loads(export.comid_json(listed))

    triples = template["triples"]["reference-values"]
    (measurement,) = triples[3]["measurements"]
    assert measurement["key"] == {"type": "string", "value": "2.0/b"}
    assert measurement["value"]["svn"] == {"type": "exact-value", "value": 0}
    registers = measurement["value"]["integrity-registers"]
    assert list(registers) == [str(index) for index in range(10)]
    names, values = zip(*registers["8"]["value"], strict=True)
    assert names == ("sha-256", "sha-384", "sha-512")
    padded = values[0] + "=" * (-len(values[0]) % 4)
    assert base64.urlsafe_b64decode(padded).hex() == pcr(listed, 1, 1, 8)
    assert [name for name, _ in registers["9"]["value"]] == ["sha-256"]


def test_corim_says_the_same_as_the_template(listed: Approved) -> None:
    manifest = cbor2.loads(export.corim(listed))
    template = json.loads(export.comid_json(listed))

    assert manifest.tag == 501
    assert len(manifest.value[0]) == 16
    (tagged,) = manifest.value[1]
    assert tagged.tag == 506
    comid = cbor2.loads(tagged.value)
    assert comid[1][0].hex() == template["tag-identity"]["id"].replace("-", "")
    assert len(comid[4][0]) == 4
    (environment, (measurement,)) = comid[4][0][3]
    assert environment[0][2] == "2.0"
    assert measurement[0] == "2.0/b"
    values = measurement[1]
    assert (values[1].tag, values[1].value) == (552, 0)
    assert [number for number, _ in values[14][8]] == [1, 7, 8]
    assert values[14][8][0][1].hex() == pcr(listed, 1, 1, 8)
    assert values[14][9] == [[1, capped(pcr(listed, 1, 1, 9))]]


def test_documents_follow_from_the_list_alone(listed: Approved) -> None:
    again = approved.parse(documents.dump(listed))

    assert export.corim(listed) == export.corim(again)
    assert export.corim(listed) != export.corim(listed.remove(["1.0"]))


def test_empty_list_is_not_handed_on() -> None:
    for form in (export.keylime_tpm_policy, export.keylime_refstate, export.comid_json):
        with pytest.raises(UsageError, match="the approved list is empty"):
            form(Approved())

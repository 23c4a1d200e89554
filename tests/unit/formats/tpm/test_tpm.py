# SPDX-License-Identifier: MIT
"""The expected digests were read from swtpm 0.7.1 with tpm2-tools 5.4, see the comments."""

from __future__ import annotations

import hashlib
from typing import Final

import pytest

from bootseal.errors import UsageError
from bootseal.formats.tpm import policy as tpm

# tpm2_pcrextend 1:sha256=<SHA-256 of "a"> on a fresh TPM, then tpm2_pcrread.
PCR_1: Final = bytes.fromhex("8c374a53782642f7514d087d26a3e733f1b806009a03e04a43b288ef2fa9f9c0")
# tpm2_policypcr -l sha256:1,8,9 in that state.
POLICY: Final = bytes.fromhex("f52ee52be98c2a6c8d1c5084b040b6d510853760419fd9cedbaa6152142ae7f0")
# tpm2_loadexternal -C o -G rsa of this modulus with exponent 65537.
MODULUS: Final = int(
    "d7020a2eb2ec2887d19f8f17e02db9906296ff4428b582d9e36440af9ef592e3bf62b24f6ce55066cf3153df"
    "49ab6c4330a0c6ed6ba7680bee4103ffc7266ffb5c08112cf1695f6e6990d149550618689dfa152188da5e1d"
    "49ce5e412f892d4619ef5293550dcf5be64425d5062dc9f7934fb15a1c4284b863870c214f1962a4c6d0f67b"
    "0f2a7e59a684d6fa10877d3851ca40a10f9e55a1af7e4628f6b91ac61b87da79b752d26cb79e935b74513e02"
    "dc6e06e9f0ebad02a9b285558ffec388d8e6e3cc2b20c3af1d1e2b06f214860bfaafecd33349592e57fc0ead"
    "1f0f22301ff8b1eace44e7616da8acbd6de49548d93d0b8155414c28374192b332514dd3",
    16,
)
NAME: Final = bytes.fromhex("000ba8cb8fa752e37e771b767f73eb39bf2cd136d0763dd956ca25e24d943b94dce1")
# tpm2_policyauthorize with that key.
AUTHORIZED: Final = bytes.fromhex(
    "552396916434495e06ce97ad6b031649ef3769244594f0874c42d2f20f408884"
)


def values() -> dict[int, bytes]:
    return {1: PCR_1, 8: tpm.ZERO_DIGEST, 9: tpm.ZERO_DIGEST}


def test_pcr_extend_agrees_with_the_tpm() -> None:
    assert tpm.pcr_extend(tpm.ZERO_DIGEST, hashlib.sha256(b"a").digest()) == PCR_1


def test_policy_pcr_agrees_with_the_tpm() -> None:
    assert tpm.policy_pcr(values()) == POLICY


def test_policy_pcr_takes_pcrs_by_index_and_not_by_insertion() -> None:
    turned = dict(reversed(values().items()))

    assert tpm.policy_pcr(turned) == POLICY


@pytest.mark.parametrize("pcr", [1, 8, 9])
def test_policy_pcr_of_another_value_differs(pcr: int) -> None:
    assert tpm.policy_pcr(values() | {pcr: b"\1" * 32}) != POLICY


def test_policy_pcr_of_other_pcrs_differs() -> None:
    assert tpm.policy_pcr({0: PCR_1, 8: tpm.ZERO_DIGEST, 9: tpm.ZERO_DIGEST}) != POLICY


def test_key_name_and_policy_authorize_agree_with_the_tpm() -> None:
    name = tpm.key_name(MODULUS, 65537)

    assert name == NAME
    assert tpm.policy_authorize(name) == AUTHORIZED


def test_another_key_gives_another_policy() -> None:
    other = tpm.key_name(MODULUS + 2, 65537)

    assert other != NAME
    assert tpm.policy_authorize(other) != AUTHORIZED


def test_pcr_selection_sets_the_bits_of_its_pcrs() -> None:
    assert tpm.pcr_selection([23, 0]).hex() == "00000001000b03010080"
    assert tpm.pcr_selection([8, 8]) == tpm.pcr_selection([8])


@pytest.mark.parametrize("pcrs", [[], [24], [-1, 8]])
def test_pcr_selection_that_cannot_be_is_refused(pcrs: list[int]) -> None:
    with pytest.raises(UsageError, match="expected indices between 0 and 23"):
        tpm.pcr_selection(pcrs)


def test_pcr_value_of_another_bank_is_refused() -> None:
    with pytest.raises(UsageError, match="PCR 8 has 20 bytes"):
        tpm.policy_pcr({8: bytes(20)})

# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.modules.module_samples import trailer

from bootseal.errors import FormatError
from bootseal.formats import module_signature
from bootseal.formats.module_signature import Appended


@given(st.binary(min_size=1, max_size=90), st.binary(min_size=1, max_size=90))
def test_what_is_appended_is_found_again(content: bytes, message: bytes) -> None:
    module = b"".join(module_signature.append(content, message))

    assert module == content + trailer(message)
    assert module_signature.split(module) == Appended(content=len(content), message=message)


def test_module_without_the_mark_has_no_signature() -> None:
    assert module_signature.split(b"module") is None
    assert module_signature.split(b"module" + trailer(b"message") + b"\0") is None


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"id_type": 0}, "of type 0"),
        ({"id_type": 3}, "of type 3"),
        ({"sig_len": 0}, "with 0 bytes"),
        ({"sig_len": 0xFFFFFFFF}, "with 4294967295 bytes"),
        # All of it, so that nothing would be signed.
        ({"sig_len": 13}, "with 13 bytes"),
        ({"algo": 1}, "01000000000000 in unused fields"),
        ({"hash": 4}, "unused fields"),
        ({"signer_len": 1}, "unused fields"),
        ({"key_id_len": 1}, "unused fields"),
        ({"pad": 1}, "unused fields"),
    ],
)
def test_trailer_that_the_kernel_refuses_is_refused(fields: dict[str, int], reason: str) -> None:
    assert module_signature.split(b"module" + trailer(b"message"))

    with pytest.raises(FormatError, match=reason):
        module_signature.split(b"module" + trailer(b"message", **fields))


def test_trailer_that_is_cut_off_is_refused() -> None:
    with pytest.raises(FormatError, match="no room"):
        module_signature.split(trailer(b"")[1:])


def test_message_without_bytes_is_not_appended() -> None:
    with pytest.raises(FormatError, match="has 0 bytes"):
        module_signature.append(b"module", b"")

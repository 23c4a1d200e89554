# SPDX-License-Identifier: MIT
from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseal.errors import UsageError
from bootseal.keys.signers import pkcs11_uri


def test_every_part_is_read() -> None:
    uri = pkcs11_uri.parse(
        "pkcs11:token=My%20token;serial=0f;manufacturer=Acme;model=v1;slot-id=3;object=fit-1;"
        "id=%01%ff;type=private?module-path=/usr/lib/x.so&pin-source=file:///etc/pin"
    )

    assert uri == pkcs11_uri.Pkcs11Uri(
        token="My token",  # noqa: S106 - a name
        serial="0f",
        manufacturer="Acme",
        model="v1",
        slot_id=3,
        object="fit-1",
        id=b"\x01\xff",
        module_path=Path("/usr/lib/x.so"),
        pin_file=Path("/etc/pin"),
    )
    assert uri.key_text == "object='fit-1' id=01ff"


@pytest.mark.parametrize("source", ["/etc/pin", "file:/etc/pin", "file:///etc/pin"])
def test_pin_source_is_a_path_or_a_file_uri(source: str) -> None:
    assert pkcs11_uri.parse(f"pkcs11:?pin-source={source}").pin_file == Path("/etc/pin")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("file:/x", "expected it to start with pkcs11:"),
        ("pkcs11:tokn=x", "has a part 'tokn'"),
        ("pkcs11:token=x?tokn=x", "has a part 'tokn'"),
        ("pkcs11:token=x;token=y", "has 'token' twice"),
        ("pkcs11:token=", "the value of 'token'"),
        ("pkcs11:token", "the value of 'token'"),
        ("pkcs11:token=a%2", "not percent-encoded"),
        ("pkcs11:token=a b", "not percent-encoded"),
        ("pkcs11:token=%ff", "is not UTF-8"),
        ("pkcs11:slot-id=x", "'slot-id' .* is not a number"),
        (f"pkcs11:slot-id={'1' * 5000}", "'slot-id' .* is not a number"),
        ("pkcs11:type=cert", "expected type=private"),
        ("pkcs11:?module-path=x.so", "expected an absolute path"),
        ("pkcs11:?pin-source=|cat /x", "not percent-encoded"),
        ("pkcs11:?pin-source=%7ccat", "is not a file"),
        ("pkcs11:?pin-source=https://x/", "is not a file"),
        ("pkcs11:?module-name=softhsm2", "has a part 'module-name'"),
    ],
)
def test_malformed_uri_is_refused(uri: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        pkcs11_uri.parse(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "pkcs11:token=x?pin-value=4711",
        "pkcs11:token=x;pin-value=4711",
        "pkcs11:nonsense?pin-value=4711&pin-value=4711",
    ],
)
def test_pin_in_the_uri_is_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(UsageError, match="contains a PIN") as refusal:
        pkcs11_uri.parse(uri)

    assert "4711" not in refusal.value.message + refusal.value.hint


def test_object_is_added_to_a_uri_without_a_key_only() -> None:
    assert pkcs11_uri.with_object("pkcs11:", "a") == "pkcs11:object=a"
    assert pkcs11_uri.with_object("pkcs11:token=x", "a") == "pkcs11:token=x;object=a"
    query = "?module-path=/x.so"
    assert (
        pkcs11_uri.with_object(f"pkcs11:token=x{query}", "a") == f"pkcs11:token=x;object=a{query}"
    )
    for uri in ("pkcs11:object=b", "pkcs11:id=%01"):
        assert pkcs11_uri.with_object(uri, "a") == uri


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(UsageError):
        pkcs11_uri.parse(f"pkcs11:{text}")

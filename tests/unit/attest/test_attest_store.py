# SPDX-License-Identifier: MIT
"""The verifier's memory: a challenge is answered once, in its time, by the device it was for."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bootseal.attest.store import Record, Store
from bootseal.errors import FormatError, UsageError, VerificationRefused

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_800_000_000


def record(name: str) -> Record:
    return Record(name=name, ek_certificate="", ek_issuer="", ak="", ak_name="", secret_sha256="")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path)
    made.save(record("dev-1"))
    return made


def test_record_is_read_as_it_was_saved(store: Store) -> None:
    assert store.record("dev-1") == record("dev-1")
    assert store.known("dev-1")
    assert not store.known("dev-2")


def test_challenge_is_taken_once(store: Store) -> None:
    asked = store.ask("dev-1", now=NOW, validity=60)
    nonce = bytes.fromhex(asked.nonce)

    assert store.take(nonce, now=NOW + 60) == asked
    with pytest.raises(VerificationRefused, match="was answered before"):
        store.take(nonce, now=NOW)


def test_challenge_is_taken_by_one_of_many(store: Store) -> None:
    nonce = bytes.fromhex(store.ask("dev-1", now=NOW, validity=60).nonce)

    def take(_: int) -> bool:
        try:
            store.take(nonce, now=NOW)
        except VerificationRefused:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(32))) == 1


def test_challenge_that_expired_is_refused_and_gone(store: Store) -> None:
    nonce = bytes.fromhex(store.ask("dev-1", now=NOW, validity=60).nonce)

    with pytest.raises(VerificationRefused, match="expired 1 seconds ago"):
        store.take(nonce, now=NOW + 61)
    with pytest.raises(VerificationRefused, match="was answered before"):
        store.take(nonce, now=NOW)


def test_nonces_are_long_and_never_the_same(store: Store) -> None:
    nonces = {store.ask("dev-1", now=NOW, validity=60).nonce for _ in range(20)}

    assert len(nonces) == 20
    assert {len(nonce) for nonce in nonces} == {64}


def test_old_challenges_are_forgotten(store: Store, tmp_path: Path) -> None:
    asked = store.ask("dev-1", now=NOW, validity=60)
    path = tmp_path / "challenges" / f"{asked.nonce}.json"
    os.utime(path, (NOW, NOW))

    store.ask("dev-1", now=NOW + 25 * 3600, validity=60)

    assert not path.exists()


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".x", "x" * 65, "a\n"])
def test_name_that_is_no_file_name_is_refused(store: Store, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a device"):
        store.record(name)


def test_device_that_is_not_known_cannot_be_asked(store: Store) -> None:
    with pytest.raises(UsageError, match="knows no device 'dev-2'"):
        store.ask("dev-2", now=NOW, validity=60)


@pytest.mark.parametrize("damage", ["", "[]", '{"schema":"bootseal.attest-device/1"}'])
def test_damaged_record_is_malformed(store: Store, tmp_path: Path, damage: str) -> None:
    (tmp_path / "devices" / "dev-1.json").write_text(damage)

    with pytest.raises(FormatError):
        store.record("dev-1")


def test_record_with_half_a_byte_of_a_key_is_malformed(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "devices" / "dev-1.json"
    path.write_text(path.read_text().replace('"ak": ""', '"ak": "abc"'))

    with pytest.raises(FormatError, match="'ak' is not bytes"):
        store.record("dev-1")


def test_memory_is_closed_to_others(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.save(record("dev-1"))

    assert (tmp_path / "store/devices").stat().st_mode & 0o077 == 0
    assert (tmp_path / "store/devices/dev-1.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("same", ["ek_key", "ek_certificate", "ak_name"])
def test_one_tpm_is_not_two_devices(store: Store, same: str) -> None:
    first = replace(record("dev-2"), ek_key="11", ek_certificate="22", ak_name="33")
    other = replace(record("dev-3"), ek_key="44", ek_certificate="55", ak_name="66")
    again = replace(
        first,
        name="dev-4",
        ek_key="11" if same == "ek_key" else "77",
        ek_certificate="22" if same == "ek_certificate" else "88",
        ak_name="33" if same == "ak_name" else "99",
    )
    for each in (first, first, other):
        store.admit(each)

    with pytest.raises(VerificationRefused, match="is already enrolled as 'dev-2'"):
        store.admit(again)
    assert not store.known("dev-4")

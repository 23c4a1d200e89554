# SPDX-License-Identifier: MIT
"""Every file of a release changed, removed, swapped or replaced: refused, and for what it is."""

from __future__ import annotations

import base64
import json
import os
import shutil
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest
from tests import evidence_samples as samples
from tests.evidence_samples import ARTEFACTS, BUNDLE, REPORT, STATEMENTS

from bootseal.evidence import companions, envelope, listing, sbom

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.evidence.conftest import Releases

pytestmark = [pytest.mark.tool("mksquashfs"), pytest.mark.slow]

FILES: Final = (
    *("device.json", *ARTEFACTS.values(), BUNDLE, REPORT, sbom.FILE_NAME),
    *(companions.APPROVED, companions.MATRIX),
)
PLACES: Final = {name: f"evidence/{name}.intoto.json" for name in STATEMENTS}


class Mutation(NamedTuple):
    """What is done to a file, and the finding it comes to.

    Attributes:
        change: Gets the path of the file, and that of the other release's.
        finding: Its id.
    """

    change: Callable[[Path, Path], None]
    finding: str


def bytes_to(change: Callable[[bytes], bytes]) -> Callable[[Path, Path], None]:
    def write(path: Path, other: Path) -> None:
        del other
        path.write_bytes(change(path.read_bytes()))

    return write


def flipped(at: Callable[[int], int]) -> Callable[[Path, Path], None]:
    def change(data: bytes) -> bytes:
        place = at(len(data))
        return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]

    return bytes_to(change)


def replaced(make: Callable[[Path], object]) -> Callable[[Path, Path], None]:
    def change(path: Path, other: Path) -> None:
        del other
        path.unlink()
        make(path)

    return change


def renamed(path: Path, other: Path) -> None:
    del other
    path.rename(path.with_name(f"{path.name}.old"))


def swapped(path: Path, other: Path) -> None:
    path.write_bytes(other.read_bytes())


def linked(path: Path, other: Path) -> None:
    path.unlink()
    path.symlink_to(other)


OF_FILES: Final = {
    "first bit": Mutation(flipped(lambda _: 0), "evidence.changed"),
    "middle bit": Mutation(flipped(lambda size: size // 2), "evidence.changed"),
    "last bit": Mutation(flipped(lambda size: size - 1), "evidence.changed"),
    "a byte less": Mutation(bytes_to(lambda data: data[:-1]), "evidence.changed"),
    "a byte more": Mutation(bytes_to(lambda data: data + b"\n"), "evidence.changed"),
    "empty": Mutation(bytes_to(lambda _: b""), "evidence.changed"),
    "swapped": Mutation(swapped, "evidence.changed"),
    "removed": Mutation(lambda path, _: path.unlink(), "evidence.missing"),
    "renamed": Mutation(renamed, "evidence.missing"),
    "a directory": Mutation(replaced(lambda path: path.mkdir()), "evidence.missing"),
    "a link to the other": Mutation(linked, "evidence.kind"),
    "a FIFO": Mutation(replaced(os.mkfifo), "evidence.kind"),
}


def document(change: Callable[[dict[str, object]], object]) -> Callable[[Path, Path], None]:
    """Change an envelope as a document, and write it as it is written."""

    def edit(data: bytes) -> bytes:
        found = json.loads(data)
        change(found)
        return json.dumps(found, separators=(",", ":")).encode() + b"\n"

    return bytes_to(edit)


def with_payload(change: Callable[[bytes], bytes]) -> Callable[[Path, Path], None]:
    def edit(found: dict[str, object]) -> None:
        payload = change(base64.b64decode(str(found["payload"])))
        found["payload"] = base64.b64encode(payload).decode()

    return document(edit)


def signatures(change: Callable[[list[dict[str, str]]], object]) -> Callable[[Path, Path], None]:
    return document(lambda found: change(found["signatures"]))  # type: ignore[arg-type]


def by_another_key(path: Path, other: Path) -> None:
    del other
    payload = envelope.parse(path.read_bytes(), "it").payload
    path.write_bytes(envelope.sign(payload, samples.signer(number=2)))


def claimed_by_another_key(path: Path, other: Path) -> None:
    """Sign with another key, and name the right one."""
    by_another_key(path, other)
    right = samples.signer().public_key.fingerprint()
    signatures(lambda each: each[0].update(keyid=right))(path, other)


def signed_again(change: Callable[[bytes], bytes]) -> Callable[[Path, Path], None]:
    """Have the right key sign another payload."""

    def write(path: Path, other: Path) -> None:
        del other
        payload = change(envelope.parse(path.read_bytes(), "it").payload)
        path.write_bytes(envelope.sign(payload, samples.signer()))

    return write


OF_STATEMENTS: Final = {
    "another member": Mutation(document(lambda d: d.update(x=1)), "evidence.form"),
    "no payloadType": Mutation(document(lambda d: d.pop("payloadType")), "evidence.form"),
    "another payloadType": Mutation(
        document(lambda d: d.update(payloadType="text/plain")), "evidence.form"
    ),
    "a second signature": Mutation(signatures(lambda s: s.append(s[0])), "evidence.form"),
    "no signature": Mutation(signatures(lambda s: s.clear()), "evidence.form"),
    "another member of the signature": Mutation(
        signatures(lambda s: s[0].update(cert="")), "evidence.form"
    ),
    "base64 for URLs": Mutation(
        signatures(
            lambda s: s[0].update(
                sig=base64.urlsafe_b64encode(base64.b64decode(s[0]["sig"]) + b"\xff\xfe").decode()
            )
        ),
        "evidence.form",
    ),
    "a line end": Mutation(bytes_to(lambda data: data + b"\n"), "evidence.form"),
    "a space": Mutation(bytes_to(lambda data: data.replace(b":", b": ", 1)), "evidence.form"),
    "an escape": Mutation(
        bytes_to(lambda data: data.replace(b'"payload"', b'"p\\u0061yload"')), "evidence.form"
    ),
    "a member twice": Mutation(
        bytes_to(lambda data: b'{"payload":"",' + data[1:]), "evidence.form"
    ),
    "empty": Mutation(bytes_to(lambda _: b""), "evidence.form"),
    "cut": Mutation(bytes_to(lambda data: data[: len(data) // 2]), "evidence.form"),
    "a bit of the payload": Mutation(
        with_payload(lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:]),
        "evidence.signature",
    ),
    "a bit of the signature": Mutation(
        signatures(
            lambda s: s[0].update(sig=("A" if s[0]["sig"][0] != "A" else "B") + s[0]["sig"][1:])
        ),
        "evidence.signature",
    ),
    "another key": Mutation(by_another_key, "evidence.key"),
    "another key that names the right one": Mutation(claimed_by_another_key, "evidence.signature"),
    "no keyid": Mutation(signatures(lambda s: s[0].update(keyid="")), "evidence.key"),
    "a payload in another form": Mutation(
        signed_again(lambda data: data.replace(b'":', b'": ', 1)), "evidence.form"
    ),
    "a payload with another member": Mutation(
        signed_again(lambda data: data[:-1] + b',"x":1}'), "evidence.form"
    ),
    "removed": Mutation(lambda path, _: path.unlink(), "evidence.missing"),
    "a directory": Mutation(replaced(lambda path: path.mkdir()), "evidence.missing"),
    "a link to the other": Mutation(linked, "evidence.kind"),
    "a FIFO": Mutation(replaced(os.mkfifo), "evidence.kind"),
}

CASES: Final = [
    *((path, name, each) for path in FILES for name, each in OF_FILES.items()),
    *((path, name, each) for path in PLACES.values() for name, each in OF_STATEMENTS.items()),
    *(
        (place, "swapped", Mutation(swapped, "evidence.foreign"))
        for name, place in PLACES.items()
        if name != listing.RELEASE
    ),
]


def test_there_are_a_hundred_mutations() -> None:
    assert len(CASES) >= 100


@pytest.mark.parametrize("path", [*FILES, *PLACES.values()])
def test_changed_release_is_refused_for_what_was_changed(
    releases: Releases,
    release: Path,
    refused: Callable[..., dict[str, str]],
    path: str,
) -> None:
    assert refused(release) == {}
    wrong = []
    for place, name, mutation in CASES:
        if place != path:
            continue
        mutation.change(release / path, releases.second / path)
        found = refused(release)
        expected = {mutation.finding: path}
        if name == "renamed":
            expected["evidence.extra"] = f"{path}.old"
        if found != expected:
            wrong.append((name, found))
        for left in (release / path, release / f"{path}.old"):
            if left.is_dir():
                left.rmdir()
            else:
                left.unlink(missing_ok=True)
        shutil.copy(releases.first / path, release / path)
    assert wrong == []
    assert refused(release) == {}


@pytest.mark.parametrize(
    "name",
    ["more", "evidence/README", "evidence/more.intoto.json", "reports/more", "evidence/x/y", "é"],
)
def test_superfluous_file_is_refused(
    release: Path, refused: Callable[..., dict[str, str]], name: str
) -> None:
    (release / name).parent.mkdir(exist_ok=True)
    (release / name).write_bytes(b"{}")
    assert refused(release) == {"evidence.extra": name}


def test_statement_and_file_of_another_release_are_both_named(
    releases: Releases, release: Path, refused: Callable[..., dict[str, str]]
) -> None:
    for path in ("fit.itb", PLACES["fit"]):
        shutil.copy(releases.second / path, release / path)
    assert refused(release) == {"evidence.changed": "fit.itb", "evidence.foreign": PLACES["fit"]}


def test_list_of_another_release_names_other_files(
    releases: Releases, release: Path, refused: Callable[..., dict[str, str]]
) -> None:
    shutil.copy(releases.second / PLACES["release"], release / PLACES["release"])
    assert set(refused(release)) == {"evidence.changed", "evidence.foreign"}


def test_whole_other_release_is_told_by_its_name(
    releases: Releases, refused: Callable[..., dict[str, str]]
) -> None:
    assert refused(releases.second, release="2.0", device="sample") == {}
    assert refused(releases.second, release="1.0") == {"evidence.release": PLACES["release"]}
    assert refused(releases.second, device="other") == {"evidence.release": PLACES["release"]}

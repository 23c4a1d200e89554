# SPDX-License-Identifier: MIT
"""What statements say, what no evidence is made of, and what a signer's mistake comes to."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests import evidence_samples as samples
from tests import update_samples
from tests.evidence_samples import BUILDER, COMMIT, request

from bootseal import device as devices
from bootseal.device import Firmware, Input
from bootseal.errors import FormatError, UsageError, VerificationRefused
from bootseal.evidence import envelope, make, sources, statement, verify
from bootseal.evidence.verify import Wanted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.evidence.conftest import Releases

    from bootseal.evidence.statement import ProvenanceStatement

pytestmark = pytest.mark.tool("mksquashfs")


def read(directory: Path, name: str) -> ProvenanceStatement:
    payload = envelope.parse(samples.envelope(directory, name).read_bytes(), name).payload
    return statement.parse_provenance(payload, name)


def test_statement_says_what_the_device_is(releases: Releases) -> None:
    device = devices.load(releases.first)
    found = read(releases.first, "disk")
    digest = hashlib.sha256((releases.first / "disk.img").read_bytes()).hexdigest()
    assert [(each.name, each.digest) for each in found.subject] == [
        ("disk.img", {"sha256": digest})
    ]
    built = found.predicate.buildDefinition
    facts = built.internalParameters
    assert (facts.rollbackIndex, facts.keys, facts.login) == (0, device.keys, False)
    assert facts.slots["b"].rootHash == device.slots[1].root_hash
    assert facts.slots["a"].pcrs == device.slots[0].pcrs
    assert built.externalParameters.release == "1.0"
    assert built.externalParameters.configuration == {"distro": "nodistro", "machine": "qemuarm64"}
    assert built.externalParameters.targets == ("bootseal-image",)
    commits = {each.uri: each.digest for each in built.resolvedDependencies if each.uri}
    assert commits == {
        f"git+https://example.com/core@{COMMIT[::-1]}": {"gitCommit": COMMIT[::-1]},
        f"git+https://example.com/main.git@{COMMIT}": {"gitCommit": COMMIT},
    }
    inputs = {each.name: each.digest["sha256"] for each in built.resolvedDependencies[2:]}
    assert inputs == {
        "kas dump": hashlib.sha256(samples.kas()).hexdigest(),
        "u-boot": "1" * 64,
        "recipes/a.cfg": "2" * 64,
    }
    assert found.predicate.runDetails.builder.id == BUILDER


def test_each_statement_is_about_its_files(releases: Releases) -> None:
    about = {
        name: [each.name for each in read(releases.first, name).subject]
        for name in samples.STATEMENTS
        if name != "release"
    }
    assert about == {
        "bundle": ["release.raucb"],
        "disk": ["disk.img"],
        "firmware": ["u-boot.dtb"],
        "fit": ["fit.itb", "tpm2-pcr-signature.json"],
        "sbom": ["sbom.spdx.json"],
    }


def test_evidence_is_the_same_each_time(release: Path) -> None:
    def evidence() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (release / "evidence").iterdir()}

    before = evidence()
    samples.sign(release)
    assert evidence() == before


def test_evidence_of_a_new_release_takes_the_place_of_the_old(release: Path) -> None:
    (release / samples.BUNDLE).unlink()
    samples.sign(release, "1.1")
    assert not samples.envelope(release, "bundle").exists()
    wanted = Wanted(key=samples.signer().public_key, release="1.1")
    assert verify.verify(release, wanted).errors == ()


@pytest.mark.parametrize("role", samples.ARTEFACTS)
def test_no_evidence_of_an_artefact_that_is_another(release: Path, role: str) -> None:
    path = release / samples.ARTEFACTS[role]
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(VerificationRefused, match=rf"is not the {role} that device\.json lists"):
        make.payloads(request(release))
    path.unlink()
    with pytest.raises(UsageError, match="is missing, which"):
        make.payloads(request(release))


def test_no_evidence_of_what_is_not_a_file(release: Path) -> None:
    (release / "latest").symlink_to("disk.img")
    with pytest.raises(UsageError, match="latest is a link"):
        make.payloads(request(release))


def test_no_evidence_of_a_bundle_with_another_release(releases: Releases, release: Path) -> None:
    (release / samples.BUNDLE).write_bytes((releases.second / samples.BUNDLE).read_bytes())
    with pytest.raises(VerificationRefused, match="brings another boot than the disk has"):
        make.payloads(request(release))
    (release / samples.BUNDLE).write_bytes(update_samples.small("sample", "1"))
    with pytest.raises(VerificationRefused, match="another"):
        make.payloads(request(release))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"release": ""}, "the release is called"),
        ({"release": "../1"}, "the release is called"),
        *(
            ({"builder": builder}, "expected a URI")
            for builder in ("us", "", ":", "https:", "1:us", "ours: here", "https://\xe9")
        ),
        ({"builder": "a:\n"}, "--builder is not a text"),
        ({"invocation": "x" * 2000}, "--invocation is not a text"),
    ],
)
def test_name_that_is_none_is_refused(
    releases: Releases, values: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        make.payloads(request(releases.first, **values))


REPOSITORY = {"url": "https://example.com/a", "commit": COMMIT}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (None, "is at None: expected the id of a commit"),
        ({"url": "https://example.com/a", "branch": "main"}, "is at None"),
        (REPOSITORY | {"commit": "main"}, "is at 'main'"),
        (REPOSITORY | {"commit": COMMIT[:12]}, "expected the id of a commit"),
        (REPOSITORY | {"commit": COMMIT.upper()}, "expected the id of a commit"),
        ({"commit": COMMIT}, "nothing says where the repository 'a' is from"),
        (REPOSITORY | {"url": "https://me:secret@example.com/a"}, "holds a password"),
        (REPOSITORY | {"url": "https://token@example.com/a"}, "holds a password"),
        (REPOSITORY | {"url": "https://example.com/a?private_token=secret"}, "holds a password"),
    ],
)
def test_repository_without_commit_or_place_is_refused(entry: object, message: str) -> None:
    assert sources.of_kas(samples.kas(repos={"a": REPOSITORY}), "it").repositories[0].name == "a"
    with pytest.raises(VerificationRefused, match=message) as caught:
        sources.of_kas(samples.kas(repos={"a": entry}), "it")
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("repositories", [None, [], {}, "x"])
def test_document_without_repositories_is_not_from_kas(repositories: object) -> None:
    with pytest.raises(FormatError, match="names no repositories"):
        sources.of_kas(samples.kas(repos=repositories), "it")


def git(directory: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    command = ["git", "-C", str(directory), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    directory = tmp_path / "source"
    (directory / "recipes").mkdir(parents=True)
    (directory / "recipes/a.cfg").write_bytes(b"y")
    git(directory, "init", "-q")
    git(directory, "add", ".")
    git(directory, "commit", "-q", "-m", "one")
    git(directory, "remote", "add", "origin", "git@example.com:a.git")
    return directory


def built_from(release: Path, content: bytes) -> devices.Device:
    entry = Input(name="recipes/a.cfg", version="", sha256=hashlib.sha256(content).hexdigest())
    return dataclasses.replace(devices.load(release), inputs=(entry,))


@pytest.mark.tool("git")
def test_checkout_gives_its_commit(releases: Releases, checkout: Path) -> None:
    found = sources.of_checkout(checkout, built_from(releases.first, b"y"))
    commit = git(checkout, "rev-parse", "HEAD")
    [repository] = found.repositories
    assert repository.digest == {"gitCommit": commit}
    assert repository.uri == f"git+git@example.com:a.git@{commit}"


@pytest.mark.tool("git")
def test_checkout_that_is_another_is_refused(releases: Releases, checkout: Path) -> None:
    device = built_from(releases.first, b"x")
    with pytest.raises(VerificationRefused, match=r"built from other files .* has: recipes/a\.cfg"):
        sources.of_checkout(checkout, device)
    device = built_from(releases.first, b"y")
    (checkout / "new").touch()
    with pytest.raises(VerificationRefused, match=r"not what was committed: \?\? new"):
        sources.of_checkout(checkout, device)
    (checkout / "new").unlink()
    git(checkout, "remote", "remove", "origin")
    with pytest.raises(UsageError, match="no remote repository"):
        sources.of_checkout(checkout, device)
    with pytest.raises(UsageError, match="not the top of a git checkout"):
        sources.of_checkout(checkout / "recipes", device)


def resigned(
    directory: Path, name: str, change: Callable[[ProvenanceStatement], ProvenanceStatement]
) -> None:
    """Have the right key sign another statement, and a list that names it."""
    payload = statement.emit(change(read(directory, name)))
    samples.envelope(directory, name).write_bytes(envelope.sign(payload, samples.signer()))
    place = samples.envelope(directory, "release")
    found = statement.parse_release(envelope.parse(place.read_bytes(), "it").payload, "it")
    digests = found.predicate.statements | {name: hashlib.sha256(payload).hexdigest()}
    predicate = dataclasses.replace(found.predicate, statements=digests)
    again = statement.emit(dataclasses.replace(found, predicate=predicate))
    place.write_bytes(envelope.sign(again, samples.signer()))


def with_facts(**changes: object) -> Callable[[ProvenanceStatement], ProvenanceStatement]:
    def change(found: ProvenanceStatement) -> ProvenanceStatement:
        built = found.predicate.buildDefinition
        facts = dataclasses.replace(built.internalParameters, **changes)  # type: ignore[arg-type]
        definition = dataclasses.replace(built, internalParameters=facts)
        predicate = dataclasses.replace(found.predicate, buildDefinition=definition)
        return dataclasses.replace(found, predicate=predicate)

    return change


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("rollbackIndex", {"rollbackIndex": 9}),
        ("rollbackIndex", {"rollbackIndex": None}),
        ("keys", {"keys": {"fit": "0" * 64}}),
        ("slots", {"slots": {}}),
        ("login", {"login": True}),
        ("epoch", {"epoch": 1}),
        ("firmware", {"firmware": statement.FirmwareFacts(masterRootKey="0" * 64, counter=1)}),
    ],
)
def test_signed_statement_with_other_facts_is_refused(
    release: Path, refused: Callable[..., dict[str, str]], name: str, values: dict[str, object]
) -> None:
    resigned(release, "fit", with_facts())
    assert refused(release) == {}
    resigned(release, "fit", with_facts(**values))
    assert refused(release) == {"evidence.facts": "evidence/fit.intoto.json"}
    found = verify.verify(release, Wanted(key=samples.signer().public_key))
    assert f"another {name} than" in found.errors[0].message


def test_signed_statement_about_other_files_is_refused(
    release: Path, refused: Callable[..., dict[str, str]]
) -> None:
    def change(found: ProvenanceStatement) -> ProvenanceStatement:
        other = dataclasses.replace(found.subject[0], digest={"sha256": "0" * 64})
        return dataclasses.replace(found, subject=(other, *found.subject[1:]))

    resigned(release, "fit", change)
    assert refused(release) == {"evidence.subject": "evidence/fit.intoto.json"}


def test_list_without_a_statement_is_refused(
    release: Path, refused: Callable[..., dict[str, str]]
) -> None:
    asked = request(release)
    made = make.payloads(asked)
    whole = statement.parse_release(made["release"], "it")
    fewer = {n: digest for n, digest in whole.predicate.statements.items() if n != "firmware"}
    predicate = dataclasses.replace(whole.predicate, statements=fewer)
    made["release"] = statement.emit(dataclasses.replace(whole, predicate=predicate))
    del made["firmware"]
    with pytest.raises(VerificationRefused, match=r"evidence\.incomplete"):
        make.write(asked, made, samples.signer())
    assert refused(release) == {"evidence.incomplete": "evidence/firmware.intoto.json"}


def test_facts_name_what_a_boot_rom_starts(release: Path) -> None:
    from bootseal.evidence import facts  # noqa: PLC0415 - next to what it is for

    rom = Firmware(mrk="a" * 64, counter=3, banks=())
    device = dataclasses.replace(devices.load(release), firmware=rom)
    assert facts.of_device(device, release).firmware == statement.FirmwareFacts(
        masterRootKey="a" * 64, counter=3
    )


def test_directories_of_a_built_device_are_named_and_not_looked_at(release: Path) -> None:
    for name in ("keys", "state"):
        (release / name).mkdir()
        (release / name / "x").touch()
    found = verify.verify(release, Wanted(key=samples.signer().public_key))
    assert found.errors == ()
    assert [(each.id, each.where) for each in found.findings] == [
        ("evidence.outside", "keys"),
        ("evidence.outside", "state"),
    ]


def test_kas_document_is_json() -> None:
    with pytest.raises(FormatError, match="is not JSON"):
        sources.of_kas(b"repos: {}", "it")

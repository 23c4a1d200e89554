# SPDX-License-Identifier: MIT
"""Where a build came from: the repositories that kas names, or a checkout, each at a commit."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from bootseal import device as devices
from bootseal import documents, proc
from bootseal.errors import FormatError, UsageError, VerificationRefused
from bootseal.evidence.statement import COMMIT, SHA256, Resource, is_commit
from bootseal.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from bootseal.device import Device

_SECONDS: Final = 60
_DUMP: Final = "kas dump --format json --resolve-refs --resolve-local FILES > kas.json"
_GIT: Final = ("-c", "core.fsmonitor=false")
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What a build was made from, besides what its `device.json` lists.

    Attributes:
        repositories: Each with the commit.
        configuration: Settings of the build.
        targets: What was built.
        build_type: SLSA's buildType.
    """

    repositories: tuple[Resource, ...]
    configuration: dict[str, str] = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    build_type: str


def of_kas(data: bytes, what: str) -> Sources:
    """Read what `kas dump --format json --resolve-refs --resolve-local` printed.

    Args:
        data: The document.
        what: Where it is from, for messages.

    Raises:
        FormatError: It is not such a document.
        VerificationRefused: A repository has no commit, or nothing says where it is from.
    """
    document = documents.parse(data, what)
    repositories = document.get("repos")
    if not isinstance(repositories, dict) or not repositories:
        raise FormatError(f"{what} names no repositories: expected what kas prints", hint=_DUMP)
    found = [_repository(name, repositories[name], what) for name in sorted(repositories)]
    whole = Resource(name="kas dump", digest={SHA256: hashlib.sha256(data).hexdigest()})
    targets = document.get("target", [])
    named = targets if isinstance(targets, list) else [targets]
    return Sources(
        repositories=(*found, whole),
        configuration={
            name: str(document[name]) for name in ("distro", "machine") if name in document
        },
        targets=tuple(map(str, named)),
        build_type="urn:bootseal:kas-build:1",
    )


def _repository(name: str, entry: object, what: str) -> Resource:
    known = entry if isinstance(entry, dict) else {}
    commit, url = known.get("commit"), known.get("url")
    if not isinstance(commit, str) or not is_commit(commit):
        raise VerificationRefused(
            f"{what}: the repository {name!r} is at {commit!r}: expected the id of a commit",
            hint=_DUMP,
        )
    if not isinstance(url, str) or not url:
        raise VerificationRefused(
            f"{what}: nothing says where the repository {name!r} is from: expected its url",
            hint=f"git remote add origin URL, then {_DUMP}",
        )
    return _at(name, url, commit, what)


def of_checkout(directory: Path, device: Device) -> Sources:
    """Read the commit of a checkout that a device was built from.

    Files that `device.json` names among the inputs, and that are in the checkout, must be those.

    Args:
        directory: The top of the checkout.
        device: The device.

    Raises:
        UsageError: It is not a checkout, or has no remote repository `origin`.
        VerificationRefused: It has changes that are not committed, or the device was built from
            other files.
        ToolError: git is not installed, or failed.
    """
    if not (directory / ".git").exists():
        raise UsageError(f"{directory} is not the top of a git checkout")
    commit = _git(directory, "rev-parse", "--verify", "HEAD")
    url = _git(directory, "config", "--default", "", "--get", "remote.origin.url")
    if not url:
        raise UsageError(
            f"{directory} has no remote repository: nothing says where it is from",
            hint=f"git -C {directory} remote add origin URL",
        )
    changes = _git(directory, "status", "--porcelain", "--untracked-files=normal").splitlines()
    if changes:
        raise VerificationRefused(
            f"{directory} is not what was committed: {_few(changes)}",
            hint="commit, build again, then make the evidence",
        )
    others = [each.name for each in device.inputs if _differs(directory, each.name, each.sha256)]
    if others:
        raise VerificationRefused(
            f"the device was built from other files than {directory} has: {_few(others)}",
            hint="build again from this checkout, or check out the commit that was built",
        )
    name = directory.resolve().name
    return Sources(
        repositories=(_at(name, url, commit, str(directory)),),
        build_type="urn:bootseal:reference-build:1",
    )


def of_inputs(device: Device) -> tuple[Resource, ...]:
    """Return the inputs that `device.json` lists."""
    return tuple(
        Resource(
            name=each.name,
            digest={SHA256: each.sha256},
            annotations={"version": each.version} if each.version else {},
        )
        for each in device.inputs
    )


def _at(name: str, url: str, commit: str, what: str) -> Resource:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise FormatError(f"{what}: the url of the repository {name!r}: {error}") from error
    # Tokens are put into the query as well.
    secret = parts.username or parts.query
    if parts.password or (parts.scheme in {"http", "https"} and secret):
        raise VerificationRefused(
            f"{what}: the url of the repository {name!r} holds a password or token, and evidence "
            "is read by others: expected one without user name, password and query",
            hint="keep passwords in git's credential helper",
        )
    return Resource(name=name, uri=f"git+{url}@{commit}", digest={COMMIT: commit})


def _differs(directory: Path, name: str, digest: str) -> bool:
    path = directory / name
    if "/" not in name or not path.is_file() or path.is_symlink():
        return False
    return devices.digest_file(path) != digest


def _git(directory: Path, *arguments: str) -> str:
    done = proc.run("git", [*_GIT, "-C", directory, *arguments], timeout=_SECONDS)
    return done.stdout.decode(errors="replace").strip()


def _few(names: Iterable[str]) -> str:
    listed = [visible(name) for name in names]
    more = len(listed) - _SHOWN
    return ", ".join(listed[:_SHOWN]) + (f" and {more} more" if more > 0 else "")

# SPDX-License-Identifier: MIT
"""A private apt for the device's architecture, separate from the host's own.

It has its own sources, lists, archives and an empty package database, so it resolves and fetches
what an empty arm64 machine would install, with apt's own signature checks, and changes nothing on
the host.
"""

from __future__ import annotations

import os
import re
import shlex
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal import files, proc
from bootseal.errors import ToolError, UsageError
from bootseal.reference import cache

if TYPE_CHECKING:
    from bootseal.progress import Progress

SUITE: Final = "trixie"
ARCHITECTURE: Final = "arm64"
KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_HOST_SOURCES: Final = Path("/etc/apt")
_HOST_MIRROR: Final = re.compile(r"^[^#]*?(?P<base>https?://\S+?)/debian/?(?=\s|$)", re.MULTILINE)

_SOURCES: Final = """\
Types: deb deb-src
URIs: {mirror}/debian
Suites: {suite}
Components: main
Signed-By: {keyring}

Types: deb deb-src
URIs: {mirror}/debian-security
Suites: {suite}-security
Components: main
Signed-By: {keyring}
"""
_CONFIGURATION: Final = """\
Dir::State "{root}/state";
Dir::State::status "{root}/status";
Dir::Cache "{root}/cache";
Dir::Etc "{root}/etc";
Dir::Log "{root}/log";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Sandbox::User "root";
Acquire::ForceHash "SHA256";
Acquire::Retries "3";
"""
_DIRECTORIES: Final = (
    "etc/apt.conf.d",
    "etc/preferences.d",
    "etc/sources.list.d",
    "etc/trusted.gpg.d",
    "state/lists/partial",
    "cache/archives/partial",
    "cache/unfetched/partial",
    "log",
)
_LISTS_FRESH: Final = 24 * 60 * 60
_URI: Final = re.compile(
    r"'(?P<uri>[^']+)' (?P<file>\S+) (?P<size>\d+) SHA256:(?P<sha256>[0-9a-f]{64})"
)
_APT_HELPER: Final = "/usr/lib/apt/apt-helper"


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file that apt's signed indexes name; `size` is in bytes."""

    uri: str
    file: str
    size: int
    sha256: str

    @property
    def package(self) -> str:
        """Name of the package, read from the file name."""
        return self.file.split("_")[0]

    @property
    def version(self) -> str:
        """Version of the package, read from the file name, epoch included."""
        return urllib.parse.unquote(self.file.split("_")[1])

    @property
    def purl(self) -> str:
        """Package URL of a binary package, as the package-url type deb has it."""
        architecture = self.file.removesuffix(".deb").split("_")[2]
        return package_url(self.package, self.version, architecture)


def package_url(name: str, version: str, architecture: str) -> str:
    """Return the package URL of a package of Debian; `source` is an architecture there.

    >>> package_url("a", "1:2+b1", "all")
    'pkg:deb/debian/a@1%3A2%2Bb1?arch=all&distro=trixie'
    """
    quoted = urllib.parse.quote(version, safe=".-~")
    return f"pkg:deb/debian/{name}@{quoted}?arch={architecture}&distro={SUITE}"


def parse_uris(text: str) -> tuple[Download, ...]:
    """Read what `apt-get --print-uris` prints.

    >>> parse_uris(f"'http://m/a_1%253a2_all.deb' a_1%3a2_all.deb 5 SHA256:{'0' * 64}")[0].version
    '1:2'
    """
    return tuple(
        Download(uri=m["uri"], file=m["file"], size=int(m["size"]), sha256=m["sha256"])
        for m in _URI.finditer(text)
    )


def host_mirror(directory: Path = _HOST_SOURCES) -> str:
    """Return the mirror the host gets its own packages from, without the `/debian` of its path.

    Raises:
        ToolError: The host has no source of Debian's packages.
    """
    for path in (directory / "sources.list", *sorted((directory / "sources.list.d").glob("*"))):
        if path.is_file() and (match := _HOST_MIRROR.search(path.read_text(errors="replace"))):
            return match["base"]
    raise ToolError(
        f"no source below {directory} names a mirror of Debian's packages",
        hint="BOOTSEAL_DEBIAN_MIRROR=URL names one: the part in front of /debian",
    )


class Apt:
    """The private apt below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._environment = {"APT_CONFIG": str(root / "apt.conf")}

    @classmethod
    def prepare(cls, suite: str = SUITE) -> Apt:
        """Set up the private apt in the cache, or take the one that is there.

        Args:
            suite: The release of Debian.

        Raises:
            ToolError: Debian's archive keys are not installed.
            UsageError: The cache directory's name cannot be written in apt's configuration.
        """
        if not KEYRING.exists():
            raise ToolError(
                f"{KEYRING} is missing: Debian's packages cannot be authenticated",
                hint="apt-get install debian-archive-keyring",
            )
        mirror = (os.environ.get("BOOTSEAL_DEBIAN_MIRROR") or host_mirror()).rstrip("/")
        root = cache.directory() / "apt" / cache.key({"mirror": mirror, "suite": suite})
        # Quotes end a value in apt's configuration; make takes neither spaces nor colons.
        if not str(root).isprintable() or set(str(root)) & set('" :'):
            raise UsageError(
                f"the cache directory {str(root)!r} has a space, a colon or a quote in its name",
                hint="BOOTSEAL_CACHE=DIR puts the cache elsewhere",
            )
        for name in _DIRECTORIES:
            (root / name).mkdir(parents=True, exist_ok=True)
        sources = _SOURCES.format(mirror=mirror, suite=suite, keyring=KEYRING)
        text = _CONFIGURATION.format(root=root, architecture=ARCHITECTURE) + _host_proxies()
        (root / "status").touch()
        # Another build's apt may be reading these at this moment.
        _replace(root / "etc/sources.list.d/debian.sources", sources)
        _replace(root / "apt.conf", text)
        return cls(root)

    def update(self, progress: Progress) -> None:
        """Fetch the package lists unless those here are less than a day old.

        Raises:
            ToolError: They cannot be fetched and there are none yet.
        """
        stamp = self.root / "updated"
        with self._locked():
            if stamp.exists() and time.time() - stamp.stat().st_mtime < _LISTS_FRESH:
                return
            try:
                with progress.step("Debian's package lists fetched"):
                    self._run(["update", "-o", "APT::Update::Error-Mode=any"], timeout=180)
            except ToolError as error:
                if not stamp.exists():
                    error.hint = (
                        "check the network; BOOTSEAL_DEBIAN_MIRROR=URL names another mirror"
                    )
                    raise
                progress.note("the package lists could not be refreshed: using the older ones")
                return
            stamp.touch()

    def resolve(self, packages: Sequence[str]) -> tuple[Download, ...]:
        """List the packages, with all they depend on, that an empty machine would need.

        Raises:
            ToolError: A package does not exist or cannot be installed.
        """
        # apt leaves out files it has already, so it is shown an archive directory without any.
        unfetched = f"Dir::Cache::archives={self.root}/cache/unfetched"
        with self._locked():
            done = self._run(
                [*self._install(packages), "--print-uris", "-o", unfetched], timeout=120
            )
        return tuple(sorted(parse_uris(done), key=lambda download: download.file))

    def download(self, packages: Sequence[str], closure: Sequence[Download]) -> list[Path]:
        """Fetch packages and what they depend on; return the files of `closure`."""
        archives = self.root / "cache" / "archives"
        with self._locked(), self._lists_to_blame():
            if not all((archives / item.file).exists() for item in closure):
                self._run([*self._install(packages), "--download-only"], timeout=1800)
        return [archives / item.file for item in closure]

    def source(self, package: str) -> tuple[Download, ...]:
        """List the files of a source package, from the signed index of sources."""
        with self._locked():
            return parse_uris(self._run(["source", "--print-uris", package], timeout=120))

    def fetch(self, download: Download) -> Path:
        """Fetch one file that a signed index names, checking its SHA-256.

        Raises:
            ToolError: It cannot be fetched or is not what the index says.
        """
        target = self.root / "cache" / "sources" / download.file
        if target.exists():
            return target
        target.parent.mkdir(exist_ok=True)
        # apt fetches into the file itself and leaves a failed one behind.
        partial = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            with self._lists_to_blame():
                proc.run(
                    _APT_HELPER,
                    ["download-file", download.uri, partial, f"SHA256:{download.sha256}"],
                    timeout=1800,
                    env=self._environment,
                )
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return target

    def _install(self, packages: Sequence[str]) -> list[str]:
        return ["install", "--yes", "--no-install-recommends", *packages]

    def _run(self, args: Sequence[str], *, timeout: float) -> str:
        done = proc.run("apt-get", args, timeout=timeout, env=self._environment)
        return done.stdout.decode(errors="replace")

    @contextmanager
    def _lists_to_blame(self) -> Iterator[None]:
        """Have the lists fetched anew next time: a mirror drops the versions it replaces."""
        try:
            yield
        except ToolError as error:
            (self.root / "updated").unlink(missing_ok=True)
            error.hint = "check the network and build again: the package lists will be fetched anew"
            raise

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Wait for another build: apt itself fails at once when its directories are in use."""
        with files.locked(self.root / "lock"):
            yield


def _replace(path: Path, text: str) -> None:
    """Write a file in one step: a program that reads it meanwhile gets the old text or the new."""
    if not path.exists() or path.read_text() != text:
        files.write_file(path, text.encode())


def _host_proxies() -> str:
    """Return the host's proxies as apt configuration: nothing else of its settings is wanted."""
    names = ["Acquire::http::Proxy", "Acquire::https::Proxy"]
    pairs = [part for number, name in enumerate(names) for part in (f"P{number}", name)]
    found = shlex.split(proc.run("apt-config", ["shell", *pairs], timeout=60).stdout.decode())
    values = (assignment.split("=", 1) for assignment in found)
    return "".join(f'{names[int(name[1:])]} "{value}";\n' for name, value in values)


def extract(archives: Sequence[Path], tree: Path) -> None:
    """Unpack packages into one tree without running any of their scripts.

    Raises:
        ToolError: A package cannot be unpacked.
    """
    tree.mkdir()
    # base-files carries /bin -> usr/bin and its like, which must be there before anything else.
    for archive in sorted(
        archives, key=lambda path: (not path.name.startswith("base-files_"), path)
    ):
        proc.run("dpkg-deb", ["--extract", archive, tree], timeout=300)

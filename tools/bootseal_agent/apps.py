# SPDX-License-Identifier: MIT
"""Applications: their images downloaded, and a request to the one that installs them as root.

What was downloaded is a file that only the job's words vouch for. The installer copies it and asks
the maker's keys; the two speak by one line in a file each.

Spec: RFC 9110, section 14 (range requests); docs/jobs.md has the two lines.
"""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import re
import secrets
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final
from urllib.parse import urlsplit

from bootseal_agent import files
from bootseal_agent.errors import InstallError, Refusal

if TYPE_CHECKING:
    from bootseal_agent.document import App, Removal

_log: Final = logging.getLogger(__name__)
_CHUNK: Final = 256 << 10
_CONNECTING: Final = 60
_RESERVE: Final = 4 << 20
"""Bytes that stay free on the data partition, for what others write there."""
_COPIES: Final = 2
"""The download, and what the installer makes of it."""
_RESULT: Final = re.compile(rb"([0-9a-f]{16}) (done|failed) ([ -~]{1,300})\n")
_LINE: Final = 400
_RANGE: Final = re.compile(r"bytes (\d{1,16})-\d{1,16}/(\d{1,16})", re.ASCII)
_WHOLE, _PART = 200, 206
_DOWNLOADED: Final = 90
"""Percent of an install that the download is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Apps:
    """The device's applications.

    Attributes:
        ca: The authorities that may have certified where images are, PEM.
        downloads: Directory for images, of the agent's own; an image is called by its digest.
        request: File whose appearance starts the installer; it takes the file away.
        result: Where the installer says what came of it; root's.
        limit: Seconds that a download may take.
        answering: Seconds that a server may take from a request to the end of its headers.
        patience: Seconds that the installer may take.
        pause: Seconds between two looks at the result.
    """

    ca: Path
    downloads: Path
    request: Path
    result: Path = Path("/run/bootseal-app-install/result")
    limit: float = 4 * 3600
    answering: float = 120
    patience: float = 3600
    pause: float = 0.5

    def install(
        self, asked: App, progress: Callable[[int, str], None], unwanted: Callable[[], bool]
    ) -> str:
        """Have an application installed, and return what came of it.

        What an agent before this one downloaded is not downloaded again.

        Args:
            asked: What the job asks for.
            progress: Called with percent, and what is being done.
            unwanted: Tells that the download may end.

        Raises:
            InstallError: It cannot be had, is another image, or was not installed.
        """
        try:
            self._download(asked, progress, unwanted)
        except ssl.SSLCertVerificationError as error:
            raise InstallError(f"the server is refused: {error.verify_message}") from error
        except (OSError, http.client.HTTPException) as error:
            said = f"{error}" or type(error).__name__
            raise InstallError(f"the download failed: {said}", passing=True) from error
        progress(100, "install")
        return self._ask(f"install {asked.name} {asked.version} {asked.sha256} {asked.size}")

    def remove(self, asked: Removal) -> str:
        """Have an application removed, and return what came of it.

        Raises:
            InstallError: It was not removed.
        """
        return self._ask(f"remove {asked.name}")

    def clear(self) -> None:
        """Remove what was downloaded; what cannot be removed is logged, and in nobody's way."""
        self._keep("")

    def _keep(self, name: str) -> None:
        """Remove all downloads but one."""
        try:
            for each in self.downloads.iterdir():
                if each.is_dir() and not each.is_symlink():
                    shutil.rmtree(each, ignore_errors=True)
                elif each.name != name:
                    each.unlink()
        except FileNotFoundError:
            return
        except OSError as error:
            _log.warning("a download is not removed: %s", error)

    def _download(
        self, asked: App, progress: Callable[[int, str], None], unwanted: Callable[[], bool]
    ) -> None:
        self.downloads.mkdir(mode=0o700, exist_ok=True)
        self._keep(asked.sha256)
        place = self.downloads / asked.sha256
        try:
            file = files.appended(place)
        except Refusal as refusal:
            raise InstallError(f"{refusal}") from refusal
        with file:
            there = file.seek(0, os.SEEK_END)
            if there > asked.size:
                file.truncate(0)
                there = 0
            self._check_room(asked.size, there)
            end, size = time.monotonic() + self.limit, there
            while size < asked.size:
                try:
                    self._fetch(asked, file, progress, lambda: _check_wanted(unwanted, end))
                except (OSError, http.client.HTTPException):
                    # As long as there is something new each time, it goes on where it ended.
                    if file.seek(0, os.SEEK_END) <= size:
                        raise
                size = file.seek(0, os.SEEK_END)
            _write_out(file)
            found = _digest(file)
        if found != asked.sha256:
            place.unlink()
            # What was there before may have been garbled, or of another image at the same place.
            message = f"the image has SHA-256 {found}: the job asks for {asked.sha256}"
            raise InstallError(message, passing=there > 0)

    def _check_room(self, size: int, there: int) -> None:
        found = os.statvfs(self.downloads)
        free = found.f_bavail * found.f_frsize
        needed = _COPIES * size - there + _RESERVE
        if free < needed:
            raise InstallError(f"/data is full: {free} bytes are free, {needed} are needed")

    def _fetch(
        self,
        asked: App,
        file: IO[bytes],
        progress: Callable[[int, str], None],
        check_wanted: Callable[[], None],
    ) -> None:
        percent, there = 0, file.seek(0, os.SEEK_END)
        with closing(self._connection(asked.url)) as connection:
            # A range even from the start: the answer then says how long the whole is.
            headers = {"Range": f"bytes={there}-{asked.size - 1}", "Accept-Encoding": "identity"}
            connection.connect()
            with _within(self.answering, connection.sock):
                connection.request("GET", _target(asked.url), headers=headers)
                answer = connection.getresponse()
            with answer:
                size = _beginning(answer, there, asked.size)
                file.truncate(size)
                # What has come, and not a whole chunk: a server that is slow on purpose could take
                # minutes for each byte of it.
                while size < asked.size and (data := answer.read1(min(_CHUNK, asked.size - size))):
                    check_wanted()
                    size += len(data)
                    try:
                        file.write(data)
                    except OSError as error:
                        raise InstallError(f"/data is full: {error}") from error
                    if size * _DOWNLOADED // asked.size > percent:
                        percent = size * _DOWNLOADED // asked.size
                        progress(percent, "download")
        if size < asked.size:
            raise ConnectionError(f"the server has sent {size} bytes of {asked.size}")

    def _connection(self, url: str) -> http.client.HTTPSConnection:
        where = urlsplit(url)
        context = ssl.create_default_context(cafile=str(self.ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        host = where.hostname or ""
        return http.client.HTTPSConnection(host, where.port, timeout=_CONNECTING, context=context)

    def _ask(self, request: str) -> str:
        token = secrets.token_hex(8)
        try:
            files.write(self.request, f"{token} {request}\n".encode())
        except OSError as error:
            raise InstallError(f"the installer cannot be asked: {error}") from error
        end = time.monotonic() + self.patience
        while (found := self._result(token)) is None:
            if time.monotonic() > end:
                raise InstallError(f"the installer says nothing for {self.patience} s")
            time.sleep(self.pause)
        good, said = found
        if not good:
            raise InstallError(said)
        return said

    def _result(self, token: str) -> tuple[bool, str] | None:
        try:
            with files.opened(self.result) as file:
                found = _RESULT.fullmatch(file.read(_LINE))
        except (OSError, Refusal):
            return None
        if found is None or found[1].decode() != token:
            return None
        return found[2] == b"done", found[3].decode()


def _digest(file: IO[bytes]) -> str:
    file.seek(0)
    made = hashlib.sha256()
    while data := file.read(_CHUNK):
        made.update(data)
    return made.hexdigest()


def _target(url: str) -> str:
    """Return the path of a URL, with its query."""
    parts = urlsplit(url)
    return f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"


def _beginning(answer: http.client.HTTPResponse, there: int, size: int) -> int:
    """Return where in the image an answer begins.

    Args:
        answer: What the server sends.
        there: Bytes that are there.
        size: Bytes that the image has to have.
    """
    if answer.status == _WHOLE:
        begin, total = 0, answer.length
    elif answer.status == _PART:
        found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        begin, total = (int(found[1]), int(found[2])) if found else (-1, -1)
        if begin != there:
            raise InstallError(f"the server sends another part than from {there} on")
    else:
        # Nothing is followed: a job names where the image is.
        raise InstallError(f"the server answers with HTTP {answer.status}", passing=True)
    if total != size:
        message = f"the server has an image of {total} bytes: the job asks for {size}"
        raise InstallError(message)
    return begin


@contextmanager
def _within(seconds: float, connection: socket.socket) -> Iterator[None]:
    """End a connection that takes longer than this.

    Its own limit is for each read, and a server may send one byte of a header at a time.
    """

    def cut() -> None:
        with suppress(OSError):
            # Not that of an SSLSocket, which would go on without TLS.
            socket.socket.shutdown(connection, socket.SHUT_RDWR)

    watch = threading.Timer(seconds, cut)
    watch.daemon = True
    end = time.monotonic() + seconds
    watch.start()
    try:
        yield
    except (OSError, http.client.HTTPException):
        if time.monotonic() < end:
            raise
    finally:
        watch.cancel()
    # Headers that were cut off look whole.
    if time.monotonic() >= end:
        raise TimeoutError(f"the server does not answer within {seconds} s")


def _check_wanted(unwanted: Callable[[], bool], end: float) -> None:
    if unwanted():
        raise InstallError("the job is over")
    if time.monotonic() > end:
        raise InstallError("the download takes too long")


def _write_out(file: IO[bytes]) -> None:
    """Have what was written on the disk."""
    try:
        file.flush()
        os.fsync(file.fileno())
    except OSError as error:
        raise InstallError(f"/data is full: {error}") from error

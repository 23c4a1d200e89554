# SPDX-License-Identifier: MIT
"""Applications: what is downloaded, from a real server by TLS, and how the installer is asked."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import threading
import time
from typing import TYPE_CHECKING, Final

import pytest
from tests.agent_samples import REMOVAL
from tests.integration.jobs import image_server
from tests.integration.jobs.site import Authority

from bootseal_agent import apps
from bootseal_agent.apps import Apps
from bootseal_agent.document import App
from bootseal_agent.errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.jobs.image_server import Images

CONTENT: Final = bytes(range(256)) * 4096
RUNS: Final = "version 1.2.0 of hello runs"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(directory=tmp_path_factory.mktemp("ca"), name="authority")


@pytest.fixture
def images(authority: Authority) -> Iterator[Images]:
    with image_server.served(*authority.issue("localhost")) as made:
        made.files["/hello.raw"] = CONTENT
        yield made


@pytest.fixture
def device(authority: Authority, tmp_path: Path) -> Apps:
    return Apps(
        ca=authority.certificate,
        downloads=tmp_path / "downloads",
        request=tmp_path / "request",
        result=tmp_path / "result",
        pause=0.02,
    )


def app(images: Images, **changes: object) -> App:
    made = App(
        name="hello",
        version="1.2.0",
        url=images.url("/hello.raw?X-Amz-Signature=0a"),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        size=len(CONTENT),
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def answering(device: Apps, answer: str = f"done {RUNS}") -> Callable[[], str]:
    """Answer the next request as the installer does; what that was comes from the function."""
    heard: list[str] = []

    def answers() -> None:
        end = time.monotonic() + 60
        while not device.request.exists():
            if time.monotonic() > end:
                return
            time.sleep(0.01)
        text = device.request.read_text()
        device.request.unlink()
        heard.append(text)
        device.result.write_text(f"{text.split()[0]} {answer}\n")

    thread = threading.Thread(target=answers)
    thread.start()

    def said() -> str:
        thread.join(60)
        return heard[0]

    return said


def install(device: Apps, asked: App, heard: list[tuple[int, str]] | None = None) -> str:
    told = heard if heard is not None else []
    return device.install(asked, lambda *each: told.append(each), lambda: False)


def refusal(device: Apps, asked: App) -> InstallError:
    with pytest.raises(InstallError) as caught:
        install(device, asked)
    assert not device.request.exists()
    return caught.value


def download(device: Apps, asked: App) -> Path:
    return device.downloads / asked.sha256


def test_image_is_downloaded_and_the_installer_asked(device: Apps, images: Images) -> None:
    asked, heard = app(images), list[tuple[int, str]]()
    said = answering(device)

    assert install(device, asked, heard) == RUNS

    token, _, rest = said().partition(" ")
    assert len(token) == 16
    assert rest == f"install hello 1.2.0 {asked.sha256} {len(CONTENT)}\n"
    assert download(device, asked).read_bytes() == CONTENT
    assert download(device, asked).stat().st_mode & 0o777 == 0o600
    assert heard[-1] == (100, "install")
    assert [percent for percent, _ in heard] == sorted({percent for percent, _ in heard})
    device.clear()
    assert list(device.downloads.iterdir()) == []
    device.clear()


def test_what_was_downloaded_is_not_downloaded_again(device: Apps, images: Images) -> None:
    asked = app(images)
    for _ in range(2):
        said = answering(device)
        install(device, asked)
        said()
    assert images.asked == [f"bytes=0-{len(CONTENT) - 1}"]


@pytest.mark.parametrize("ranges", [True, False], ids=["parts", "whole only"])
def test_download_goes_on_where_it_ended(device: Apps, images: Images, *, ranges: bool) -> None:
    images.cut, images.ranges = 300_000, ranges
    said = answering(device)

    install(device, app(images))

    said()
    first, second = (int(each.removeprefix("bytes=").partition("-")[0]) for each in images.asked)
    assert (first, 0 < second <= 300_000) == (0, True)
    assert download(device, app(images)).read_bytes() == CONTENT


@pytest.mark.parametrize("there", [CONTENT[:1000], CONTENT + b"more", b""])
def test_download_goes_on_with_what_is_there(device: Apps, images: Images, there: bytes) -> None:
    asked = app(images)
    device.downloads.mkdir()
    download(device, asked).write_bytes(there)
    (device.downloads / "older").write_bytes(b"x")
    said = answering(device)

    install(device, asked)

    said()
    assert [each.name for each in device.downloads.iterdir()] == [asked.sha256]
    assert download(device, asked).read_bytes() == CONTENT


def test_garbled_beginning_is_downloaded_again(device: Apps, images: Images) -> None:
    """The next attempt begins anew; one that did and differs all the same is the last one."""
    asked = app(images)
    device.downloads.mkdir()
    download(device, asked).write_bytes(b"x" * 1000)
    error = refusal(device, asked)
    assert (str(error)[:22], error.passing) == ("the image has SHA-256 ", True)

    images.files["/hello.raw"] = CONTENT[::-1]
    error = refusal(device, asked)
    assert (str(error)[:22], error.passing) == ("the image has SHA-256 ", False)
    assert not download(device, asked).exists()


@pytest.mark.parametrize("code", [301, 307, 403, 404, 500, 503])
def test_answer_that_is_no_image_may_pass(device: Apps, images: Images, code: int) -> None:
    images.codes = [code]
    error = refusal(device, app(images))
    assert (str(error), error.passing) == (f"the server answers with HTTP {code}", True)


def test_image_of_another_size_is_refused(device: Apps, images: Images) -> None:
    for ranges in (True, False):
        images.ranges, images.longer = ranges, 1
        error = refusal(device, app(images))
        size = len(CONTENT)
        assert str(error) == f"the server has an image of {size + 1} bytes: the job asks for {size}"
        assert not error.passing


def test_other_part_than_was_asked_for_is_refused(device: Apps, images: Images) -> None:
    images.shift = 5
    assert str(refusal(device, app(images))) == "the server sends another part than from 0 on"


def test_server_of_another_authority_is_refused(
    device: Apps, images: Images, tmp_path: Path
) -> None:
    other = Authority(directory=tmp_path / "other", name="other")
    error = refusal(dataclasses.replace(device, ca=other.certificate), app(images))
    assert str(error).startswith("the server is refused: ")
    assert images.asked == []


def test_server_that_does_not_listen_may_pass(device: Apps, images: Images) -> None:
    error = refusal(device, app(images, url="https://localhost:1/hello.raw"))
    assert "refused" in str(error)
    assert error.passing


def test_full_disk_is_named_before_anything_is_asked_for(
    device: Apps, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = 2 * len(CONTENT) + apps._RESERVE
    genuine = os.statvfs

    def nearly_full(path: Path) -> object:
        found = genuine(path)
        return type("Full", (), {"f_bavail": needed // 512 - 1, "f_frsize": 512, "of": found})

    monkeypatch.setattr(os, "statvfs", nearly_full)
    error = refusal(device, app(images))
    assert str(error) == f"/data is full: {needed - 512} bytes are free, {needed} are needed"
    assert (error.passing, images.asked) == (False, [])


def test_disk_that_fills_up_is_named(
    device: Apps, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    error = refusal(device, app(images))
    assert (str(error)[:15], error.passing) == ("/data is full: ", False)


def test_download_ends_when_the_job_is_over(device: Apps, images: Images) -> None:
    images.gate.clear()
    over = threading.Event()
    caught: list[str] = []

    def works() -> None:
        try:
            device.install(app(images), lambda *_: over.set(), over.is_set)
        except InstallError as error:
            caught.append(str(error))

    thread = threading.Thread(target=works)
    thread.start()
    assert over.wait(60)
    images.gate.set()
    thread.join(60)
    assert caught == ["the job is over"]
    assert 0 < download(device, app(images)).stat().st_size < len(CONTENT)


def test_download_does_not_take_for_ever(device: Apps, images: Images) -> None:
    error = refusal(dataclasses.replace(device, limit=-1), app(images))
    assert str(error) == "the download takes too long"


def test_slow_server_does_not_hold_a_download_beyond_its_limit(
    device: Apps, images: Images
) -> None:
    images.slow = 0.1
    began = time.monotonic()
    error = refusal(dataclasses.replace(device, limit=1), app(images))
    assert str(error) == "the download takes too long"
    assert time.monotonic() - began < 30


def test_server_that_never_ends_its_headers_is_left(device: Apps, images: Images) -> None:
    images.header = 0.05
    began = time.monotonic()
    error = refusal(dataclasses.replace(device, answering=1), app(images))
    assert str(error) == "the download failed: the server does not answer within 1 s"
    assert error.passing
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("kind", ["link", "FIFO", "directory"])
def test_download_is_not_written_through_what_is_there(
    device: Apps, images: Images, tmp_path: Path, kind: str
) -> None:
    asked = app(images)
    device.downloads.mkdir()
    place, victim = download(device, asked), tmp_path / "victim"
    victim.write_text("text")
    if kind == "link":
        place.symlink_to(victim)
    elif kind == "FIFO":
        os.mkfifo(place)
    else:
        place.mkdir()
    if kind == "directory":
        said = answering(device)
        assert install(device, asked) == RUNS
        said()
    else:
        refusal(device, asked)
    assert victim.read_text() == "text"


def test_removal_is_asked_for(device: Apps) -> None:
    said = answering(device, "done hello is removed")
    assert device.remove(REMOVAL) == "hello is removed"
    assert said().partition(" ")[2] == "remove hello\n"


def test_reason_of_the_installer_is_the_jobs(device: Apps, images: Images) -> None:
    said = answering(device, "failed the image is not signed")
    with pytest.raises(InstallError, match=r"^the image is not signed$"):
        install(device, app(images))
    said()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0123456789abcdef done of another request\n",
        "{} done\n",
        "{} good it runs\n",
        "{} done it runs",
        "{} done it\nruns\n",
        "{} done \x1b[2J\n",
        "{} done " + "a" * 301 + "\n",
    ],
)
def test_answer_of_another_form_is_no_answer(device: Apps, text: str) -> None:
    """Only root can write there, so one that was cut off would be the reason."""
    impatient = dataclasses.replace(device, patience=0.5)

    def answers() -> None:
        while not impatient.request.exists():
            if over.wait(0.01):
                return
        impatient.result.write_text(text.format(impatient.request.read_text().split()[0]))

    over = threading.Event()
    thread = threading.Thread(target=answers)
    thread.start()
    with pytest.raises(InstallError, match=r"the installer says nothing for 0\.5 s"):
        impatient.remove(REMOVAL)
    over.set()
    thread.join(60)

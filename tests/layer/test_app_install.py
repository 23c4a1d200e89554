# SPDX-License-Identifier: MIT
"""The installer of applications, in every shell at hand, with doubles of systemd and bootseal-app.

An image is a file of two lines here: `NAME VERSION`, and how the application behaves.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

LAYER = Path(__file__).parents[2] / "meta-secureboot"
FILES = LAYER / "dynamic-layers/meta-rauc/recipes-core/bootseal-agent/files"
SHELLS = [
    pytest.param(shell, id=shell[0])
    for shell in (("dash",), ("busybox", "sh"), ("bash",))
    if shutil.which(shell[0])
]
TOKEN = "0123456789abcdef"  # noqa: S105 - what an answer is recognised by
# A double of bootseal-app: `other` is an application that the release does not know.
APP = """\
[ "$2" = other ] && { echo "refused: the release has no application $2" >&2; exit 1; }
[ "$1" = rules ] && { echo minimum=1; echo health=2; exit; }
read -r name version <"$3"
case $(tail -n 1 "$3") in
unsigned) echo "refused: the image is not signed" >&2; exit 1 ;;
esac
[ "$name" = "$2" ] || { echo "refused: the image is the application $name, not $2" >&2; exit 1; }
echo "version=$version"
echo "root-hash=00"
"""
# A double of systemctl, which starts the newest image as systemd would choose it.
SYSTEMCTL = """\
root=@ROOT@
echo "$*" >>$root/calls
case $1 in
restart)
	rm -f $root/active $root/seen
	newest=$(ls $root/apps/hello.raw.v | sort -V | tail -n 1)
	[ -n "$newest" ] || exit 1
	case $(tail -n 1 "$root/apps/hello.raw.v/$newest") in
	stops) exit 1 ;;
	esac
	echo "$newest" >$root/active
	;;
stop) rm -f $root/active ;;
show)
	state=inactive result=exit-code count=0
	if [ -e $root/active ]; then
		state=active result=success
		case $(tail -n 1 "$root/apps/hello.raw.v/$(cat $root/active)") in
		crashes)
			echo x >>$root/seen
			[ "$(wc -l <$root/seen)" -lt 2 ] || count=1 result=signal
			;;
		esac
	fi
	printf 'ActiveState=%s\\nNRestarts=%s\\nResult=%s\\n' $state $count $result
	;;
esac
exit 0
"""


@dataclass
class Device:
    """Directories and programs in the place of the device's."""

    root: Path
    shell: tuple[str, ...] = ("dash",)
    tools: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("agent", "downloads", "apps", "result", "report", "bin"):
            (self.root / name).mkdir(mode=0o700)
        text = (FILES / "app-install").read_text()
        for old, new in {
            "/run/bootseal-agent": "agent",
            "/data/agent/downloads": "downloads",
            "/data/apps": "apps",
            "/run/bootseal-app-install": "result",
            "/run/bootseal/apps": "report",
        }.items():
            assert old in text
            text = text.replace(old, str(self.root / new))
        (self.root / "script").write_text(text)
        self.tool("app", APP)
        self.tool("systemctl", SYSTEMCTL.replace("@ROOT@", str(self.root)))
        self.tool("sleep", ":")

    def tool(self, name: str, body: str) -> None:
        path = self.root / "bin" / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    @property
    def place(self) -> Path:
        return self.root / "apps/hello.raw.v"

    @property
    def versions(self) -> list[str]:
        """The installed images."""
        return sorted(each.name for each in self.place.glob("*"))

    @property
    def active(self) -> str:
        """The image that runs."""
        path = self.root / "active"
        return path.read_text().strip() if path.exists() else ""

    @property
    def calls(self) -> list[str]:
        path = self.root / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def run(self, request: str | None = None, *, code: int = 0) -> str:
        """Run the installer on a request, and return its answer without the token."""
        result = self.root / "result/result"
        result.unlink(missing_ok=True)
        if request is not None:
            (self.root / "agent/app-request").write_text(request)
        done = subprocess.run(
            [*self.shell, self.root / "script"],
            env={
                "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}",
                "APP": str(self.root / "bin/app"),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert not os.path.lexists(self.root / "agent/app-request")
        if not result.exists():
            return ""
        token, _, said = result.read_text().strip().partition(" ")
        assert token == TOKEN
        assert result.stat().st_mode & 0o777 == 0o644
        return said

    def download(self, version: str = "1", name: str = "hello", behaves: str = "stays") -> str:
        """Put a download where the agent does, and return the request for it."""
        content = f"{name} {version}\n{behaves}\n".encode()
        digest = hashlib.sha256(content).hexdigest()
        (self.root / "downloads" / digest).write_bytes(content)
        return f"{TOKEN} install hello {version} {digest} {len(content)}\n"

    def install(self, version: str = "1", name: str = "hello", behaves: str = "stays") -> str:
        return self.run(self.download(version, name, behaves))


@pytest.fixture(params=SHELLS)
def device(tmp_path: Path, request: pytest.FixtureRequest) -> Device:
    return Device(tmp_path, request.param)


@pytest.fixture
def dash(tmp_path: Path) -> Device:
    return Device(tmp_path)


def image(version: str) -> str:
    return f"hello_{version}_arm64.raw"


def test_application_is_installed_updated_and_removed(device: Device) -> None:
    assert device.install("1") == "done version 1 of hello runs"
    assert (device.versions, device.active) == ([image("1")], image("1"))
    assert device.install("1.10") == "done version 1.10 of hello runs"
    assert device.install("2") == "done version 2 of hello runs"

    # The one before stays, and none that is older.
    assert (device.versions, device.active) == ([image("1.10"), image("2")], image("2"))
    assert device.place.stat().st_mode & 0o777 == 0o700
    assert all(each.stat().st_mode & 0o777 == 0o600 for each in device.place.iterdir())
    assert list((device.root / "apps/.install").iterdir()) == []

    assert device.run(f"{TOKEN} remove hello\n") == "done hello is removed"
    assert (device.active, device.place.exists()) == ("", False)
    assert device.run(f"{TOKEN} remove hello\n") == "done hello is not installed"


def test_version_that_is_not_newer_is_refused(device: Device) -> None:
    device.install("1.10")
    for version in ("1.9", "1.10"):
        said = device.install(version, behaves="stays as well" if version == "1.10" else "stays")
        wanted = f"version {version} of hello is not newer than 1.10, which is installed"
        assert said == f"failed {wanted}"
        assert (device.versions, device.active) == ([image("1.10")], image("1.10"))


def test_the_same_image_again_is_done_at_once(device: Device) -> None:
    device.install("1")
    before = len(device.calls)
    assert device.install("1") == "done version 1 of hello runs"
    assert not any(call.startswith("restart") for call in device.calls[before:])


@pytest.mark.parametrize(
    ("behaves", "why"),
    [("crashes", "signal after 1 s of 2"), ("stops", "exit-code after 0 s of 2")],
)
def test_version_that_does_not_stay_up_gives_way_to_the_one_before(
    device: Device, behaves: str, why: str
) -> None:
    device.install("1")
    said = device.install("2", behaves=behaves)
    assert said == f"failed version 2 of hello does not stay up: {why}; version 1 runs again"
    assert (device.versions, device.active) == ([image("1")], image("1"))

    said = device.install("3", behaves=behaves)
    assert said.endswith("version 1 runs again")


def test_first_version_that_does_not_stay_up_is_removed(device: Device) -> None:
    said = device.install("1", behaves="stops")
    assert said.endswith("does not stay up: exit-code after 0 s of 2; there was none before")
    assert (device.versions, device.active) == ([], "")


def test_reason_of_the_check_before_each_start_is_told(dash: Device) -> None:
    (dash.root / "report/hello").write_text("refused: the image is not signed\n")
    assert "does not stay up: the image is not signed; there" in dash.install("1", behaves="stops")


@pytest.mark.parametrize(
    ("name", "behaves", "said"),
    [
        ("hello", "unsigned", "failed the image is not signed"),
        ("world", "stays", "failed the image is the application world, not hello"),
    ],
)
def test_image_that_is_refused_is_not_installed(
    device: Device, name: str, behaves: str, said: str
) -> None:
    device.install("1")
    assert device.install("2", name, behaves) == said
    assert (device.versions, device.active) == ([image("1")], image("1"))
    assert list((device.root / "apps/.install").glob("image*")) == []


def test_other_image_than_the_jobs_is_refused(dash: Device) -> None:
    request = dash.download("2").replace("hello 2", "hello 3")
    assert dash.run(request) == "failed the image is version 2: the job asks for 3"
    other = "cd" * 32
    digest = request.split()[4]
    (dash.root / "downloads" / digest).rename(dash.root / "downloads" / other)
    said = dash.run(request.replace(digest, other))
    assert said == "failed the download is not the image of the job"
    assert dash.versions == []


def test_application_that_the_release_does_not_know_is_refused(dash: Device) -> None:
    request = dash.download("1").replace("hello 1", "other 1")
    assert dash.run(request) == "failed the release has no application other"


def test_release_without_applications_refuses_them(dash: Device) -> None:
    request = dash.download("1")
    (dash.root / "bin/app").unlink()
    assert dash.run(request) == "failed the release runs no applications"


def test_download_is_a_regular_file_that_is_there(dash: Device) -> None:
    request = dash.download("1")
    download = dash.root / "downloads" / request.split()[4]
    download.rename(dash.root / "elsewhere")
    assert dash.run(request) == "failed the download is not there"
    download.symlink_to(dash.root / "elsewhere")
    assert dash.run(request) == "failed the download is not there"
    download.unlink()
    os.mkfifo(download)
    assert dash.run(request) == "failed the download is not there"
    assert dash.versions == []


def test_full_disk_is_named(dash: Device) -> None:
    dash.tool("stat", 'case "$*" in -f*) echo 1000 4096 ;; *) exec /usr/bin/stat "$@" ;; esac')
    assert dash.install("1") == "failed /data is full: 4096000 bytes are free"


def test_disk_that_fills_up_meanwhile_leaves_the_version_before(dash: Device) -> None:
    """Others write to /data as well, between the look at its free space and the end of a copy."""
    dash.install("1")
    request = dash.download("2")
    size = request.split()[5]
    dash.tool(
        "head",
        f'case $2 in {size}) /usr/bin/head -c 5 "$3"; exit 1 ;; esac; exec /usr/bin/head "$@"',
    )
    assert dash.run(request) == "failed the download cannot be copied: /data may be full"
    assert (dash.versions, dash.active) == ([image("1")], image("1"))
    assert list((dash.root / "apps/.install").iterdir()) == []
    (dash.root / "bin/head").unlink()
    assert dash.run(request) == "done version 2 of hello runs"


REQUESTS = [
    "",
    "\n",
    "install",
    f"{TOKEN} install hello 1 {'ab' * 32}\n",
    f"{TOKEN} install hello 1 {'ab' * 32} 5 --help\n",
    f"{TOKEN} install ../hello 1 {'ab' * 32} 5\n",
    f"{TOKEN} install hello ../1 {'ab' * 32} 5\n",
    f"{TOKEN} install hello 1 {'ab' * 31}/. 5\n",
    f"{TOKEN} install hello 1 {'ab' * 32} 05\n",
    f"{TOKEN} install hello 1 {'ab' * 32} 99999999999\n",
    f"{TOKEN} remove $(id)\n",
    f"{TOKEN} remove hello\n{TOKEN} remove hello\n",
    f"{TOKEN} remove hello; id\n",
    f"{TOKEN} remove hello\0\n",
    f"{TOKEN} remove {'a' * 300}\n",
    f"{TOKEN[1:]} remove hello\n",
    f"{TOKEN} run id\n",
]


def test_malformed_request_does_nothing(device: Device) -> None:
    device.install("1")
    before = device.calls
    for request in REQUESTS:
        assert device.run(request) == "", request
        assert (device.calls, device.versions) == (before, [image("1")]), request


@pytest.mark.parametrize("kind", ["link", "FIFO", "directory"])
def test_request_that_is_no_file_is_taken_away(dash: Device, kind: str) -> None:
    place = dash.root / "agent/app-request"
    if kind == "link":
        place.symlink_to(dash.root / "secret")
        (dash.root / "secret").write_text(f"{TOKEN} remove hello\n")
    elif kind == "FIFO":
        os.mkfifo(place)
    else:
        (place / "x").mkdir(parents=True)
    assert dash.run() == ""


def test_what_someone_else_put_next_to_the_images_is_removed(device: Device) -> None:
    """By anyone who can write the disk: none of it may stand in the way of a good version."""
    device.install("1")
    place, victim = device.place, device.root / "victim"
    victim.write_text("text")
    (place / image("999")).write_text("hello 999\nunsigned\n")
    (place / image("998")).symlink_to(victim)
    (place / image("997")).mkdir()
    (place / "hello_996_arm64+3-0.raw").write_text("hello 996\nstays\n")
    (place / "hello_995.raw").write_text("hello 995\nstays\n")
    (place / ".hidden").write_text("x")
    (place / "hello_9\n9_arm64.raw").write_text("x")
    assert device.install("2") == "done version 2 of hello runs"
    assert device.versions == [image("1"), image("2")]
    assert victim.read_text() == "text"


@pytest.mark.parametrize("kind", ["file", "link", "open to all"])
def test_what_is_in_the_place_of_the_images_is_removed(dash: Device, kind: str) -> None:
    target = dash.root / "victim"
    target.mkdir()
    (target / "kept").touch()
    if kind == "file":
        dash.place.write_text("x")
    elif kind == "link":
        dash.place.symlink_to(target)
    else:
        dash.place.mkdir(mode=0o777)
        dash.place.chmod(0o777)
        (dash.place / image("7")).write_text("hello 7\nstays\n")
    assert dash.install("1") == "done version 1 of hello runs"
    assert (dash.versions, (target / "kept").exists()) == ([image("1")], True)
    assert dash.place.stat().st_mode & 0o777 == 0o700


def interrupted(device: Device, at: str) -> None:
    """Have the power fail in front of the first command that has this text in its arguments."""
    for name in ("sync", "mv", "rm", "mkdir", "systemctl"):
        genuine = "" if name == "systemctl" else shutil.which(name)
        body = f'case "{name} $*" in *"{at}"*) kill -9 $PID; exit 1 ;; esac\n'
        original = (device.root / "bin/systemctl").read_text() if name == "systemctl" else ""
        device.tools[name] = original
        device.tool(name, body + (original or f'exec {genuine} "$@"'))


def cut_off(device: Device, request: str) -> int:
    """Run the installer into the power cut, and return how it ended."""
    (device.root / "agent/app-request").write_text(request)
    path = f"{device.root / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        ["dash", "-c", f"PID=$$ exec dash {device.root}/script"],
        env={"PATH": path, "APP": f"{device.root}/bin/app"},
        capture_output=True,
        check=False,
        timeout=120,
    )
    return done.returncode


def restored(device: Device) -> None:
    """Have the power back; nothing runs, and what was in /run is gone."""
    for name, original in device.tools.items():
        (device.root / "bin" / name).unlink()
        if original:
            device.tool(name, original.removeprefix("#!/bin/sh\n"))
    (device.root / "active").unlink(missing_ok=True)
    (device.root / "agent/app-request").unlink(missing_ok=True)


CUTS = [
    "sync {apps}/.install/image",
    "sync {apps}/.install/pending.new",
    "mv -fT {apps}/.install/pending.new",
    "mv -fT {apps}/.install/image",
    "sync {apps}/hello.raw.v",
    "systemctl reset-failed",
    "systemctl restart",
    "systemctl show -p ActiveState",
    "rm -f {apps}/.install/pending",
    "mv -fT {root}/result/result.new",
]


@pytest.mark.parametrize("at", CUTS)
@pytest.mark.parametrize("behaves", ["stays", "crashes"])
def test_power_cut_leaves_the_old_version_or_the_new_one(
    dash: Device, at: str, behaves: str
) -> None:
    dash.install("1")
    request = dash.download("2", behaves=behaves)
    interrupted(dash, at.format(apps=dash.root / "apps", root=dash.root))
    assert cut_off(dash, request) == -signal.SIGKILL
    restored(dash)
    # Never neither, and never half of one.
    kept = {each.name: each.read_text() for each in dash.place.iterdir()}
    assert image("1") in kept
    assert set(kept.values()) <= {"hello 1\nstays\n", f"hello 2\n{behaves}\n"}

    # The next boot settles it, and the job is given again.
    dash.run()
    said = dash.run(request)

    wanted = image("2") if behaves == "stays" else image("1")
    assert dash.active == wanted
    assert said.startswith("done version 2" if behaves == "stays" else "failed version 2"), said
    assert list((dash.root / "apps/.install").iterdir()) == []
    assert dash.versions == [image("1"), image("2")] if behaves == "stays" else [image("1")]


@pytest.mark.parametrize("at", ["mv -fT {apps}/hello.raw.v", "rm -rf {apps}/.install/removed"])
def test_power_cut_in_a_removal_leaves_all_or_nothing(dash: Device, at: str) -> None:
    dash.install("1")
    interrupted(dash, at.format(apps=dash.root / "apps"))
    request = f"{TOKEN} remove hello\n"
    assert cut_off(dash, request) == -signal.SIGKILL
    restored(dash)
    assert dash.versions in ([], [image("1")])
    assert dash.run(request).startswith("done hello is ")
    assert (dash.versions, list((dash.root / "apps/.install").iterdir())) == ([], [])


@pytest.mark.parametrize(
    "text", ["", "hello\n", "hello ../x\n", "hello 1\nhello 2\n", "hello 2\0\n", "$(id) 1\n"]
)
def test_hostile_note_of_an_interrupted_installation_does_nothing(dash: Device, text: str) -> None:
    dash.install("1")
    (dash.root / "apps/.install/pending").write_text(text)
    before = dash.calls
    assert dash.run() == ""
    assert (dash.calls, dash.versions) == (before, [image("1")])
    assert list((dash.root / "apps/.install").iterdir()) == []


def test_installer_that_ends_unexpectedly_says_so(dash: Device) -> None:
    request = dash.download("2")
    for name in ("mkdir", "sync"):
        dash.tool(name, "exit 1")
        said = dash.run(request, code=1)
        assert said == "failed the installer did not come to its end: see its journal"
        assert dash.versions == []
        (dash.root / "bin" / name).unlink()
    assert dash.run(request) == "done version 2 of hello runs"

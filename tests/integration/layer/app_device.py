# SPDX-License-Identifier: MIT
"""A device that checks applications: its scripts in a directory, and doubles of what is not there.

Doubles stand for what needs systemd as the first process or device-mapper: what mounts an image,
what the kernel and the manager say. That of systemd-vpick starts the real one where there is one:
for arm64, and if that finds nothing, for names without an architecture.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests import app_samples as samples

FILES = Path(__file__).parents[3] / "meta-secureboot/recipes-core/bootseal-app/files"
TIMEOUT = 30
RULES = "MINIMUM=1.0\nHEALTH=5\n"
DOUBLES = {
    # The newest name that systemd could take; a link has to lead somewhere.
    "systemd-vpick": """\
if real=$(PATH=${PATH#*:} command -v systemd-vpick); then
	"$real" -A arm64 "$@" || exec "$real" "$@"
	exit
fi
eval "place=\\${$#}" && cd "$place"
name=${place##*/} name=${name%.raw.v}
newest=$(ls | grep -Ex "$name(_[A-Za-z0-9.,+-]+)+[.]raw" | grep -v x86 | sort -V | tail -n 1)
[ -e "$newest" ] || exit 1
if [ -d "$newest" ]; then newest=$newest/; fi
echo "$place/$newest"
""",
    # Mounts the root of an image where the property says, unless the test has systemd refuse it.
    "systemd-run": """\
set -e
[ ! -e @ROOT@/systemd-says ]
policy= image=
while case $1 in --*) ;; *) false ;; esac do
	case $1 in
	--property=MountImages=*) image=${1#*MountImages=} ;;
	--property=MountImagePolicy=*) policy=${1#*Policy=} ;;
	esac
	shift
done
[ "$policy:$image" = "root=signed:$3:$2" ]
rm -rf "$2"
if [ -d @ROOT@/tree ]; then
	cp -r @ROOT@/tree "$2"
else
	dd if="$3" of=@ROOT@/erofs bs=512 skip=@START@ count=@SIZE@ 2>@ROOT@/log
	fsck.erofs --extract="$2" @ROOT@/erofs >@ROOT@/log 2>&1
fi
exec "$@"
""",
    "journalctl": "cat @ROOT@/systemd-says",
    "mountpoint": "echo 254:9",
    "dmsetup": '[ "$1 $2 $4" = "table -j -m" ] && cat @ROOT@/table',
    # Has the partitions of another file at first.
    "losetup": """\
[ "$1" != --detach ] || exit 0
rm -f @ROOT@/busy
for each in 1:@START@:@SIZE@ 2:@TREE@:@TREE_SIZE@; do
	number=${each%%:*} each=${each#*:}
	eval "file=\\${$#}"
	dd if="$file" of=@ROOT@/loop9p$number bs=512 skip=${each%:*} count=${each#*:} 2>@ROOT@/log
	mkdir -p @ROOT@/block/loop9p$number
	echo 8 >@ROOT@/block/loop9p$number/size
done
echo @ROOT@/loop9
""",
    # Has the kernel read the partition table, when it is asked for the second time.
    "blockdev": """\
[ "$*" = "--rereadpt @ROOT@/loop9" ] || exit 2
[ -e @ROOT@/busy ] || { touch @ROOT@/busy; exit 1; }
echo @SIZE@ >@ROOT@/block/loop9p1/size
echo @TREE_SIZE@ >@ROOT@/block/loop9p2/size
""",
    "systemctl": 'echo "$*" >>@ROOT@/calls; [ "$1" != show ] || cat @ROOT@/shown',
    "modprobe": "exit 0",
    "awk": 'exec busybox awk "$@"',
}


class Device:
    """Directories and programs in the place of those that the script uses on a device."""

    def __init__(self, root: Path, shell: list[str], good: bytes) -> None:
        self.root, self.shell, self.good = root, shell, good
        self.library, self.apps = root / "library", root / "data/apps"
        self.place, self.report = self.apps / "hello.raw.v", root / "run/apps"
        for each in (self.library / "apps.d", self.place, root / "bin", root / "tmp"):
            each.mkdir(parents=True, mode=0o755)
        places = {
            "/data/apps": self.apps,
            "/run/bootseal/apps": self.report,
            "/run/bootseal/image": root / "image",
            "/sys/class/block": root / "block",
            # A busybox may prefer its own to what PATH names.
            "losetup --": f"{root}/bin/losetup --",
            "blockdev --": f"{root}/bin/blockdev --",
            "modprobe -q": f"{root}/bin/modprobe -q",
            # What is root's there is the user's here.
            "0\\ d????-": f"{os.getuid()}\\ d????-",
        }
        self.scripts = (root / "bootseal-app", self.library / "app-inside")
        interpreter = " ".join([shutil.which(shell[0]) or "", *shell[1:]])
        originals = [(FILES / name).read_text() for name in ("bootseal-app", "app-inside")]
        for path, text in zip(self.scripts, originals, strict=True):
            changed = text.replace("/bin/sh", interpreter, 1)
            for old, new in places.items():
                assert any(old in each for each in originals)
                changed = changed.replace(old, str(new))
            path.write_text(changed)
            path.chmod(0o755)
        self.root_hash = samples.signed(good).root_hash
        files, tree, _ = samples.entries(good)
        self.blocks = samples.superblock(good).blocks
        self.values = {
            "ROOT": root,
            "START": files.offset // 512,
            "SIZE": files.size // 512,
            "TREE": tree.offset // 512,
            "TREE_SIZE": tree.size // 512,
        }
        for name, body in DOUBLES.items():
            if name != "awk" or shell[0] == "busybox":
                self.tool(name, body)
        self.table()
        self.allow()

    def tool(self, name: str, body: str) -> None:
        for key, value in self.values.items():
            body = body.replace(f"@{key}@", str(value))
        path = self.root / "bin" / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def table(self, kind: str = "verity", root_hash: str = "", blocks: int = 0) -> None:
        """Have the kernel say what the root of an image, or of a process, is read through."""
        found = root_hash or self.root_hash
        line = f"0 {(blocks or self.blocks) * 8} {kind} 1 7:1 7:2 4096 4096 9 1 sha256 {found} 00\n"
        (self.root / "table").write_text(line)

    def allow(self, rules: str = RULES, name: str = "hello") -> None:
        (self.library / "apps.d" / f"{name}.conf").write_text(rules)

    def put(self, name: str = "hello_1.0_arm64.raw", content: bytes | None = None) -> Path:
        path = self.place / name
        path.write_bytes(self.good if content is None else content)
        return path

    def says(self, text: str) -> None:
        """Have systemd refuse to mount an image, for a reason."""
        line = f"x.service: Failed to set up mount namespacing: /x: {text}\n"
        (self.root / "systemd-says").write_text(f"x.service: Starting\n{line}")

    def holds(self, files: dict[str, str]) -> None:
        """Have images hold other files; a text that begins with `->` is the target of a link."""
        for name, text in files.items():
            path = self.root / "tree" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text.startswith("->"):
                path.symlink_to(text.removeprefix("->"))
            else:
                path.write_text(text)

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.shell, self.root / "bootseal-app", *words],
            env={
                "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}",
                "LIBRARY": str(self.library),
                "TMPDIR": str(self.root / "tmp"),
            },
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )

    def refused(self, *words: str | Path) -> str:
        """Run the script, which refuses in one line of printable characters, and return why."""
        done = self.run(*words)
        assert (done.returncode, done.stdout) == (1, ""), done
        lines = done.stderr.splitlines()
        assert len(lines) == 1, done.stderr
        assert lines[0].isprintable()
        assert len(lines[0]) <= len("refused: ") + 200
        assert list((self.root / "tmp").iterdir()) == []
        said, _, why = lines[0].partition(" ")
        assert said == "refused:"
        return why

    def refused_at_start(self) -> str:
        """The same before a start; it is what the status says then."""
        why = self.refused("start-check", "hello")
        (self.root / "shown").write_text("ActiveState=failed\nResult=exit-code\nMainPID=0\n")
        assert self.run("status").stdout == f"hello - - refused: {why}\n"
        return why

    def status(self, state: str, pid: int = 0) -> str:
        """Return the status of the only application, in words."""
        (self.root / "shown").write_text(f"ActiveState={state}\nResult=signal\nMainPID={pid}\n")
        done = self.run("status")
        assert (done.returncode, done.stderr) == (0, "")
        (line,) = done.stdout.splitlines()
        return line

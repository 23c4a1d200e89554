# SPDX-License-Identifier: MIT
"""What a product may keep on its data partition, and the mount units that keep it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bootseal import state
from bootseal.check.rootfs.starts.tree import Tree
from bootseal.disk.filesystems.node import Content, Node

KEPT = [
    "/etc/machine-id",
    "/etc/systemd/network",
    "/etc/NetworkManager/system-connections",
    "/var/log",
    "/var/log/journal",
    "/var/lib/dropbear",
    "/var/lib/my-app_1.0+x/data",
    "/var/lib/systemd/timesync",
    "/var/lib/private/app",
    "/var/lib/cloudless",
    "/var/cache/app",
    "/var/spool/mail",
]
# What runs code, decides who may log in, or belongs to another part of the device.
REFUSED = [
    "/etc",
    "/etc/systemd",
    "/etc/systemd/system",
    "/etc/systemd/network/x",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/pam.d",
    "/etc/passwd",
    "/etc/sudoers.d",
    "/etc/ssh",
    "/etc/profile.d",
    "/etc/udev/rules.d",
    "/etc/NetworkManager",
    "/etc/NetworkManager/dispatcher.d",
    "/usr",
    "/usr/lib/systemd/system",
    "/lib",
    "/opt/app",
    "/root",
    "/home",
    "/data",
    "/data/state",
    "/run/systemd",
    "/var",
    "/var/lib",
    "/var/lib/systemd",
    "/var/lib/systemd/linger",
    "/var/lib/systemd/timesync/x",
    "/var/lib/extensions",
    "/var/lib/extensions/app",
    "/var/lib/portables",
    "/var/lib/machines",
    "/var/lib/docker",
    "/var/lib/containers/storage",
    "/var/lib/dpkg",
    "/var/lib/polkit-1",
    "/var/lib/private",
    "/var/lib/private/bootseal",
    "/var/lib/private/bootseal/hello",
    "/var/lib/cloud/scripts",
    "/var/lib/mender",
    "/var/lib/lxc",
    "/var/lib/libvirt/qemu",
    "/var/lib/extrausers",
    "/var/lib/sss/db",
    "/var/lib/fprint",
    "/var/spool/atjobs",
    "/var/spool",
    "/var/spool/cron/crontabs",
    "/var/cache",
]
MALFORMED = [
    "/",
    "var/log",
    "/var/log/",
    "/var//log",
    "/var/log/../../etc/systemd",
    "/var/lib/.hidden",
    "/var/lib/a b",
    "/var/lib/a\n/usr",
    "/var/lib/$x",
    "/var/lib/a:/usr",
    "/var/lib/ä",
    "/var/lib/" + "a" * 192,
    "",
]


@pytest.mark.parametrize("place", KEPT)
def test_place_that_leads_to_no_code_can_be_kept(place: str) -> None:
    assert state.refusal(place) == ""


@pytest.mark.parametrize("place", REFUSED)
def test_place_that_decides_about_code_is_refused(place: str) -> None:
    assert state.refusal(place).startswith("what is there could decide which code runs")


@pytest.mark.parametrize("place", MALFORMED)
def test_path_of_another_form_is_refused(place: str) -> None:
    assert state.refusal(place).startswith("expected an absolute path of at most 200 characters")


def test_declaration_is_sorted_and_may_have_any_white_space() -> None:
    declared = "  /var/log\n\t/etc/machine-id /var/lib/app "
    assert state.places(declared) == ("/etc/machine-id", "/var/lib/app", "/var/log")
    assert state.places("") == ()


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ("/var/log /usr/lib", "BOOTSEAL_STATE names '/usr/lib': what is there could decide"),
        ("/var/lib/a /var/log /var/lib/a", "BOOTSEAL_STATE names /var/lib/a twice"),
        ("/var/log/app /var/log", "names /var/log/app, which is in /var/log: leave it out"),
        ("/var/log/a/b /var/log/a-b /var/log/a", "names /var/log/a/b, which is in /var/log/a"),
        ("var/log", "BOOTSEAL_STATE names 'var/log': expected an absolute path"),
    ],
)
def test_declaration_that_cannot_hold_says_why(declared: str, said: str) -> None:
    with pytest.raises(state.StateError) as refused:
        state.places(declared)
    assert said in str(refused.value)


@pytest.mark.tool("systemd-escape")
@pytest.mark.parametrize("place", KEPT)
def test_unit_has_the_name_that_systemd_expects(place: str) -> None:
    command = ["systemd-escape", "--path", "--suffix=mount", place]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert state.escaped(place) == done.stdout.strip()


def tree(root: Path) -> Tree:
    nodes = []
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            inside = Content(path=path, offset=0, size=path.stat().st_size)
            name = str(path.relative_to(root))
            size = inside.size
            nodes.append(Node(path=name, mode=0o100644, uid=0, gid=0, size=size, content=inside))
    return Tree(nodes)


def test_root_has_a_unit_for_every_place_and_wants_it(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        state.install("/etc/machine-id /etc/systemd/network /var/lib/my-app", tmp_path)
    finally:
        os.umask(before)
    assert (tmp_path / state.PLACES_FILE).read_text() == (
        "/etc/machine-id\n/etc/systemd/network\n/var/lib/my-app\n"
    )
    wanted = tmp_path / state.UNITS / "local-fs.target.wants"
    names = {"etc-systemd-network.mount", "var-lib-my\\x2dapp.mount"}
    assert {path.name for path in wanted.iterdir()} == names
    assert all(path.resolve().parent == tmp_path / state.UNITS for path in wanted.iterdir())
    # The root is read-only, so a place in /etc has to be there; /var is in memory.
    assert (tmp_path / "etc/systemd/network").is_dir()
    assert not (tmp_path / "var").exists()
    modes = {oct(path.stat().st_mode & 0o777) for path in tmp_path.rglob("*")}
    assert modes == {"0o755", "0o644"}

    mounts = {mount.where: mount for mount in tree(tmp_path).mounts}
    assert mounts.keys() == {"/etc/systemd/network", "/var/lib/my-app"}
    for place, mount in mounts.items():
        assert mount.device == f"/run/bootseal/state{place}"
        assert mount.options == {"bind", "nosuid", "nodev", "noexec", "nosymfollow"}
    network = (tmp_path / state.UNITS / "etc-systemd-network.mount").read_text()
    assert "Before=network-pre.target\n" in network


def test_machine_id_alone_needs_no_mount(tmp_path: Path) -> None:
    state.install("/etc/machine-id", tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files == [tmp_path / state.PLACES_FILE]


def test_nothing_declared_changes_nothing(tmp_path: Path) -> None:
    state.install(" ", tmp_path)
    assert not list(tmp_path.iterdir())


def test_refused_declaration_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(state.StateError):
        state.install("/var/log /etc/pam.d", tmp_path)
    assert not list(tmp_path.iterdir())


def test_rule_needs_nothing_but_python_for_bitbake_reads_it_too() -> None:
    source = ast.parse(Path(state.__file__).read_text())
    imported = {
        name.partition(".")[0]
        for node in ast.walk(source)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= sys.stdlib_module_names

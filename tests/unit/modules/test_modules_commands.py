# SPDX-License-Identifier: MIT
"""`bootseal modules` on the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.unit.modules import module_samples as samples
from typer.testing import CliRunner

from bootseal.cli.app import app
from bootseal.errors import BootsealError, ExitCode, UsageError, VerificationRefused
from bootseal.keys.signers.base import open as open_key
from bootseal.keys.signers.offline import answer, load

if TYPE_CHECKING:
    from pathlib import Path


class World(NamedTuple):
    """A directory with two modules, a key and its certificate."""

    tree: Path
    key: Path
    certificate: Path

    @property
    def modules(self) -> list[Path]:
        return sorted(self.tree.rglob("*.ko"))


@pytest.fixture
def world(tmp_path: Path) -> World:
    certificate, key = samples.write_key(samples.key(), tmp_path, "modules")
    tree = tmp_path / "root"
    (tree / "kernel").mkdir(parents=True)
    for number, name in enumerate(("a.ko", "kernel/b.ko")):
        (tree / name).write_bytes(samples.module(bytes([number])))
    return World(tree, key, certificate)


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["modules", *map(str, arguments)])
    if isinstance(result.exception, BootsealError):
        raise result.exception
    return result.exit_code, result.output


def test_directory_is_signed_and_checked(world: World) -> None:
    trusted = f"--certificate={world.certificate}"
    with pytest.raises(VerificationRefused, match=r"module\.unsigned"):
        run("check", world.tree, trusted)

    code, said = run("sign", world.tree, trusted, f"--key={world.key}")

    assert code == ExitCode.OK
    assert "2 kernel modules signed with the key of" in said
    code, said = run("check", world.tree, trusted, "--json")
    assert code == ExitCode.OK
    verdict, _ = json.JSONDecoder().raw_decode(said[said.index("{") :])
    assert verdict["schema"] == "bootseal.modules-verdict/1"
    assert verdict["accepted"]
    assert verdict["modules"] == [str(each) for each in world.modules]
    world.modules[1].write_bytes(samples.signed(samples.module(b"x"), samples.key(2)))
    with pytest.raises(VerificationRefused, match=r"module\.certificate"):
        run("check", world.tree, trusted)


@pytest.mark.slow
def test_role_of_a_key_directory_signs_and_checks(world: World, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    options = ["--profile=dev", "--only=root", "--only=modules"]
    result = CliRunner().invoke(app, ["keys", "generate", str(keys), *options])
    assert result.exit_code == ExitCode.OK

    run("sign", world.tree, f"--keys={keys}")

    assert run("check", world.tree, f"--keys={keys}")[0] == ExitCode.OK
    with pytest.raises(VerificationRefused, match=r"module\.certificate"):
        run("check", world.tree, f"--certificate={world.certificate}")


def test_key_on_another_machine_signs_in_two_steps(world: World, tmp_path: Path) -> None:
    trusted, requests = f"--certificate={world.certificate}", tmp_path / "requests"
    before = [each.read_bytes() for each in world.modules]

    run("sign", world.tree, trusted, f"--export-requests={requests}")

    assert [each.read_bytes() for each in world.modules] == before
    wanted = load(requests)
    assert [each.role for each in wanted] == ["modules", "modules"]
    with pytest.raises(UsageError, match="no signature"):
        run("sign", world.tree, trusted, f"--import-signatures={requests}")
    assert [each.read_bytes() for each in world.modules] == before
    answer(requests, wanted, open_key(str(world.key)))
    run("sign", world.tree, trusted, f"--import-signatures={requests}")
    assert run("check", world.tree, trusted)[0] == ExitCode.OK


def test_certificate_of_another_key_signs_nothing(world: World, tmp_path: Path) -> None:
    other, _ = samples.write_key(samples.key(2), tmp_path, "other")
    before = world.modules[0].read_bytes()

    with pytest.raises(UsageError, match="the certificate is for key"):
        run("sign", world.modules[0], f"--certificate={other}", f"--key={world.key}")
    with pytest.raises(UsageError, match="--certificate is missing, and so is --keys"):
        run("sign", world.modules[0])
    assert world.modules[0].read_bytes() == before

# SPDX-License-Identifier: MIT
"""RAUC's client programs: what their output is taken for, and how long they may take.

The texts are those of RAUC's sources, 1.13 and 1.15: src/nbd.c, src/service.c and src/main.c.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from tests.agent_samples import INSPECTED, UPDATE

from bootseal_agent import rauc
from bootseal_agent.errors import InstallError
from bootseal_agent.rauc import Rauc

CA = Path("/etc/bootseal/cloud-ca.pem")
IDLE = """{"type":"s","data":"idle"}"""


def double(
    directory: Path,
    install: str,
    inspect: str = f"echo '{INSPECTED}'",
    limit: float = 600,
    *,
    operation: str = f"echo '{IDLE}'",
    version: str = "1.13",
) -> Rauc:
    """Make a double of RAUC: a script that is both programs."""
    script = directory / "rauc"
    script.write_text(
        f"""#!/bin/sh
case "$*" in
*get-property*) {operation} ;;
--json=*) {inspect} ;;
--version) echo "rauc {version}" ;;
install*) {install} ;;
esac
"""
    )
    script.chmod(0o755)
    program = [str(script)]
    refused = directory / "refused"
    return Rauc(ca=CA, client=program, bus=program, refused=refused, limit=limit, pause=0.05)


def failure(made: Rauc) -> InstallError:
    with pytest.raises(InstallError) as caught:
        made.install(UPDATE, lambda *_: None)
    return caught.value


@pytest.mark.parametrize(
    ("said", "passing"),
    [
        ("unexpected HTTP error code 403", True),
        ("unexpected HTTP response code 403", True),
        ("server not responding", True),
        ("already processing a different method", True),
        ("Already processing a different method", True),
        ("Failed to activate service de.pengutronix.rauc: timed out", True),
        ("Could not activate remote peer: unit failed", True),
        ("range requests not supported by server", False),
        ("signature verification failed: bad signature", False),
    ],
)
def test_what_may_pass_is_told_from_what_will_not(
    tmp_path: Path, said: str, *, passing: bool
) -> None:
    error = failure(double(tmp_path, f"echo 'LastError: {said}'; exit 1"))
    assert (str(error), error.passing) == (said, passing)

    error = failure(double(tmp_path, "exit 1", f"echo 'Call failed: {said}' >&2; exit 1"))
    assert (str(error), error.passing) == (f"Call failed: {said}", passing)


CHILD = "echo 'LastError: Pre-install handler error: Child process exited with code 1'; exit 1"
REFUSED = "update refused: the release has rollback index 0: below 1 is refused\\n"


def test_reason_of_the_handler_is_told_in_the_place_of_its_exit_code(tmp_path: Path) -> None:
    error = failure(double(tmp_path, f"printf '{REFUSED}' >{tmp_path}/refused; {CHILD}"))

    said = "the release has rollback index 0: below 1 is refused"
    assert (str(error), error.passing) == (said, False)


@pytest.mark.parametrize(
    ("there", "install"),
    [
        (REFUSED, CHILD),
        ("", f"printf 'update refused: ' >{{0}}; {CHILD}"),
        ("", f"printf 'update refused: a\\nb\\n' >{{0}}; {CHILD}"),
        ("", f"printf 'update refused: a\\033[2J\\n' >{{0}}; {CHILD}"),
        ("", f"printf 'update refused: %0301d\\n' 0 >{{0}}; {CHILD}"),
        ("", f"ln -s {{0}}.other {{0}}; printf '{REFUSED}' >{{0}}.other; {CHILD}"),
        ("", f"mkfifo {{0}}; {CHILD}"),
        ("", f"mkdir {{0}}; {CHILD}"),
    ],
    ids=["of yesterday", "cut off", "two lines", "terminal", "long", "link", "FIFO", "directory"],
)
def test_reason_that_is_not_one_of_this_install_is_not_told(
    tmp_path: Path, there: str, install: str
) -> None:
    refused = tmp_path / "refused"
    if there:
        refused.write_text(there.replace("\\n", "\n"))

    error = failure(double(tmp_path, install.format(refused)))

    assert str(error) == "Pre-install handler error: Child process exited with code 1"


def test_reason_of_the_handler_is_not_told_for_another_failure(tmp_path: Path) -> None:
    install = f"printf '{REFUSED}' >{tmp_path}/refused; echo 'LastError: no space'; exit 1"

    assert str(failure(double(tmp_path, install))) == "no space"


def test_reason_comes_without_what_gives_access_to_the_bundle(tmp_path: Path) -> None:
    """RAUC's client names the URL last, where the end of a long reason is kept."""
    secret = "X-Amz-Signature=" + "0a" * 600
    url = f"https://s3.example.com/2.raucb?{secret}"
    install = (
        f"echo 'LastError: Failed to download {url}: no such host'; "
        f"echo 'Installing `{url}` failed' >&2; exit 1"
    )

    error = failure(double(tmp_path, install))
    assert str(error) == "Failed to download https://s3.example.com/2.raucb?... no such host"

    error = failure(double(tmp_path, "exit 1", f"echo 'Call failed: {url}' >&2; exit 1"))
    assert str(error) == "Call failed: https://s3.example.com/2.raucb?..."


@pytest.mark.parametrize("install", ["exec sleep 600", "while :; do echo waiting; done"])
def test_install_that_does_not_end_is_ended(tmp_path: Path, install: str) -> None:
    begun = time.monotonic()

    error = failure(double(tmp_path, install, limit=1))

    assert "did not end within 1 s" in str(error)
    assert error.ongoing
    assert time.monotonic() < begun + 300


def test_install_that_says_much_is_heard_to_its_end(tmp_path: Path) -> None:
    heard: list[tuple[int, str]] = []
    install = "head -c 3000000 /dev/zero; echo; echo ' 40% Copying'; echo '100% done'"

    double(tmp_path, install).install(UPDATE, lambda *each: heard.append(each))

    assert heard == [(40, "Copying"), (100, "done")]


def test_url_is_one_argument_that_is_not_an_option(tmp_path: Path) -> None:
    made = double(tmp_path, 'echo "$#:$3" >"${0}.said"')

    made.install(UPDATE, lambda *_: None)

    assert (tmp_path / "rauc.said").read_text() == f"3:{UPDATE.url}\n"


def test_rauc_that_is_busy_is_waited_for(tmp_path: Path) -> None:
    """As after a restart of the agent: the service goes on with what it was asked for before."""
    busy = """{"type":"s","data":"installing"}"""
    operation = (
        f"""echo x >>"$0.asked"; if [ "$(wc -l <"$0.asked")" -gt 2 ]; then echo '{IDLE}'; """
        f"""else echo '{busy}'; fi"""
    )
    made = double(tmp_path, 'cp "$0.asked" "$0.begun"', operation=operation)

    made.install(UPDATE, lambda *_: None)

    assert (tmp_path / "rauc.begun").read_text() == "x\n" * 3
    error = failure(double(tmp_path, "exit 0", operation=f"echo '{busy}'", limit=0.2))
    assert (str(error), error.passing) == ("RAUC is 'installing' for more than 0.2 s", True)
    assert error.ongoing


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("manifest-hash", UPDATE.manifest_sha256),
        ("compatible", UPDATE.compatible),
        ("version", '"2.0"'),
    ],
)
def test_bundle_that_says_something_else_of_itself_is_not_installed(
    tmp_path: Path, key: str, other: str
) -> None:
    assert other in INSPECTED
    inspect = INSPECTED.replace(other, '"2.1"' if other.startswith('"') else "other")

    error = failure(double(tmp_path, 'touch "$0.begun"', f"echo '{inspect}'"))

    assert str(error).startswith(f"the bundle has {key} '")
    assert not (tmp_path / "rauc.begun").exists()


@pytest.mark.parametrize(
    "inspect", ["{}", '{"data":[]}', '{"data":[1]}', '{"data":[{"update":{"type":"v"}}]}']
)
def test_answer_of_another_form_is_no_consent(tmp_path: Path, inspect: str) -> None:
    error = failure(double(tmp_path, "exit 0", f"echo '{inspect}'"))

    assert str(error).startswith("the bundle has compatible None: the job asks for")


@pytest.mark.parametrize(
    ("version", "given"),
    [("1.13", 3), ("1.13.9", 3), ("1.14", 4), ("1.15.2", 4), ("2.0", 4), ("unknown", 3)],
)
def test_rauc_itself_compares_the_manifest_where_it_can(
    tmp_path: Path, version: str, given: int
) -> None:
    made = double(tmp_path, 'echo "$# $*" >"$0.said"', version=version)

    made.install(UPDATE, lambda *_: None)

    option = f" --require-manifest-hash={UPDATE.manifest_sha256}" if given > 3 else ""
    said = f"{given} install --tls-ca={CA}{option} {UPDATE.url}\n"
    assert (tmp_path / "rauc.said").read_text() == said


@pytest.mark.parametrize("error", [subprocess.TimeoutExpired("systemctl", 30), FileNotFoundError()])
def test_slot_of_which_nobody_tells_is_not_good(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*_: object, timeout: float, **__: object) -> None:
        assert timeout > 0
        raise error

    monkeypatch.setattr(subprocess, "run", fails)

    assert not rauc.is_good()

# SPDX-License-Identifier: MIT
"""TLS with the key in the token: real clients, a real broker, and what both refuse."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest
from tests.integration.identity import clients
from tests.integration.identity.board import certified
from tests.integration.identity.servers import certify_file, trust_of

from bootseal.boot.catalogue.bench import servers
from bootseal.identity.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.identity.board import Board

    from bootseal.boot.catalogue.bench.servers import Own, Server, Trust

TOOLS: Final = ("swtpm", "swtpm_setup", "tpm2", "sqlite3", "openssl", "mosquitto", "curl")
DEBIAN_12: Final = platform.freedesktop_os_release().get("VERSION_ID") == "12"

pytestmark = [
    *(pytest.mark.tool(name) for name in (*TOOLS, "mosquitto_pub", "mosquitto_sub")),
    pytest.mark.slow,
    pytest.mark.timeout(900),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A device with its certificate, and the servers that know who certified it."""

    board: Board
    trust: Trust
    own: Own
    broker: Server
    endpoint: Server

    @property
    def certificate(self) -> Path:
        return self.board.root / "pem"

    def said(self) -> str:
        """What the broker said since the last time."""
        text = self.broker.log.read_text()
        self.broker.log.write_text("")
        return text

    def says(self, text: str) -> bool:
        """Whether the broker says something: a client may hear of it first."""
        end = time.monotonic() + 10
        while text not in (said := self.broker.log.read_text()) and time.monotonic() < end:
            time.sleep(0.05)
        self.broker.log.write_text("")
        return text in said


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("site")
    with certified(root) as board:
        trust, own = trust_of(board, root), servers.Own.made(root, int(time.time()))
        with (
            servers.broker(root, trust, own) as broker,
            servers.credentials_endpoint(root, trust, own) as endpoint,
        ):
            yield Site(board=board, trust=trust, own=own, broker=broker, endpoint=endpoint)


def test_provider_is_there_where_debian_has_it() -> None:
    """Otherwise these tests would go through the engine, and nobody would know."""
    if not DEBIAN_12 and os.environ.get("BOOTSEAL_CI") == "1":
        assert clients.HAS_PROVIDER, "pkcs11-provider of ci/apt-packages.txt is missing"


def alerts(done: subprocess.CompletedProcess[bytes]) -> str:
    return done.stderr.decode(errors="replace")


def test_openssl_connects_and_the_broker_sees_the_device(site: Site) -> None:
    done = clients.openssl(site.board, site.broker, site.certificate)

    assert done.stdout == clients.ACCEPTED, alerts(done)
    assert "u'dev-1'" in site.said()


@pytest.mark.skipif(DEBIAN_12, reason="without OpenSSL's pkcs11-provider, which Debian 12 lacks")
def test_openssl_takes_the_certificate_from_the_token(site: Site) -> None:
    done = clients.openssl(site.board, site.broker, clients.uri(site.board, "cert"))

    assert done.stdout == clients.ACCEPTED, alerts(done)
    assert "u'dev-1'" in site.said()


@pytest.mark.skipif(DEBIAN_12, reason="without OpenSSL's pkcs11-provider, which Debian 12 lacks")
def test_mosquitto_publishes_and_subscribes(site: Site) -> None:
    # One after the other, as the software TPM has one connection: the broker keeps the message.
    args = (site.broker, site.certificate)
    done = clients.mosquitto(site.board, "mosquitto_pub", *args, "-m", "42", "-r", "-q", "1")
    assert done.returncode == 0, alerts(done)
    done = clients.mosquitto(site.board, "mosquitto_sub", *args, "-C", "1", "-W", "120")

    assert done.stdout == b"42\n", alerts(done)
    assert site.said().count("u'dev-1'") == 2


def test_awscrt_connects(site: Site) -> None:
    done = clients.awscrt(site.board, site.broker, site.certificate)

    assert done.stdout == b"connected\n", alerts(done)
    assert "as dev-1 " in site.said()


def test_curl_gets_credentials(site: Site) -> None:
    done = clients.curl(site.board, site.endpoint, site.certificate)

    assert done.returncode == 0, alerts(done)
    answer = json.loads(done.stdout)
    assert answer["note"] == servers.DOUBLE
    assert answer["client"] == "dev-1"
    # Nucleus lite has room for no more.
    assert len(answer) + len(answer["credentials"]) <= 7
    (seen,) = map(json.loads, site.endpoint.log.read_text().splitlines())
    assert seen["client"] == seen["thing"] == "dev-1"


def test_client_without_a_certificate_is_refused(site: Site) -> None:
    args = ["openssl", "s_client", "-quiet", "-tls1_2", "-connect", f"localhost:{site.broker.port}"]
    done = subprocess.run(
        [*args, "-CAfile", site.broker.ca], input=clients.HELLO, capture_output=True, check=False
    )

    assert done.stdout == b""
    assert re.search("alert handshake failure", alerts(done))
    assert site.says("peer did not return a certificate")


def test_revoked_certificate_is_refused(site: Site, tmp_path: Path) -> None:
    root = site.board.root
    shutil.copytree(root / "store", tmp_path / "store")
    store = ("--store", tmp_path / "store")
    site.board.run("identity", "revoke", "dev-1", *store, "--reason", "keyCompromise")
    revoked = tmp_path / "crl"
    site.board.run("identity", "crl", *store, *site.board.authority, "-o", revoked)
    trust = dataclasses.replace(site.trust, revoked=revoked)

    with servers.broker(tmp_path, trust, site.own) as broker:
        done = clients.openssl(site.board, broker, site.certificate, *clients.OPENSSL_12)
    assert done.stdout == b""
    assert "alert certificate revoked" in alerts(done)
    assert "u'dev-1'" not in broker.log.read_text()

    with servers.credentials_endpoint(tmp_path, trust, site.own) as endpoint:
        done = clients.curl(site.board, endpoint, site.certificate, *clients.CURL_12)
    assert done.stdout == b""
    assert "certificate revoked" in alerts(done)


def test_certificate_of_another_authority_is_refused(site: Site, tmp_path: Path) -> None:
    """The same key and the same name, certified by someone whom the broker does not know."""
    board = site.board
    only = ("--only", "root", "--only", "device-ca")
    board.run("keys", "generate", "--profile", "dev", tmp_path / "keys", *only)
    shutil.copytree(board.root / "store", tmp_path / "store")
    registry = Registry(tmp_path / "store")
    (entry,) = registry.entries("dev-1")
    registry.save(dataclasses.replace(entry, authority="", certificate=b"", not_after=0))
    keys = tmp_path / "keys"
    ca = ("--ca", keys / "DEV-device-ca.crt", "--key", keys / "DEV-device-ca.key")
    args = ("--store", tmp_path / "store", *ca, "-o", tmp_path / "pem")
    board.run("identity", "issue", "dev-1", *args)

    done = clients.openssl(board, site.broker, tmp_path / "pem", *clients.OPENSSL_12)

    assert done.stdout == b""
    assert re.search("alert (unknown ca|decrypt error)", alerts(done))
    said = site.said()
    assert "certificate verify failed" in said
    assert "u'dev-1'" not in said


def test_another_key_is_refused_with_the_devices_certificate(site: Site, tmp_path: Path) -> None:
    """OpenSSL refuses the pair by itself; awscrt has the broker find out that the key is another.

    The certificate is a genuine one of this authority: that of a second key, which the token lacks.
    """
    board = site.board
    other, certificate = certify_file(board, tmp_path, "dev-2")
    done = clients.openssl(board, site.broker, site.certificate, key=other)
    assert done.stdout == b""
    assert "key values mismatch" in alerts(done)

    site.said()
    done = clients.openssl(board, site.broker, certificate, key=other)
    assert done.stdout == clients.ACCEPTED, alerts(done)
    assert "u'dev-2'" in site.said()

    done = clients.awscrt(board, site.broker, certificate)
    assert done.returncode == 1
    said = site.said()
    assert "bad signature" in said
    assert "u'dev-2'" not in said

# SPDX-License-Identifier: MIT
"""One enrolled device, its answer to a challenge, and the verifier."""

from __future__ import annotations

import pytest
from tests.integration.attest.fleet import Answer, Fleet, ask, command, listed, powered

from bootseal.attest import verify
from bootseal.attest.store import Store
from bootseal.boot.machine import swtpm


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """Enrol through the command line, as an operator does."""
    directory = tmp_path_factory.mktemp("attest")
    state, store = directory / "chip", directory / "store"
    swtpm.manufacture(state)
    authorities = (state / "ca/issuer.pem", state / "ca/swtpm-localca-rootca-cert.pem")
    identity, credential, answer = (directory / n for n in ("identity", "credential", "answer"))
    with powered(state) as chip:
        identity.write_bytes(chip.script("identity"))
        options = [f"--ca={path}" for path in authorities]
        command("enrol", "dev-1", identity, *options, "--store", store, "-o", credential)
        answer.write_bytes(chip.script("activate", credential.read_text().strip()))
    command("certify", "dev-1", answer, "--store", store)
    return Fleet(state=state, store=Store(store), directory=directory, authorities=authorities)


@pytest.fixture(scope="module")
def answer(fleet: Fleet) -> Answer:
    """Return a genuine answer of a device that booted release 1."""
    with powered(fleet.state) as chip:
        chip.boot(b"KERNEL 1")
        return ask(fleet, chip)


@pytest.fixture(scope="module")
def verifier() -> verify.Verifier:
    return verify.Verifier(listed(b"KERNEL 1", "1.0"))

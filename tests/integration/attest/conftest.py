# SPDX-License-Identifier: MIT
"""One enrolled device, its answer to a challenge, and the verifier."""

from __future__ import annotations

import pytest
from tests.integration.attest.fleet import Answer, Fleet, ask, enrolled, listed, powered

from bootseal.attest import verify


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """Enrol through the command line, as an operator does."""
    return enrolled(tmp_path_factory.mktemp("attest"))


@pytest.fixture(scope="module")
def answer(fleet: Fleet) -> Answer:
    """Return a genuine answer of a device that booted release 1."""
    with powered(fleet.state) as chip:
        chip.boot(b"KERNEL 1")
        return ask(fleet, chip)


@pytest.fixture(scope="module")
def verifier() -> verify.Verifier:
    return verify.Verifier(listed(b"KERNEL 1", "1.0"))

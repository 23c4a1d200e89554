# SPDX-License-Identifier: MIT
"""A double of AWS: moto's server on this machine, and credentials that are good nowhere else."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest
from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
    from collections.abc import Iterator

REGION: Final = "eu-central-1"
ACCOUNT: Final = "123456789012"


@contextmanager
def credentials() -> Iterator[pytest.MonkeyPatch]:
    """Keep boto3 from this machine's credentials, and from AWS."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_CONFIG_FILE", "/dev/null")
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.delenv("AWS_REGION", raising=False)
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        yield patch


@contextmanager
def served(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run the server, and send boto3 there."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    try:
        yield
    finally:
        server.stop()

# SPDX-License-Identifier: MIT
"""`bootseal job` against AWS itself, in an account that BOOTSEAL_AWS_ACCOUNT names.

Nothing runs by accident: credentials alone are not enough. They have to be of that account, and may
create, describe and delete things and jobs of AWS IoT whose names begin with `bootseal-test-`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import boto3
import pytest
from tests.aws import round_trip

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow
_ACCOUNT = "BOOTSEAL_AWS_ACCOUNT"


def test_job_is_made_pushed_followed_and_cancelled(tmp_path: Path) -> None:
    account = os.environ.get(_ACCOUNT)
    if not account:
        pytest.skip(f"nothing ran against AWS: {_ACCOUNT} names no account to test in")
    session = boto3.session.Session()
    if session.get_credentials() is None or session.region_name is None:
        pytest.skip("nothing ran against AWS: there are no credentials, or no region")

    round_trip.run(tmp_path, account, session.region_name)

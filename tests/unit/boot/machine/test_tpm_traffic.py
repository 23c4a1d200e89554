# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from bootseal.boot.machine import tpm_traffic
from bootseal.errors import FormatError

# As swtpm 0.7 writes it.
TEXT = """\
 Ctrl Cmd: length 5
 00 00 00 05 00 
 Ctrl Rsp: length 4
 00 00 00 00 
 SWTPM_IO_Read: length 18
 80 01 00 00 00 16 00 00 01 7A 00 00 00 00 00 00 
 00 01 
 SWTPM_IO_Write: length 3
 DE AD BE 
Data client disconnected
"""  # noqa: W291 - every line of bytes ends in a space


def test_commands_and_responses_come_out_and_nothing_else() -> None:
    command, response = tpm_traffic.messages(TEXT)

    assert command == bytes.fromhex("8001000000160000017a0000000000000001")
    assert response == b"\xde\xad\xbe"


def test_recording_cut_off_in_a_message_is_refused() -> None:
    with pytest.raises(FormatError, match="has 16 bytes in the recording: expected 18"):
        tpm_traffic.messages(TEXT.replace(" 00 01 \n", ""))


def test_recording_without_a_message_is_refused() -> None:
    with pytest.raises(FormatError, match="holds no command"):
        tpm_traffic.messages(" Ctrl Cmd: length 1\n 00 \n")


@pytest.mark.parametrize(
    "message",
    [b"..\x01\x02\x03..", b"..\x03\x02\x01..", b"..AQID..", b"..010203.."],
    ids=["as it is", "backwards", "in base64", "in hexadecimal"],
)
def test_secret_is_found_in_each_form(message: bytes) -> None:
    assert tpm_traffic.holding([b"", message, b"\x01\x02"], b"\x01\x02\x03") == 1


def test_secret_that_is_not_there_is_not_found() -> None:
    assert tpm_traffic.holding([b"\x01\x02", b"\x03"], b"\x01\x02\x03") == 0

# SPDX-License-Identifier: MIT
"""DER values one after the other: one tag byte, the shortest length, nothing left over.

Spec: ITU-T X.690 (02/2021) sections 8.1 and 10.1.
"""

from __future__ import annotations

from typing import Final

from bootseal.errors import FormatError

INTEGER, OCTETS, OID, SEQUENCE, SET = 0x02, 0x04, 0x06, 0x30, 0x31
_LONG: Final = 0x80
_MOST: Final = 4
_SHOWN: Final = 8


class Values:
    """What is left of a sequence of values."""

    def __init__(self, data: bytes, what: str) -> None:
        """Read values.

        Args:
            data: The values, without a tag and a length around them.
            what: What they are, for messages.
        """
        self._rest = data
        self._what = what

    def __bool__(self) -> bool:
        return bool(self._rest)

    def next_is(self, tag: int) -> bool:
        """Tell whether the next value has a tag."""
        return self._rest[:1] == bytes([tag])

    def whole(self, tag: int) -> bytes:
        """Take the next value, with its tag and length.

        Raises:
            FormatError: It has another tag, or is not DER.
        """
        return self._take(tag)[0]

    def take(self, tag: int) -> bytes:
        """Take the content of the next value.

        Raises:
            FormatError: It has another tag, or is not DER.
        """
        return self._take(tag)[1]

    def into(self, tag: int) -> Values:
        """Take the next value, and read what is in it.

        Raises:
            FormatError: It has another tag, or is not DER.
        """
        return Values(self.take(tag), self._what)

    def end(self) -> None:
        """Refuse what is left.

        Raises:
            FormatError: There is something.
        """
        if self._rest:
            raise FormatError(f"{self._what}: {self._rest[:_SHOWN].hex()} follows what it may hold")

    def _take(self, tag: int) -> tuple[bytes, bytes]:
        rest = self._rest
        if len(rest) < 2 or rest[0] != tag:  # noqa: PLR2004 - a tag and a length
            found = rest[:_SHOWN].hex() or "the end"
            raise FormatError(f"{self._what}: found {found}: expected DER of tag {tag:#04x}")
        size, start = rest[1], 2
        if size >= _LONG:
            start += size - _LONG
            size = int.from_bytes(rest[2:start])
            shortest = len(size.to_bytes((size.bit_length() + 7) // 8))
            if start - 2 != shortest or size < _LONG or shortest > _MOST:
                shown = rest[1:start][:_SHOWN].hex()
                raise FormatError(f"{self._what}: a length that is not DER: {shown}")
        end = start + size
        if end > len(rest):
            missing = end - len(rest)
            raise FormatError(f"{self._what}: a value of {size} bytes lacks {missing} of them")
        self._rest = rest[end:]
        return rest[:end], rest[start:end]

# SPDX-License-Identifier: MIT
"""How severely a FIT is checked.

`STRICT` is what a release must pass: nothing unsigned, nothing that any U-Boot was ever tricked
with. `COMPAT` accepts what a U-Boot with all published fixes accepts, for comparison with one; it
is stricter only where docs/fit.md says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from bootseal.formats.fit import model as fit_format
from bootseal.target import UNKNOWN_TARGET, Target

if TYPE_CHECKING:
    from bootseal.formats.fdt.model import Buffer
    from bootseal.formats.fit.model import Fit


class Strictness(NamedTuple):
    """How severely a FIT is checked.

    Attributes:
        name: `strict` or `compat`.
        strict: Whether what no signature covers must be as expected, too.
        external_data: Whether the target takes data behind the tree, placed by `data-offset`. By
            `data-position` a strict check always refuses it.
        max_size: Bytes a tree may have: the target's CONFIG_FIT_SIGNATURE_MAX_SIZE.
        target: The target's memory.
    """

    name: str
    strict: bool
    external_data: bool
    max_size: int = 0x10000000
    target: Target = UNKNOWN_TARGET

    def parse(self, data: Buffer) -> Fit:
        """Read a FIT as strictly as it will be checked.

        Raises:
            FormatError: It is not a FIT.
        """
        return fit_format.parse(data, lenient=not self.strict)


STRICT: Final = Strictness(name="strict", strict=True, external_data=False)
COMPAT: Final = Strictness(name="compat", strict=False, external_data=True)

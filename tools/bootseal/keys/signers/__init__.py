# SPDX-License-Identifier: MIT
"""Everything that can sign: a file, a token, a cloud service, another machine."""

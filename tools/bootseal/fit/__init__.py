# SPDX-License-Identifier: MIT
"""FIT images: assemble, sign, verify and show."""

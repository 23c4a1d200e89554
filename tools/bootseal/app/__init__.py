# SPDX-License-Identifier: MIT
"""Applications as signed disk images: made of a directory, signed by any signer, checked whole."""

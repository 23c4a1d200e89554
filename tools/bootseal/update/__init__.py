# SPDX-License-Identifier: MIT
"""Update bundles for RAUC: made from a device directory, signed by any signer, checked whole."""

# SPDX-License-Identifier: MIT
"""Key material: profiles, storage, fingerprints and signers."""

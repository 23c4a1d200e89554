# SPDX-License-Identifier: MIT
"""Application images: their layout and signature, and an application's own declarations."""

# SPDX-License-Identifier: MIT
"""Application images: their layout and signature, and what an application says it is."""

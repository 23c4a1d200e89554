# SPDX-License-Identifier: MIT
"""What U-Boot keeps in files: its binary and its environment."""

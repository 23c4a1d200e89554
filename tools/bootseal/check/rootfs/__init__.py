# SPDX-License-Identifier: MIT
"""What a root file system may hold."""

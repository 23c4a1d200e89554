# SPDX-License-Identifier: MIT
"""What starts a program in a root file system, and whether that leads to unsigned files."""

# SPDX-License-Identifier: MIT
"""`bootseal boot`."""

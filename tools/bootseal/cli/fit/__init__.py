# SPDX-License-Identifier: MIT
"""`bootseal fit`."""

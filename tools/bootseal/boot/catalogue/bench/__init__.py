# SPDX-License-Identifier: MIT
"""What is next to a device in a scenario: a verifier, servers, the end of its cable."""

# SPDX-License-Identifier: MIT
require debroot-image.inc

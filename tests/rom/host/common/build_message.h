/* SPDX-License-Identifier: MIT */

static const char build_version[] = "host";

# SPDX-License-Identifier: MIT
"""Variables that decide which code runs, and the directories that signed code is in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bootseal.check.rootfs.starts.tree import Tree

_NAMES: Final = re.compile(
    r"LD_[A-Z_]+|PATH|ENV|BASH_ENV|ZDOTDIR|SHELL|EDITOR|VISUAL|PAGER|BROWSER|"
    r"PYTHON(PATH|HOME|STARTUP|USERBASE)|PERL5?(LIB|OPT|DB)|RUBY(LIB|OPT)|GEM_(HOME|PATH)|BUNDLE_GEMFILE|"
    r"NODE_(PATH|OPTIONS)|LUA_C?(PATH|INIT).*|CLASSPATH|(JAVA|JDK)_(TOOL_OPTIONS|OPTIONS|HOME|OPTS)|"
    r"_JAVA_OPTIONS|PHPRC|PHP_INI_SCAN_DIR|TCLLIBPATH|R_(LIBS|PROFILE|HOME).*|DOTNET_(ROOT|STARTUP_HOOKS)|"
    r"GOTRACEBACK_HOOK|GCONV_PATH|LOCPATH|GIO_(MODULE_DIR|EXTRA_MODULES)|GTK_(PATH|MODULES)|GTK_IM_MODULE_FILE|"
    r"QT_PLUGIN_PATH|QML2?_IMPORT_PATH|QT_QPA_PLATFORM_PLUGIN_PATH|GST_(PLUGIN|REGISTRY|PRESET)[A-Z_0-9]*|"
    r"OPENSSL_(CONF|MODULES|ENGINES)|PKCS11_MODULE_PATH|LIBGL_DRIVERS_PATH|VK_[A-Z_]*|XDG_(CONFIG|DATA)_DIRS|"
    r"SYSTEMD_(UNIT|GENERATOR|ENVIRONMENT_GENERATOR)_PATH|MODPROBE_OPTIONS|GIT_(EXEC_PATH|SSH.*|TEMPLATE_DIR)|"
    r"DBUS_(SESSION|SYSTEM)_BUS_ADDRESS|ENV_(SU)?PATH|MALLOC_[A-Z]*|PROMPT_COMMAND|TERMINFO_DIRS|"
    r"(.*_)?(DAEMON|EXEC|PROG|PROGRAM|BINARY|COMMAND|CMD|HOOK|HOOKS|SCRIPT|SCRIPTS)"
)
_SIGNED: Final = re.compile(r"/(usr|etc|bin|sbin|lib(32|64|x32)?|root|opt|boot)(/.*)?")


def leads(tree: Tree, assignment: str) -> str:
    """Return the unsigned file or directory that `NAME=VALUE` takes code from, or nothing."""
    name, equals, value = assignment.partition("=")
    if not equals or not _NAMES.fullmatch(name.strip().rstrip("+")):
        return ""
    for part in re.split(r"[:;,\s]+|(?<==)|-I|-r", value.strip().strip("\"'")):
        for path in (part, part.rpartition("=")[2]):
            if found := tree.leads(path.strip("\"'")):
                return found
    return ""


def is_signed(path: str) -> bool:
    """Tell whether a directory is one that signed code, or what decides about it, is in."""
    return _SIGNED.fullmatch(path.rstrip("/") or "/") is not None

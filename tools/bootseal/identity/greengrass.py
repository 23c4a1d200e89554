# SPDX-License-Identifier: MIT
"""The configuration of AWS IoT Greengrass nucleus lite for a device with an identity key.

The key is named by a PKCS#11 URI, and its PIN by the file that has it in this boot: neither changes
from boot to boot, and neither is a secret.

Spec: AWS IoT Greengrass nucleus lite 2.6, docs/PKCS11_SUPPORT.md and its sample; RFC 7512.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

import yaml

from bootseal.errors import FormatError

PIN_FILE: Final = "/run/bootseal/identity/pin"
"""Where the PIN of a boot is."""
ROOT: Final = "/var/lib/greengrass"
"""The working directory that nucleus lite's units name."""
_TOKEN: Final = "pkcs11:token=device;object=identity"  # noqa: S105 - a name
_SERVICES: Final = "services.aws.greengrass.NucleusLite"
_SETTINGS: Final = f"{_SERVICES}.configuration"
_HOST: Final = r"[a-z0-9-]+(\.[a-z0-9-]+)+"
_NUMBER: Final = "[0-9]{1,9}"
# Each setting with the pattern of its value; those with a question mark may be left out.
_SCHEMA: Final = {
    "system.privateKeyPath": re.escape(f"{_TOKEN};type=private?pin-source=file:{PIN_FILE}"),
    "system.certificateFilePath": re.escape(f"{_TOKEN};type=cert?pin-source=file:{PIN_FILE}"),
    # No part of it starts with a dot: /etc/../data is not read-only.
    "system.rootCaPath": r"/(usr|etc)(/[\w+-][\w.+-]*)+\.(pem|crt)",
    "system.rootPath": re.escape(ROOT),
    "system.thingName": "[a-zA-Z0-9:_-]{1,128}",
    f"{_SERVICES}.componentType": "NUCLEUS",
    f"{_SETTINGS}.awsRegion": "[a-z]{2,}(-[a-z]+)+-[0-9]+",
    f"{_SETTINGS}.iotCredEndpoint": _HOST,
    f"{_SETTINGS}.iotDataEndpoint": _HOST,
    f"{_SETTINGS}.iotRoleAlias": r"[\w=,@-]{1,128}",
    f"{_SETTINGS}.runWithDefault.posixUser": "gg_component:gg_component",
    f"{_SETTINGS}.greengrassDataPlanePort": "8443|443",
    f"{_SETTINGS}.fleetStatus.periodicStatusPublishIntervalSeconds?": _NUMBER,
}
# Files that have every public authority: a broker with a certificate of any of them would do.
_BUNDLES: Final = frozenset(
    {"ca-bundle.crt", "ca-bundle.pem", "ca-certificates.crt", "cert.pem", "tls-ca-bundle.pem"}
)
# The nucleus reads no more of a file, and says nothing of the rest.
_MAX_SIZE: Final = 8192
_MAX_DEPTH: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """What is particular to a device and its account.

    Attributes:
        thing: Name of the thing.
        region: AWS region.
        data_endpoint: Host of AWS IoT's data endpoint, without scheme and port.
        credentials_endpoint: Host of its credentials endpoint, likewise.
        role_alias: What the device calls the role that it gets credentials for.
        root_ca: File on the device with what AWS's own certificates are verified with, and nothing
            else: the nucleus does not compare the name in the broker's with `data_endpoint`.
    """

    thing: str
    region: str
    data_endpoint: str
    credentials_endpoint: str
    role_alias: str
    root_ca: str


def configuration(core: Core) -> bytes:
    """Return config.yaml for a device."""
    document = {
        "system": {
            "privateKeyPath": f"{_TOKEN};type=private?pin-source=file:{PIN_FILE}",
            "certificateFilePath": f"{_TOKEN};type=cert?pin-source=file:{PIN_FILE}",
            "rootCaPath": core.root_ca,
            "rootPath": ROOT,
            "thingName": core.thing,
        },
        "services": {
            "aws.greengrass.NucleusLite": {
                "componentType": "NUCLEUS",
                "configuration": {
                    "awsRegion": core.region,
                    "iotCredEndpoint": core.credentials_endpoint,
                    "iotDataEndpoint": core.data_endpoint,
                    "iotRoleAlias": core.role_alias,
                    "runWithDefault": {"posixUser": "gg_component:gg_component"},
                    "greengrassDataPlanePort": "8443",
                },
            }
        },
    }
    text = yaml.safe_dump(
        document, explicit_start=True, sort_keys=False, default_style='"', width=1000
    )
    return str(text).encode()


def check(files: Sequence[tuple[str, bytes]]) -> list[str]:
    """Say what is wrong with the configuration that several files make together.

    Args:
        files: Name and content of each: config.yaml, then those of config.d, which replace its
            values. The nucleus reads those in the order of the directory, which is nobody's choice.

    Returns:
        What is wrong; nothing for a configuration whose settings are all known and of their form,
        and whose key is the identity key.

    Raises:
        FormatError: A file is not YAML of the plain kind.
    """
    found: dict[str, str] = {}
    for name, data in files[:1]:
        found |= read(data, name)
    faults: list[str] = []
    places: dict[str, str] = {}
    for name, data in files[1:]:
        for path, value in read(data, name).items():
            if path in places and found[path] != value:
                faults.append(
                    f"{path[:100]} has one value in {places[path]} and another in {name}: expected "
                    "it in one file of config.d, which the nucleus reads in any order"
                )
            found[path], places[path] = value, name
    return [*faults, *_faults(found)]


def read(data: bytes, what: str) -> dict[str, str]:
    """Read settings: each value as text, by its path, whose parts are separated by dots.

    Raises:
        FormatError: It is too long or not YAML, or has aliases, a key twice, deep nesting, or other
            values than text, numbers and mappings.
    """
    if len(data) > _MAX_SIZE:
        raise FormatError(f"{what} has {len(data)} bytes: expected at most {_MAX_SIZE}")
    try:
        _check_events(yaml.parse(data, Loader=yaml.SafeLoader), what)
        root = yaml.compose(data, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        # Its own text quotes the line, which may hold a PIN.
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise FormatError(f"{what} is not YAML: line {line}: {error.problem}") from error
    # PyYAML overflows on an escape for a character beyond Unicode.
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        message = " ".join(str(error).split())
        raise FormatError(f"{what} is not YAML: {message[:200]}") from error
    if root is None:
        return {}
    return dict(_settings(root, "", what))


def _check_events(events: Iterable[object], what: str) -> None:
    """Refuse aliases and depth before all of it is read: PyYAML takes minutes for deep nesting."""
    depth = 0
    for event in events:
        # An alias may stand for itself, or for very much.
        if isinstance(event, yaml.AliasEvent):
            raise FormatError(f"{what} has a YAML alias: expected plain values")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            raise FormatError(f"{what} is nested too deeply: expected at most {_MAX_DEPTH} levels")


def _settings(node: object, path: str, what: str) -> Iterator[tuple[str, str]]:
    place = path or "the document"
    if isinstance(node, yaml.ScalarNode) and path:
        yield path, str(node.value)
        return
    if not isinstance(node, yaml.MappingNode):
        raise FormatError(f"{what}: {place} is not a mapping")
    seen: set[str] = set()
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise FormatError(f"{what}: a key below {place} is not text")
        if key.value in seen:
            raise FormatError(f"{what}: {key.value[:60]!r} is twice below {place}")
        seen.add(key.value)
        yield from _settings(value, _below(path, key.value), what)


def _below(path: str, key: str) -> str:
    """Return the path of a key: never that of another, though the key itself may have dots."""
    name = f"{path}.{key}" if path else key
    if key and ("." not in key or name == _SERVICES):
        return name
    return f'{path}."{key}"' if path else f'"{key}"'


def _faults(found: Mapping[str, str]) -> Iterator[str]:
    for path, value in found.items():
        if _has_pin(value):
            # Not shown: it is a secret.
            yield f"{path} holds a PIN: expected pin-source=file:{PIN_FILE}"
    for path, pattern in _SCHEMA.items():
        name = path.removesuffix("?")
        if name not in found:
            if name == path:
                yield f"{name} is missing"
            continue
        value = found[name]
        if _has_pin(value) or re.fullmatch(pattern, value, re.ASCII):
            continue
        if name.endswith("Path") and value.startswith("/") and pattern.startswith("pkcs11"):
            yield f"{name} is the file {value[:100]}: expected the key in the TPM, a pkcs11: URI"
        else:
            expected = pattern.replace("\\", "")
            yield f"{name} is {value[:100]!r}: expected {expected}"
    root = PurePosixPath(found.get("system.rootCaPath", ""))
    if root.name in _BUNDLES:
        yield (
            f"system.rootCaPath is {root.name}, which has every public authority: expected a file "
            "with AWS's own, since iotcored does not look at the name in the broker's certificate"
        )
    known = {path.removesuffix("?") for path in _SCHEMA}
    for path in found.keys() - known:
        yield f"{path[:100]} is not a setting of a device with an identity key"


def _has_pin(value: str) -> bool:
    return "pin-value" in value.lower()

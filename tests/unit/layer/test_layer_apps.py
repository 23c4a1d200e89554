# SPDX-License-Identifier: MIT
"""What the layer makes of BOOTSEAL_APPS is what the reference build has, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from bootseal_layer import apps

from bootseal.reference import rootfs

GOOD = {
    "MINIMUM": {"hello": "1.1.0"},
    "HEALTH": {"hello": "5"},
    "LIMITS": {"hello": "MemoryMax=32M TasksMax=16"},
}


def test_layer_writes_what_the_reference_build_writes(tmp_path: Path) -> None:
    apps.install(["hello"], GOOD, str(tmp_path))
    made = {
        str(path.relative_to(tmp_path)): path.read_text()
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert made == {name: rootfs.APPS[name] for name in made}
    assert made.keys() == rootfs.APPS.keys()


@pytest.mark.parametrize(
    ("flag", "value", "said"),
    [
        ("MINIMUM", "", r"BOOTSEAL_APP_MINIMUM\[hello\] is ''"),
        ("MINIMUM", "1_0", r"BOOTSEAL_APP_MINIMUM\[hello\] is '1_0'"),
        ("HEALTH", "0", r"BOOTSEAL_APP_HEALTH\[hello\] is '0'"),
        ("HEALTH", "601", r"BOOTSEAL_APP_HEALTH\[hello\] is '601'"),
        ("LIMITS", "memory", r"BOOTSEAL_APP_LIMITS\[hello\] has 'memory'"),
    ],
)
def test_values_that_are_none_are_refused(tmp_path: Path, flag: str, value: str, said: str) -> None:
    with pytest.raises(apps.AppError, match=said):
        apps.install(["hello"], GOOD | {flag: {"hello": value}}, str(tmp_path))


@pytest.mark.parametrize("name", ["Hello", "a" * 28, "-a", "a.b", "../a"])
def test_names_that_are_none_are_refused(tmp_path: Path, name: str) -> None:
    flags = {flag: {name: values["hello"]} for flag, values in GOOD.items()}
    with pytest.raises(apps.AppError, match="BOOTSEAL_APPS names"):
        apps.install([name], flags, str(tmp_path))


def test_a_flag_of_another_application_is_refused(tmp_path: Path) -> None:
    with pytest.raises(apps.AppError, match="BOOTSEAL_APPS does not name"):
        apps.install([], GOOD, str(tmp_path))


@pytest.mark.parametrize("name", ["a" * 27, "a-1"])
def test_longest_name_is_taken(tmp_path: Path, name: str) -> None:
    flags = {flag: {name: values["hello"]} for flag, values in GOOD.items()}
    apps.install([name], flags, str(tmp_path))
    assert (tmp_path / apps.RULES / f"{name}.conf").is_file()

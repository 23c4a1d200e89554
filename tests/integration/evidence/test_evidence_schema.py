# SPDX-License-Identifier: MIT
"""Bills of materials hold against what SPDX publishes: JSON schema and SHACL model of 3.0.1.

BOOTSEAL_SPDX names a directory with `schema.json`, `spdx-model.ttl` and `spdx-context.jsonld` of
the specification; no package carries them. jsonschema-rs and pyshacl have to be installed.
BOOTSEAL_BILLS names further bills, with colons between them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests import evidence_samples as samples
from tests.unit.check.conftest import make_base

from bootseal import device as devices

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.tool("mksquashfs"), pytest.mark.filterwarnings("default")]

SPDX = "BOOTSEAL_SPDX"
BILLS = [Path(each) for each in os.environ.get("BOOTSEAL_BILLS", "").split(":") if each]


@pytest.fixture(scope="module")
def published() -> Path:
    if SPDX not in os.environ:
        pytest.skip(f"{SPDX} names no directory with the schema and the model of SPDX 3.0.1")
    return Path(os.environ[SPDX])


@pytest.fixture(scope="module", params=[None, *BILLS], ids=str)
def bill(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:  # noqa: ANN401
    if request.param:
        return json.loads(request.param.read_bytes())
    base = make_base(tmp_path_factory.mktemp("disk"))
    directory = samples.device(base, tmp_path_factory.mktemp("release") / "1.0", "1.0")
    return json.loads(samples.bill(samples.whole(devices.load(directory))))


def schema(published: Path) -> Callable[[Any], bool]:
    found = pytest.importorskip("jsonschema_rs").validator_for(
        json.loads((published / "schema.json").read_bytes())
    )
    return lambda document: bool(found.is_valid(document))


def shacl(published: Path) -> Callable[[Any], bool]:
    pyshacl = pytest.importorskip("pyshacl")
    rdflib = pytest.importorskip("rdflib")
    context = json.loads((published / "spdx-context.jsonld").read_bytes())["@context"]
    shapes = rdflib.Graph().parse(published / "spdx-model.ttl")

    def check(document: Any) -> bool:  # noqa: ANN401
        # With the context inside, nothing is fetched.
        text = json.dumps(document | {"@context": context})
        graph = rdflib.Graph().parse(data=text, format="json-ld")
        conforms, _, _ = pyshacl.validate(graph, shacl_graph=shapes, ont_graph=shapes)
        return bool(conforms)

    return check


@pytest.fixture(scope="module", params=[schema, shacl])
def accepts(request: pytest.FixtureRequest, published: Path) -> Callable[[Any], bool]:
    check: Callable[[Any], bool] = request.param(published)
    return check


def changed(bill: Any, change: Callable[[Any], object]) -> Any:  # noqa: ANN401
    """Return a copy of a bill with one of its files changed."""
    copy = json.loads(json.dumps(bill))
    change(next(each for each in copy["@graph"] if each["type"] == "software_File"))
    return copy


def test_bill_is_accepted_and_changed_ones_are_not(
    accepts: Callable[[Any], bool],
    bill: Any,  # noqa: ANN401
) -> None:
    assert accepts(bill)
    assert not accepts(changed(bill, lambda each: each.pop("creationInfo")))
    assert not accepts(changed(bill, lambda each: each.update(software_primaryPurpose="disk")))

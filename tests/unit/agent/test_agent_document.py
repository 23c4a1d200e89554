# SPDX-License-Identifier: MIT
"""The document of a job: the genuine one, and every way to write one that is refused."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import agent_samples as samples
from tests.agent_samples import BROKEN, DOCUMENT, MALFORMED, ODD

from bootseal_agent import document, strict
from bootseal_agent.errors import Refusal
from bootseal_agent.events import Got
from bootseal_agent.wire import Thing

if TYPE_CHECKING:
    from tests.agent_samples import Malformed


def message(text: str) -> bytes:
    """Return what AWS answers about a job with this document."""
    head = '{"clientToken": "t", "timestamp": 1, "execution": {"jobId": "job-1", "status": '
    state = '"IN_PROGRESS", "versionNumber": 2, "executionNumber": 1'
    return f'{head}{state}, "jobDocument": {text}}}}}'.encode()


def read(text: str) -> Got:
    topic = "$aws/things/dev-1/jobs/job-1/get/accepted"
    asked, event = Thing(name="dev-1").read(topic, message(text))
    assert asked == "t"
    assert isinstance(event, Got)
    return event


def test_genuine_document_is_read() -> None:
    assert read(json.dumps(DOCUMENT)).execution.asked == samples.UPDATE


@pytest.mark.parametrize(
    ("given", "wanted"),
    [(samples.APP_DOCUMENT, samples.APP), (samples.REMOVE_DOCUMENT, samples.REMOVAL)],
    ids=["app", "app-remove"],
)
def test_genuine_document_about_an_application_is_read(
    given: dict[str, object], wanted: object
) -> None:
    assert read(json.dumps(given)).execution.asked == wanted


def test_there_are_thirty_malformed_documents() -> None:
    assert len(MALFORMED) >= 30


@pytest.mark.parametrize("case", MALFORMED + ODD, ids=lambda case: case.title)
def test_malformed_document_is_refused_and_the_job_is_known(case: Malformed) -> None:
    """So that the refusal can be reported, for the job that it is of."""
    found = read(case.text).execution

    assert (found.job, found.asked) == ("job-1", None)
    assert re.search(case.said, found.fault)


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.title)
def test_message_that_is_not_json_is_refused_whole(case: Malformed) -> None:
    with pytest.raises(Refusal, match=case.said):
        read(case.text)


def test_document_longer_than_awss_is_refused() -> None:
    found = read(json.dumps(DOCUMENT | {"more": "x" * document.MAX_SIZE})).execution

    assert "expected at most 32768" in found.fault


VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5
)


@settings(deadline=None)
@given(
    st.sampled_from([DOCUMENT, samples.APP_DOCUMENT, samples.REMOVE_DOCUMENT]).flatmap(
        lambda each: st.tuples(st.just(each), st.sampled_from(sorted(each)))
    ),
    VALUES,
)
def test_any_value_gives_what_has_it_or_a_refusal(
    chosen: tuple[dict[str, object], str], value: object
) -> None:
    given, key = chosen
    try:
        found = document.read(given | {key: value})
    except Refusal:
        return
    # Schema and operation have one value, and are not kept.
    assert getattr(found, key, given[key]) == value


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_give_an_object_or_a_refusal(data: bytes) -> None:
    with suppress(Refusal):
        assert isinstance(strict.parse(data, "it", limit=256), dict)


@pytest.mark.parametrize(
    ("lower", "higher"), [("1.9", "1.10"), ("1", "1.0.1"), ("0.9.9", "1"), ("1.2.3", "1.2.4")]
)
def test_versions_are_ordered_by_their_numbers(lower: str, higher: str) -> None:
    assert document.order(lower) < document.order(higher)


def test_zeros_at_the_end_of_a_version_mean_nothing() -> None:
    assert document.order("2.0.0") == document.order("2")

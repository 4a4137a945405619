"""The OpenAPI document, and a fuzzer that asks whatever it allows and whatever it does not, of a daemon that listens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import response_schema_conformance

from tailor.daemon.api.openapi import document

from .asked import EXAMPLES, TOKENS
from .listening import running

DOCUMENT = document("1.0")
# 422: what only the model can tell
CONFIG = schemathesis.Config.from_dict({"checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", 404, 409, 422]}}})
OPERATIONS = {found.ok().label: found.ok() for found in schemathesis.openapi.from_dict(DOCUMENT, config=CONFIG).get_all_operations()}
ASKED = sorted(OPERATIONS.keys() - {"GET /v1/events"})  # which has no end
REFUSED = [label for label in ASKED if len(OPERATIONS[label].query) or len(OPERATIONS[label].body)]
# it reads prefixItems, which OpenAPI 3.1 has for tuples, as older drafts wrote them, and then refuses what it has written
UNABLE = {"GET /v1/updates/{update}/forecast": [response_schema_conformance]}
few = settings(
    max_examples=4, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
)


class Site:
    """A daemon that listens at ``address``, and a session with its token."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {TOKENS.full}"

    def put(self, method: str, path: str, given: object = None) -> object:
        answer = self.session.request(method, self.address + path, json=given)
        answer.raise_for_status()
        return answer.json()

    def check(self, label: str, mode: GenerationMode, path: dict[str, str] | None) -> None:
        @few
        @given(case=OPERATIONS[label].as_strategy(generation_mode=mode, path_parameters=path))
        def check(case: Case) -> None:
            case.call_and_validate(base_url=self.address, session=self.session, excluded_checks=UNABLE.get(label))

        check()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("daemon")) as address:
        site = Site(address)
        yield site
        site.session.close()


def test_the_document_is_one() -> None:
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []


@pytest.mark.parametrize("label", ASKED)
def test_what_is_allowed_is_answered_as_described(label: str, site: Site) -> None:
    path = {"model": "points", "user": "ann"}
    site.put("POST", "/v1/models/points/users/ann/examples", {"examples": EXAMPLES, "batch": label.translate({ord("/"): "-"})[:100]})
    if "{update}" in label:
        found = site.put("GET", "/v1/updates?most=1") or [site.put("POST", "/v1/models/points/users/ann/updates")]
        path["update"] = found[0]["identifier"]
    site.check(label, GenerationMode.POSITIVE, {name: value for name, value in path.items() if f"{{{name}}}" in label} or None)


@pytest.mark.parametrize("label", REFUSED)
def test_what_is_not_allowed_is_refused_as_described(label: str, site: Site) -> None:
    site.check(label, GenerationMode.NEGATIVE, None)

"""Holds a service's answers to its OpenAPI document."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any
from xml.etree import ElementTree

from jsonschema import Draft202012Validator

from pileus.kernel.api.answer import WHATEVER
from pileus.kernel.api.openapi import OR_NOTHING, document, key_of
from pileus.kernel.api.service import Service
from pileus.kernel.api.versions import Version
from pileus.testing import described_xml


class Description:
    """What a service says of itself at a version; made when first asked, which takes a tenth of a second."""

    def __init__(self, service: Service, version: Version | None = None) -> None:
        self._service, self._version = service, version
        self._validators: dict[tuple[str, str, str, str], Draft202012Validator] = {}

    @cached_property
    def document(self) -> dict[str, Any]:
        return document(self._service, self._version)

    @cached_property
    def _paths(self) -> list[tuple[re.Pattern[str], str]]:
        """The most literal first."""
        served = {path for path, _ in self._service.operations()}
        ordered = sorted(served, key=lambda path: (path.count("{"), -len(path)))
        return [(_pattern(path), path.replace(":path}", "}")) for path in ordered]

    @cached_property
    def _closed(self) -> dict[str, Any]:
        """Schemas that have nothing besides what they name: bodies may, but no answer shows more than its struct has."""
        return {
            name: {"additionalProperties": False, **schema} if "properties" in schema else schema
            for name, schema in self.document["components"]["schemas"].items()
        }

    def template(self, method: str, path: str) -> str | None:
        """The described path that a request's path is one of."""
        for pattern, found in self._paths:
            if pattern.match(path) and key_of(method) in self.document["paths"].get(found, ()):
                return found
        return None if path.rstrip("/") == path else self.template(method, path.rstrip("/"))

    def problems(
        self, method: str, template: str, status: int, headers: Mapping[str, str], body: bytes
    ) -> list[str]:
        """What is wrong with a good answer: its status, its media type or its shape is not described."""
        described = self.document["paths"][template][key_of(method)]["responses"]
        if str(status) not in described:
            return [f"the status is {status}, not {', '.join(described)}"]
        content = described[str(status)].get("content")
        if content is None:
            return [f"no content is described: {body[:1000]!r}"] if body else []
        if WHATEVER.type in content or (not body and described[str(status)].get(OR_NOTHING)):
            return []
        media = headers.get("content-type", "").partition(";")[0]
        if media not in content:
            return [f"the media type is {media!r}, not {', '.join(content)}"]
        schema = content[media].get("schema")
        if media.endswith("json"):
            return self._wrong((method, template, str(status), media), schema, json.loads(body))
        if schema is None or not media.endswith("xml"):
            return []
        element = ElementTree.fromstring(body)
        root = described_xml.local(element.tag)
        own = described_xml.schema_of(root, schema)
        if own is None:
            return [f"the document is no {root}"]
        value = described_xml.as_json(element, own, self.document["components"])
        return self._wrong((method, template, str(status), root), own, value)

    def _wrong(self, key: tuple[str, str, str, str], schema: Mapping[str, Any], value: Any) -> list[str]:
        validator = self._validators.get(key)
        if validator is None:
            whole = {**schema, "components": {"schemas": self._closed}}
            validator = self._validators[key] = Draft202012Validator(whole)
        return [f"{each.json_path}: {each.message}" for each in validator.iter_errors(value)]


def _pattern(path: str) -> re.Pattern[str]:
    several = re.sub(r"\\{\w+:path\\}", ".+", re.escape(path))
    return re.compile(re.sub(r"\\{\w+\\}", "[^/]+", several) + r"\Z", re.DOTALL)

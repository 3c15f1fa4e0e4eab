"""AWS's model of S3, as the stock client has it: laid beside what comes back, and what it takes at least."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

from botocore.model import OperationModel, Shape

from tests.s3_client import Rig

PLAIN_HEADERS = frozenset(
    [
        "x-amz-request-id", "x-amz-id-2", "x-openstack-request-id", "date", "server",
        "connection", "transfer-encoding", "allow", "vary",
        "content-length", "content-type",
    ]
)  # fmt: skip
"""That any answer may have."""


class Client:
    """boto3's, which notes what it asked for, and what of the answers the model does not know."""

    def __init__(self, rig: Rig) -> None:
        self.s3 = rig.client()
        self.model = self.s3.meta.service_model
        self.done: set[str] = set()
        self.unknown: list[str] = []
        self.s3.meta.events.register("before-parse.s3", self._compare)

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.s3, name)

        def noted(**arguments: Any) -> Any:
            answer = call(**arguments)
            self.done.add(self.s3.meta.method_to_api_mapping[name])
            return answer

        return noted

    def call(self, operation: str, **arguments: Any) -> Any:
        """By the model's name."""
        methods = {api: method for method, api in self.s3.meta.method_to_api_mapping.items()}
        return getattr(self, methods[operation])(**arguments)

    def _members(self, operation_model: OperationModel) -> Iterator[Shape]:
        """Of its answer, and of those of its newer names: the same request, as of `GetBucketLifecycle`."""
        for name in self.model.operation_names:
            each = self.model.operation_model(name)
            if _request(each) == _request(operation_model) and each.output_shape is not None:
                yield from each.output_shape.members.values()

    def _compare(self, operation_model: OperationModel, response_dict: dict[str, Any], **_: Any) -> None:
        status = response_dict["status_code"]
        headers = {name.lower() for name in response_dict["headers"]}
        if status >= 300:
            return
        output = operation_model.output_shape
        known = set(PLAIN_HEADERS)
        body = None
        for shape in self._members(operation_model):
            if shape.serialization.get("location") == "header":
                known.add(shape.serialization["name"].lower())
            elif shape.serialization.get("location") == "headers":
                known |= {each for each in headers if each.startswith(shape.serialization["name"])}
        if output is not None:
            payload = output.serialization.get("payload")
            body = output if payload is None else output.members[payload]
        self.unknown += [f"{operation_model.name}: header {name}" for name in sorted(headers - known)]
        text = response_dict["body"]
        if body is None or operation_model.has_streaming_output or not isinstance(text, bytes) or not text:
            return
        if body.type_name == "structure" and operation_model.name != "GetBucketLocation":
            root = ElementTree.fromstring(text)
            self.unknown += [f"{operation_model.name}: {each}" for each in unknown(root, body, root.tag)]


def _request(operation_model: OperationModel) -> tuple[str, str]:
    """What it sends; botocore takes the bucket out of addresses as it comes by them."""
    return operation_model.http["method"], operation_model.http["requestUri"].removeprefix("/{Bucket}").strip(
        "/"
    )


def local(name: str) -> str:
    return name.rpartition("}")[2]


def unknown(element: ElementTree.Element, shape: Shape, path: str) -> Iterator[str]:
    """Elements of which the shape knows nothing, by their path."""
    if shape.type_name == "list":
        if shape.serialization.get("flattened"):
            yield from unknown(element, shape.member, path)
            return
        name = shape.member.serialization.get("name", "member")
        for child in element:
            if local(child.tag) != name:
                yield f"{path}/{local(child.tag)}"
            else:
                yield from unknown(child, shape.member, f"{path}/{name}")
        return
    if shape.type_name != "structure":
        if len(element):
            yield f"{path}/{local(element[0].tag)}"
        return
    members = {
        member.serialization.get("name") or _element_name(name, member): member
        for name, member in shape.members.items()
    }
    for child in element:
        name = local(child.tag)
        if name not in members:
            yield f"{path}/{name}"
        else:
            yield from unknown(child, members[name], f"{path}/{name}")


def _element_name(name: str, member: Shape) -> str:
    """Of a flattened list that has no name of its own, its members'."""
    if member.type_name == "list" and member.serialization.get("flattened"):
        return member.member.serialization.get("name") or name
    return name


def sample(shape: Shape, name: str = "") -> Any:
    """The least that the model takes."""
    if name == "Bucket":
        return "pile"
    match shape.type_name:
        case "structure":
            wanted = list(shape.members)[:1] if shape.is_tagged_union else shape.required_members
            return {each: sample(shape.members[each], each) for each in wanted}
        case "list":
            return [sample(shape.member)]
        case "map":
            return {}
        case "string":
            return shape.enum[0] if getattr(shape, "enum", None) else "o" * shape.metadata.get("min", 1)
        case "integer" | "long":
            return 1
        case "boolean":
            return True
        case "timestamp":
            return datetime(2030, 1, 1, tzinfo=UTC)
        case "blob":
            return b"x"
        case kind:
            raise AssertionError(kind)

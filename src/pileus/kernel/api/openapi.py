"""An OpenAPI 3.1 document of any service, derived from its declarations at one of its versions.

What isn't declared isn't there: bodies that a handler reads itself are any bytes, answers that nobody declared are
anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from pileus.kernel.api.answer import NOTHING, WHATEVER, Answer, Media, answers
from pileus.kernel.api.bodies import Body, struct_for
from pileus.kernel.api.fields import EXTRAS, Field, Use
from pileus.kernel.api.operation import ANYONE, Kind, Operation
from pileus.kernel.api.query import Param
from pileus.kernel.api.rendering import is_time
from pileus.kernel.api.resource import Resource
from pileus.kernel.api.service import Service
from pileus.kernel.api.versions import Version
from pileus.kernel.http.reply import JSON

Schema = dict[str, Any]
_REF = "#/components/schemas/{name}"
_ANY: Schema = {}
_PATH_PARAMETER = re.compile(r"\{(\w+)(?::path)?\}")
_METHODS = frozenset(["delete", "get", "head", "options", "patch", "post", "put", "trace"])
OR_NOTHING = "x-or-nothing"
"""Says of a response that it may be without the content that is described: OpenAPI has no word for that."""


def key_of(method: str) -> str:
    """What a path has an operation under; methods that OpenAPI does not know, such as COPY, are extensions."""
    return name if (name := method.lower()) in _METHODS else f"x-{name}"


def document(service: Service, version: Version | None = None) -> Schema:
    """The whole document, ready to be encoded as JSON; at the newest version unless another is asked for."""
    if version is None and service.versions is not None:
        version = service.versions.newest()
    return _Document(service, version).build()


class _Document:
    def __init__(self, service: Service, version: Version | None) -> None:
        self._service = service
        self._version = version
        self._operations = [each for each in service.operations() if each[1].alive(version)]
        self._schemas = _Schemas(self._types())

    def build(self) -> Schema:
        paths: dict[str, Schema] = {}
        for (path, method), operations in self._by_endpoint().items():
            paths.setdefault(path, {})[method] = self._endpoint(path, method, operations)
        shown = self._shown()
        if clash := shown.keys() & self._schemas.components.keys():
            raise TypeError(f"{self._service.name}: a struct is called as a resource is: {', '.join(clash)}")
        return {
            "openapi": "3.1.0",
            "info": {"title": self._service.name, "version": str(self._version or "1")},
            "servers": [{"url": "/"}],
            "paths": dict(sorted(paths.items())),
            "components": {
                "schemas": {**self._schemas.components, **shown},
                "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}},
            },
        }

    def _by_endpoint(self) -> Mapping[tuple[str, str], list[Operation]]:
        """Operations by path and method; of actions there are several behind one."""
        found: dict[tuple[str, str], list[Operation]] = {}
        for path, operation in self._operations:
            plain = _PATH_PARAMETER.sub(r"{\1}", path)
            found.setdefault((plain, key_of(operation.method)), []).append(operation)
        return found

    def _endpoint(self, path: str, method: str, operations: Sequence[Operation]) -> Schema:
        first = operations[0]
        described: Schema = {
            "operationId": f"{method} {path}",
            "summary": first.summary
            if len(operations) == 1
            else "One of several actions, told apart by name.",
            "parameters": [*self._path_parameters(path), *self._query_parameters(first)],
            "responses": {
                **self._responses(operations),
                "default": {"description": "An error in the words of this API."},
            },
        }
        if first.policy is not ANYONE:
            described["security"] = [{"token": []}]
        if (body := self._request_body(operations)) is not None:
            described["requestBody"] = body
        return described

    # Parameters

    def _path_parameters(self, path: str) -> Iterator[Schema]:
        for name in _PATH_PARAMETER.findall(path):
            yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}

    def _query_parameters(self, operation: Operation) -> Iterator[Schema]:
        if operation.query is not None:
            # A family of names can't be described; its stem is there as a parameter of its own.
            params = [each for each in operation.query if each.alive(self._version) and each.suffix is None]
        else:
            params = list(self._filters(operation))
        for param in params:
            schema = self._schemas.of(param.type)
            yield {"name": param.name, "in": "query", "required": param.required, "schema": schema}

    def _filters(self, operation: Operation) -> Iterator[Param]:
        """What every declared list takes."""
        resource = operation.resource
        if operation.kind is not Kind.LIST or resource is None:
            return
        for each in resource.fields.values():
            if Use.filter in each.use and each.alive(self._version):
                yield Param(name=each.wire)
        for name in resource.filters:
            yield Param(name=name)
        keys = tuple(each.wire for each in resource.fields.values() if Use.sort in each.use)
        yield Param(name="limit", type=int)
        yield Param(name="marker")
        if keys:
            yield Param(name="sort_key")
            yield Param(name="sort_dir")

    # Bodies

    def _request_body(self, operations: Sequence[Operation]) -> Schema | None:
        first = operations[0]
        if first.raw:
            return {"content": {"application/octet-stream": {"schema": _ANY}}}
        schemas = [schema for each in operations if (schema := self._body(each)) is not None]
        if not schemas:
            return None
        schema = schemas[0] if len(schemas) == 1 else {"oneOf": schemas}
        return {"required": True, "content": {JSON: {"schema": schema}}}

    def _body(self, operation: Operation) -> Schema | None:
        if operation.kind is Kind.ACTION:
            assert operation.action is not None
            inner = _ANY if operation.body is None else self._body_of(operation.body)
            return _wrapped(operation.action, inner)
        if operation.body is not None:
            return self._body_of(operation.body)
        if operation.kind in (Kind.CREATE, Kind.UPDATE) and operation.resource is not None:
            resource = operation.resource
            schema = self._schemas.of(struct_for(resource, operation.kind, self._version))
            if not self._service.dialect.wrapped:
                return schema
            return self._or_several(operation, _wrapped(resource.member, schema), schema)
        return None

    def _body_of(self, kind: Any) -> Schema:
        if not (isinstance(kind, type) and issubclass(kind, Body)):
            return self._schemas.of(kind)
        schema = self._schemas.of(kind.at(self._version))
        if kind.wrapper is None:
            return schema
        whole = _wrapped(kind.wrapper, schema)
        if kind.beside is not None:
            beside = [each for each in kind.beside.fields if each.alive(self._version)]
            whole["properties"] |= {each.wire: self._schemas.of(each.type) for each in beside}
        return whole

    def _types(self) -> Iterator[Any]:
        """All that bodies and parameters decode to, so that shared structs are described once."""
        for _, operation in self._operations:
            kind = operation.body
            if isinstance(kind, type) and issubclass(kind, Body):
                yield kind.at(self._version)
                yield from (each.type for each in (kind.beside.fields if kind.beside is not None else ()))
            elif kind is not None:
                yield kind
            elif operation.kind in (Kind.CREATE, Kind.UPDATE) and operation.resource is not None:
                yield struct_for(operation.resource, operation.kind, self._version)
            for answer in answers(operation).values():
                yield from filter(None, map(_type_in, _alternatives(answer)))
            yield from (param.type for param in operation.query or ())
        for resource in self._service.resources:
            yield from (each.shows or each.type for each in resource.fields.values())
        yield int
        yield str

    # Answers

    def _responses(self, operations: Sequence[Operation]) -> dict[str, Schema]:
        """By status; several actions behind one path may answer differently with the same one."""
        found: dict[int, list[tuple[Operation, Answer]]] = {}
        for operation in operations:
            for status, answer in answers(operation).items():
                found.setdefault(status, []).extend((operation, each) for each in _alternatives(answer))
        return {str(status): self._response(given) for status, given in found.items()}

    def _response(self, given: Sequence[tuple[Operation, Answer]]) -> Schema:
        first, _ = given[0]
        described: Schema = {"description": first.summary or first.label}
        content: dict[str, list[Schema]] = {}
        for operation, answer in given:
            if answer is not NOTHING:
                media, schema = self._content(operation, answer)
                schemas = content.setdefault(media, [])
                if schema not in schemas:
                    schemas.append(schema)
        if content:
            described["content"] = {media: _any_of(schemas) for media, schemas in content.items()}
            if any(answer is NOTHING for _, answer in given):
                described[OR_NOTHING] = True
        return described

    def _content(self, operation: Operation, answer: Answer) -> tuple[str, Schema]:
        """Its media type, and its schema; where there is none, anything."""
        if answer is None:  # nobody has declared it
            answer = WHATEVER
        if isinstance(answer, Media):
            shape = _ANY if answer.shape is None else self._schemas.of(answer.shape)
            return answer.type, {**shape, **(answer.schema or {})}
        return JSON, self._schemas.of(answer) if _is_type(answer) else self._shows(operation, answer)

    def _shows(self, operation: Operation, shown: type[Resource] | list[type[Resource]]) -> Schema:
        resource = shown[0] if isinstance(shown, list) else shown
        one = {"$ref": _REF.format(name=resource.__name__)}
        if isinstance(shown, list):
            return _several(resource, one)
        if not self._service.dialect.wrapped:
            return one
        return self._or_several(operation, _wrapped(resource.member, one), one)

    def _or_several(self, operation: Operation, wrapped: Schema, one: Schema) -> Schema:
        """The envelope of one, or of several where clients may make them at once."""
        if operation.kind is not Kind.CREATE or operation.resource is None or not self._service.dialect.bulk:
            return wrapped
        return {"oneOf": [wrapped, _several(operation.resource, one, minItems=1)]}

    def _shown(self) -> dict[str, Schema]:
        return {each.__name__: self._resource(each) for each in self._service.resources}

    def _resource(self, resource: type[Resource]) -> Schema:
        fields = [
            each
            for each in resource.fields.values()
            if Use.hidden not in each.use and each.alive(self._version)
        ]
        schema = {"type": "object", "properties": {each.wire: self._field(each) for each in fields}}
        return {**schema, "additionalProperties": resource.extras is not None}

    def _field(self, each: Field) -> Schema:
        if isinstance(each.shows, list):
            return {"type": "array", "items": {"$ref": _REF.format(name=each.shows[0].__name__)}}
        if is_time(each.type):
            return {"type": ["string", "null"], "format": "date-time"}
        return self._schemas.of(each.shows or each.type)


def _alternatives(answer: Answer) -> tuple[Answer, ...]:
    return answer if isinstance(answer, tuple) else (answer,)


def _is_type(answer: Answer) -> bool:
    """Whether it is the JSON's whole type, and not something that is shown in an envelope."""
    if answer is None or answer is NOTHING or isinstance(answer, Media | list):
        return False
    return not (isinstance(answer, type) and issubclass(answer, Resource))


def _type_in(answer: Answer) -> Any:
    """The type that says what is in it; None where it is something else."""
    if isinstance(answer, Media):
        return answer.shape
    return answer if _is_type(answer) else None


class _Schemas:
    """JSON schemas of types; structs are components, referred to by name."""

    def __init__(self, types: Iterable[Any]) -> None:
        known: list[Any] = []
        for each in types:
            if each not in known and _describable(each):
                known.append(each)
        schemas, components = msgspec.json.schema_components(known, ref_template=_REF)
        self._types = known
        self._by_type: list[Schema] = [_portable(schema) for schema in schemas]
        self.components = {name: _portable(_open_ended(schema)) for name, schema in components.items()}

    def of(self, kind: Any) -> Schema:
        """The schema of a type; any JSON where the type says no more."""
        try:
            return self._by_type[self._types.index(kind)]
        except ValueError:
            return _ANY


def _describable(kind: Any) -> bool:
    try:
        msgspec.json.schema(kind)
    except TypeError:  # a type of our own, rendered by hand
        return False
    return True


def _open_ended(schema: Schema) -> Schema:
    """A struct that gathers what it does not declare takes any name besides."""
    properties = schema.get("properties", {})
    if EXTRAS not in properties:
        return schema
    rest = {name: each for name, each in properties.items() if name != EXTRAS}
    return {**schema, "properties": rest, "additionalProperties": True}


def _portable(value: Any) -> Any:
    """Patterns without Python's \\Z, which ECMA-262's regular expressions lack; there $ means that."""
    if isinstance(value, dict):
        return {
            name: each.replace(r"\Z", "$") if name == "pattern" and isinstance(each, str) else _portable(each)
            for name, each in value.items()
        }
    return [_portable(each) for each in value] if isinstance(value, list) else value


def _any_of(schemas: Sequence[Schema]) -> Schema:
    """Content of one of these schemas."""
    if _ANY in schemas:
        return {}
    return {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}


def _several(resource: type[Resource], one: Schema, **more: int) -> Schema:
    return _wrapped(resource.collection, {"type": "array", "items": one, **more})


def _wrapped(name: str, schema: Schema) -> Schema:
    return {"type": "object", "properties": {name: schema}, "required": [name]}

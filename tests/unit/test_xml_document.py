"""XML as structs: what is written is read, and bombs do not go off."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.lib.xml_document import MAX_DEPTH, Document, XmlError, decode, encode


class Grantee(Document):
    kind: str = msgspec.field(name="@type")
    id: str | None = msgspec.field(name="ID", default=None)


class Box(Document):
    name: str
    size: int | None = None
    open: bool | None = None
    at: datetime | None = None
    grantee: list[Grantee] = []
    inner: Box | None = None


def read(text: str | bytes) -> Box:
    return decode(text if isinstance(text, bytes) else text.encode(), Box, "Box")


def test_reads_what_clients_send() -> None:
    box = read(
        '<?xml version="1.0"?><Box xmlns="urn:x" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        "<Name> a &lt; b&#228; </Name>\n<Size> 7 </Size><Open>true</Open><At>2026-01-31T00:00:00Z</At>"
        '<Grantee xsi:type="Group"><ID>1</ID></Grantee><Grantee xsi:type="User"/>'
        "<Inner><Name>null</Name></Inner></Box>"
    )
    assert (box.name, box.size, box.open) == (" a < bä ", 7, True)
    assert box.at == datetime(2026, 1, 31, tzinfo=UTC)
    assert [(each.kind, each.id) for each in box.grantee] == [("Group", "1"), ("User", None)]
    assert box.inner == Box(name="null")
    assert decode(encode(box, "Box", "urn:x"), Box, "Box") == box


text = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))


@given(text, st.integers(), st.booleans(), st.lists(text))
def test_what_is_written_is_read(name: str, size: int, is_open: bool, kinds: list[str]) -> None:
    inner = Box(name=name, grantee=[Grantee(kind=" ".join(each.split()), id=each) for each in kinds])
    box = Box(name=name, size=size, open=is_open, inner=inner)
    if abs(size) < 2**63:
        assert decode(encode(box, "Box", "urn:x"), Box, "Box") == box


_REFERENCE = "&e{};"
BOMB = "".join(f'<!ENTITY e{n} "{_REFERENCE.format(n - 1) * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    "body",
    [
        "",
        "text",
        "<Box>",
        "<Other/>",
        "<Box/>",
        "<Box><Name/><Name/></Box>",
        "<Box><Name/><Unknown/></Box>",
        "<Box><Name><b/></Name></Box>",
        "<Box><Name/>text</Box>",
        "<Box><Name/><Size>x</Size></Box>",
        f"<Box><Name/><Size>{'9' * 5000}</Size></Box>",
        "<Box><Name/><Open>maybe</Open></Box>",
        "<Box><Name/><At>yesterday</At></Box>",
        "<Box><Name/><Grantee/></Box>",
        "<Box><Name>&nbsp;</Name></Box>",
        "<x:Box><Name/></x:Box>",
        "<Box><Name>\0</Name></Box>",
        b"<Box><Name>\xff</Name></Box>",
        '<?xml version="1.0" encoding="klingon"?><Box><Name/></Box>',
        '<!DOCTYPE Box SYSTEM "file:///etc/passwd"><Box><Name/></Box>',
        f'<!DOCTYPE Box [<!ENTITY e0 "ha">{BOMB}]><Box><Name>&e9;</Name></Box>',
        '<!DOCTYPE Box [<!ENTITY x SYSTEM "file:///etc/passwd">]><Box><Name>&x;</Name></Box>',
        "<Box><Name/>" + "<Inner>" * (MAX_DEPTH + 1) + "</Inner>" * (MAX_DEPTH + 1) + "</Box>",
        "<Box><Name/>" + "<Grantee/>" * 20_001 + "</Box>",
    ],
)
def test_what_is_refused(body: str | bytes) -> None:
    with pytest.raises(XmlError):
        read(body)


@given(st.binary(max_size=200))
def test_rubbish(body: bytes) -> None:
    with pytest.raises(XmlError):
        read(body)

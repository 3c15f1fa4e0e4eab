"""The OVSDB client against a server that is played."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from pileus.drivers import ovsdb
from pileus.drivers.ovsdb import Uuid

Answer = Callable[[dict[str, Any]], list[dict[str, Any]]]


class Server:
    """Answers each message with what `answer` makes of it, in pieces of a few bytes if asked to."""

    def __init__(self, path: Path, answer: Answer, piece: int = 1 << 16) -> None:
        self.path, self.answer, self.piece = str(path), answer, piece
        self.heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Server:
        self._server = await asyncio.start_unix_server(self._serve, self.path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.hang_up()

    def hang_up(self) -> None:
        for writer in self.writers:
            writer.close()
        self.writers.clear()

    async def send(self, *messages: dict[str, Any]) -> None:
        text = "".join(json.dumps(message) for message in messages).encode()
        for start in range(0, len(text), self.piece):
            self.writers[-1].write(text[start : start + self.piece])
            await self.writers[-1].drain()
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        buffer = ""
        while chunk := await reader.read(1 << 16):
            buffer += chunk.decode()
            while buffer:
                message, end = json.JSONDecoder().raw_decode(buffer)
                buffer = buffer[end:]
                self.heard.put_nowait(message)
                await self.send(*self.answer(message))


def reply(message: dict[str, Any], result: Any) -> dict[str, Any]:
    return {"id": message["id"], "result": result, "error": None}


def told(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(60):
            await story()

    asyncio.run(limited())


def rows_of(**rows: dict[str, Any]) -> dict[str, Any]:
    return {"T": {row_id: {"new": row} for row_id, row in rows.items()}}


@pytest.mark.parametrize("piece", [1, 7, 1 << 16])
def test_messages_arrive_whole_however_they_are_cut(tmp_path: Path, piece: int) -> None:
    def answer(message: dict[str, Any]) -> list[dict[str, Any]]:
        if message["method"] == "monitor":
            return [reply(message, rows_of(a={"name": "brace } and \u00fc", "refs": ["uuid", "b"]}))]
        update = {"T": {"a": {"new": {"name": "{", "refs": ["set", []]}}, "c": {"new": {"name": ""}}}}
        return [{"id": None, "method": "update", "params": [None, update]}, reply(message, [{"count": 1}])]

    async def story() -> None:
        async with Server(tmp_path / "s", answer, piece) as server:
            database = ovsdb.Database(server.path, "D", {"T": ("name", "refs")})
            await database.open()
            first = {"name": frozenset({"brace } and \u00fc"}), "refs": frozenset({Uuid("b")})}
            assert database.rows == {"T": {"a": first}}
            assert await database.transact({"op": "x"}) == [{"count": 1}]
            assert database.rows["T"]["a"] == {"name": frozenset({"{"}), "refs": frozenset()}
            assert set(database.rows["T"]) == {"a", "c"}
            await database.close()

    told(story)


def test_refusals_are_told_apart(tmp_path: Path) -> None:
    errors = ["timed out", "duplicate uuid", "referential integrity violation", "constraint violation"]

    def answer(message: dict[str, Any]) -> list[dict[str, Any]]:
        return [reply(message, [{}, {"error": errors.pop(0), "details": "the details"}])]

    async def story() -> None:
        async with Server(tmp_path / "s", answer) as server:
            database = ovsdb.Database(server.path, "D", {})
            for _ in range(3):
                with pytest.raises(ovsdb.Conflict, match="the details"):
                    await database.transact({"op": "x"})
            with pytest.raises(ovsdb.OvsdbError, match="the details") as caught:
                await database.transact({"op": "x"})
            assert not isinstance(caught.value, ovsdb.Conflict)
            await database.close()

    told(story)


def test_a_broken_connection_is_made_again_and_what_changed_is_told(tmp_path: Path) -> None:
    contents = [rows_of(a={"name": "1"}, b={"name": "1"}), rows_of(a={"name": "2"}, c={"name": "1"})]

    def answer(message: dict[str, Any]) -> list[dict[str, Any]]:
        return [reply(message, contents.pop(0))] if message["method"] == "monitor" else []

    async def story() -> None:
        async with Server(tmp_path / "s", answer) as server:
            database = ovsdb.Database(server.path, "D", {"T": ("name",)})
            await database.open()
            changed: dict[str, bool] = {}
            whole = asyncio.Event()

            def watch(table: str, row_id: str, old: ovsdb.Row | None, new: ovsdb.Row | None) -> None:
                changed[row_id] = new is not None
                if len(changed) == 3:
                    whole.set()

            database.watch(watch)
            unanswered = asyncio.create_task(database.transact({"op": "x"}))
            assert [(await server.heard.get())["method"] for _ in range(2)] == ["monitor", "transact"]
            server.hang_up()
            with pytest.raises(ovsdb.OvsdbError, match="went away"):
                await unanswered
            await whole.wait()
            assert changed == {"a": True, "b": False, "c": True}
            await database.close()

    told(story)


def test_the_servers_question_whether_we_live_is_answered(tmp_path: Path) -> None:
    def answer(message: dict[str, Any]) -> list[dict[str, Any]]:
        if message.get("method") == "transact":
            return [{"id": "echo", "method": "echo", "params": ["still there?"]}, reply(message, [])]
        return []

    async def story() -> None:
        async with Server(tmp_path / "s", answer) as server:
            database = ovsdb.Database(server.path, "D", {})
            await database.transact({"op": "x"})
            assert (await server.heard.get())["method"] == "transact"
            assert await server.heard.get() == {"id": "echo", "result": ["still there?"], "error": None}
            await database.close()

    told(story)


def test_a_server_that_is_not_there_or_says_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        with pytest.raises(ovsdb.OvsdbError, match=r"s does not answer: .*No such file"):
            await ovsdb.transact(str(tmp_path / "s"), {"op": "x"})
        async with Server(tmp_path / "s", lambda message: []) as server:
            with pytest.raises(ovsdb.OvsdbError, match=r"no answer within 0\.1 s"):
                await ovsdb.transact(server.path, {"op": "x"}, timeout=0.1)

    told(story)


def test_a_socket_far_down_the_tree(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)

    async def story() -> None:
        async with Server(tmp_path / "s", lambda message: [reply(message, [{"count": 2}])]):
            (tmp_path / "s").rename(deep / "s")
            assert await ovsdb.transact(str(deep / "s"), {"op": "x"}) == [{"count": 2}]

    told(story)


def test_values_in_the_notation_of_the_rfc() -> None:
    value = {"a": [Uuid("u"), 1, "x"], "b": {"k": "v"}, "c": True}
    encoded = {name: ovsdb.encode(item) for name, item in value.items()}
    assert encoded == {"a": ["set", [["uuid", "u"], 1, "x"]], "b": ["map", [["k", "v"]]], "c": True}

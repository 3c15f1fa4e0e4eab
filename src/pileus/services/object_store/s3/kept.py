"""What is kept with an object beside its own metadata: read and changed without touching its bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from pileus.kernel.errors import Unavailable
from pileus.services.object_store import metadata
from pileus.services.object_store.driver import DeviceError, Missing, Superseded
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.request import Request, no_such_key

Values = Mapping[str, str | None]
"""By name in `system`; None takes away."""


async def system(request: Request) -> Mapping[str, str]:
    """404 where there is no such object."""
    version = await request.state.find(request.name)
    if version is None:
        raise no_such_key(request.key)
    return metadata.decode(version.metadata).system


async def change(request: Request, values: Values | Callable[[Mapping[str, str]], Values]) -> None:
    """Sets some; given a function, by what is kept now. 404 where there is no such object. Durable."""
    state = request.state

    def changed(old: bytes) -> bytes:
        was = metadata.decode(old)
        wanted = values(was.system) if callable(values) else values
        new = {name: value for name, value in was.system.items() if name not in wanted}
        new |= {name: value for name, value in wanted.items() if value is not None}
        return metadata.encode(msgspec.structs.replace(was, system=new))

    try:
        if await state.find(request.name) is None:
            raise Missing
        device = await state.device_of(request.name)
        await device.update(state.key(request.name), state.now(), changed)
    except Missing:
        raise no_such_key(request.key) from None
    except Superseded as newer:
        raise S3Error(
            "OperationAborted", "Another request changed the object at the same time; try again."
        ) from newer
    except DeviceError as error:
        raise Unavailable(str(error)) from error

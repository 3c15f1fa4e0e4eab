"""Whose a bucket is. S3 has one space of names for all; Swift has one for each account.

Who asks for a bucket gets the container of that name in its own account. Only where there is none, and for nobody in
particular, this register is asked: it has every bucket that was made through S3, or opened to others through S3, with
the account that it is in. So no container of Swift's can be taken for somebody else's bucket.

It is kept where accounts are kept, as an account that no project can have.
"""

from __future__ import annotations

from pileus.services.object_store.listings import Metadata, NoSuchContainer
from pileus.services.object_store.state import ObjectStoreState

ACCOUNT = ".s3-buckets"
_OWNER = "owner"


async def owner(state: ObjectStoreState, bucket: str) -> str | None:
    """The account that has the bucket."""
    info = await state.container(ACCOUNT, bucket)
    return None if info is None else info.metadata.get(_OWNER)


async def claim(state: ObjectStoreState, bucket: str, account: str) -> str:
    """Enters a bucket, unless there is one of that name; returns whose it is now."""
    found = await owner(state, bucket)
    if found is not None:
        return found

    def change(old: Metadata) -> Metadata:
        return old if _OWNER in old else {_OWNER: account}

    await state.listings.set_container(ACCOUNT, bucket, state.now(), change, make=True)
    state.forget(ACCOUNT, bucket)
    return await owner(state, bucket) or account


async def release(state: ObjectStoreState, bucket: str, account: str) -> None:
    """Of a bucket that is gone."""
    if await owner(state, bucket) != account:
        return
    try:
        await state.listings.delete_container(ACCOUNT, bucket)
    except NoSuchContainer:
        pass
    finally:
        state.forget(ACCOUNT, bucket)

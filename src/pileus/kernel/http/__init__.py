"""HTTP as plain ASGI: routing, replies, calling one another, serving."""

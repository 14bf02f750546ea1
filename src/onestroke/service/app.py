"""The HTTP side of the service (FastAPI): reads requests within their limits, answers, counts.

It never takes a path or an address from a request: styles are those it was started with, pictures come in the body.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from onestroke.inference.stylizer import Stylizer
from onestroke.service.limits import Limits, Refused
from onestroke.service.site import Site
from onestroke.service.studio import KINDS, Order, Studio

_BODY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_FORM: dict[str, Any] = {"schema": {"type": "object", "properties": {"picture": _BODY["schema"]}}}


def create_app(stylizers: Mapping[str, Stylizer], limits: Limits, token: str = "", site: Site | None = None) -> FastAPI:
    """The application. `token`: what `Authorization: Bearer` must hold; empty: nobody is asked. `site`: for all, at "/"."""
    studio = Studio(stylizers, limits)
    registry = CollectorRegistry()
    answers = Counter("onestroke_answers", "Answers by status of HTTP", ["status"], registry=registry)
    seconds = Histogram("onestroke_paint_seconds", "Seconds from bytes to bytes, waiting included", registry=registry)
    Gauge("onestroke_waiting", "Pictures painted or waiting", registry=registry).set_function(lambda: studio.waiting)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(studio.close)

    app = FastAPI(title="onestroke", description="A painting's style on your photos.", lifespan=life)

    def allowed(request: Request) -> None:
        if token and not hmac.compare_digest(request.headers.get("authorization", "").encode(), f"Bearer {token}".encode()):
            raise HTTPException(401, "a token is needed: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})

    @app.exception_handler(Refused)
    async def refuse(_: Request, error: Refused) -> Response:
        headers = {"Retry-After": str(error.retry)} if error.retry else None
        return Response(error.reason + "\n", error.status, headers, "text/plain")

    @app.middleware("http")
    async def count(request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        answers.labels(response.status_code).inc()
        return response

    @app.head("/health", include_in_schema=False)
    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"status": "ok", "waiting": studio.waiting}

    @app.get("/styles", dependencies=[Depends(allowed)])
    async def styles() -> list[dict[str, Any]]:
        cards = {name: stylizer.card for name, stylizer in stylizers.items()}
        return [
            {"name": name, "painting": card.painting, "license": card.license, "strongest": card.strongest}
            for name, card in cards.items()
        ]

    @app.get("/metrics", dependencies=[Depends(allowed)], response_class=Response)
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @app.post(
        "/stylize",
        dependencies=[Depends(allowed)],
        response_class=Response,
        responses={200: {"content": {"image/jpeg": {}, "image/png": {}, "image/webp": {}}}},
        openapi_extra={"requestBody": {"required": True, "content": {"image/*": _BODY, "multipart/form-data": _FORM}}},
    )
    async def stylize(
        request: Request,
        style: Annotated[str, Query(description="a name of /styles")],
        strength: Annotated[float, Query(ge=0, description="0: the photo, 1: the style")] = 1.0,
        size: Annotated[int | None, Query(ge=1, le=100_000, description="longer side of the result in pixels")] = None,
        keep_colors: Annotated[bool, Query(description="light from the style, colors from the photo")] = False,
        format: Annotated[str, Query(pattern=f"^({'|'.join(KINDS)})?$")] = "",
    ) -> Response:
        began = time.monotonic()
        body = await _picture(request, limits)
        painted, kind = await studio.paint(body, Order(style, strength, size, keep_colors, format))
        seconds.observe(time.monotonic() - began)
        return Response(painted, media_type=f"image/{kind.lower()}")

    if site is not None:
        app.mount("/", site)  # last: whatever is not of the service itself
    return app


async def _picture(request: Request, limits: Limits) -> bytes:
    """The request's picture, out of its form where it is one. Raises Refused for too many bytes, or too slow ones."""
    try:
        body = await asyncio.wait_for(_body(request, int(limits.megabytes * 1e6)), limits.seconds)
    except ClientDisconnect:
        raise Refused(400, "the connection ended before the picture did") from None
    except TimeoutError:
        raise Refused(408, f"the picture was not here within {limits.seconds:g} s") from None
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        body = await _part(request, body)
    if not body:
        raise Refused(422, "no picture: send its bytes as the body, or as the field `picture` of a form")
    return body


async def _body(request: Request, most: int) -> bytes:
    parts, total = [], 0
    async for chunk in request.stream():
        total += len(chunk)
        if total > most:
            raise Refused(413, f"more than {most / 1e6:g} MB; send a smaller file")
        parts.append(chunk)
    return b"".join(parts)


async def _part(request: Request, body: bytes) -> bytes:
    """The only file of a form."""

    async def whole() -> AsyncIterator[bytes]:
        yield body

    try:
        form = await MultiPartParser(request.headers, whole(), max_files=1, max_fields=8).parse()  # type: ignore[arg-type]
    except (MultiPartException, KeyError) as error:
        raise Refused(422, f"not a form that can be read ({error})") from None
    files = [value for _, value in form.multi_items() if not isinstance(value, str)]
    try:
        return await files[0].read() if files else b""
    finally:
        await form.close()

import asyncio
import traceback

import httpx
import pytest
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, Router

from isocenter.app.http.boundary import AnswerBroken, Boundary
from isocenter.app.http.headers import SecurityHeaders
from isocenter.app.http.limits import RequestLimits
from isocenter.app.http.options import HttpOptions
from isocenter.app.http.origin import SameOrigin

COOKIE = "isocenter_session"


async def echo(request):
    return PlainTextResponse(f"{len(await request.body())}")


async def broken(request):
    raise RuntimeError("Phantom^Ada")


async def broken_late(request):
    async def body():
        yield b"begun"
        raise RuntimeError("Phantom^Ada")

    return StreamingResponse(body())


INNER = Router([
    Route("/echo", echo, methods=["GET", "POST"]),
    Route("/dicomweb/studies", echo, methods=["POST"]),
    Route("/broken", broken),
    Route("/late", broken_late),
])


def door(**options):
    inner = SameOrigin(INNER, session_cookie=COOKIE)
    inner = RequestLimits(inner, options=HttpOptions(**options))
    return Boundary(SecurityHeaders(inner, tls=True))


def request(method, path, *, application=None, **arguments):
    async def play():
        transport = httpx.ASGITransport(application or door(), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="https://pacs.test") as client:
            return await client.request(method, path, **arguments)

    return asyncio.run(play())


async def chunks(count, size):
    for _ in range(count):
        yield b"x" * size


def test_every_answer_carries_the_headers():
    answer = request("GET", "/echo")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "max-age" in answer.headers["strict-transport-security"]


def test_named_origins_may_show_our_pages_in_a_frame():
    framed = SecurityHeaders(INNER, tls=True, frame_ancestors=frozenset({"https://ehr.test"}))
    answer = request("GET", "/echo", application=framed)
    assert "frame-ancestors https://ehr.test" in answer.headers["content-security-policy"]
    assert "x-frame-options" not in answer.headers


def test_a_refusal_carries_the_headers_too():
    answer = request("POST", "/echo", headers={"origin": "https://elsewhere.test"})
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert "content-security-policy" in answer.headers


SESSION = {"cookie": f"{COOKIE}=secret"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({**SESSION, "origin": "https://pacs.test"}, 200),
        ({**SESSION, "origin": "https://PACS.test"}, 200),
        ({**SESSION, "sec-fetch-site": "same-origin"}, 200),
        ({**SESSION, "origin": "https://elsewhere.test"}, 403),
        ({**SESSION, "origin": "https://pacs.test.elsewhere.test"}, 403),
        ({**SESSION, "origin": "https://pacs.test:444"}, 403),
        ({**SESSION, "origin": "null"}, 403),
        ({**SESSION, "sec-fetch-site": "cross-site"}, 403),
        ({**SESSION, "sec-fetch-site": "same-site"}, 403),
        (SESSION, 403),
        # a session beside a token: the session would count if the token did not
        ({**SESSION, "authorization": "Bearer t", "origin": "https://elsewhere.test"}, 403),
        ({"authorization": "Bearer t", "origin": "https://elsewhere.test"}, 200),
        ({"authorization": "Bearer t"}, 200),
        # signing somebody in from another site
        ({"origin": "https://elsewhere.test"}, 403),
        ({}, 200),
    ],
)
def test_another_site_cannot_make_a_browser_act(headers, status):
    assert request("POST", "/echo", headers=headers).status_code == status


def test_reading_is_not_an_act():
    assert request("GET", "/echo", headers={**SESSION, "sec-fetch-site": "cross-site"}).is_success


def test_an_announced_body_that_is_too_large_is_refused_before_it_is_sent():
    answer = request("POST", "/echo", content=b"x" * 11, application=door(body_bytes_max=10))
    assert answer.status_code == 413
    assert (
        request("POST", "/echo", content=b"x" * 10, application=door(body_bytes_max=10)).text
        == "10"
    )


def test_a_body_of_unknown_length_is_counted():
    limited = door(body_bytes_max=100)
    assert request("POST", "/echo", content=chunks(10, 10), application=limited).text == "100"
    assert request("POST", "/echo", content=chunks(11, 10), application=limited).status_code == 413


def test_images_may_be_large():
    limited = door(body_bytes_max=10, upload_bytes_max=100)
    answer = request("POST", "/dicomweb/studies", content=b"x" * 100, application=limited)
    assert answer.text == "100"
    answer = request("POST", "/dicomweb/studies", content=b"x" * 101, application=limited)
    assert answer.status_code == 413


def test_a_length_that_is_no_number_is_refused():
    for length in ("-1", "1e3", "\u0661", ""):
        answer = request("POST", "/echo", headers={"content-length": length.encode()})
        assert answer.status_code == 400, length


def test_a_stalled_body_is_given_up():
    async def stalled():
        yield b"x"
        await asyncio.Event().wait()

    answer = request("POST", "/echo", content=stalled(), application=door(body_idle_s=0.01))
    assert answer.status_code == 408


def test_too_many_requests_at_a_time_are_told_to_come_back():
    answer = request("GET", "/echo", application=door(requests_max=0))
    assert answer.status_code == 503
    assert "retry-after" in answer.headers


def test_only_our_names_are_answered_to():
    named = door(allowed_hosts=frozenset({"pacs.test"}))
    assert request("GET", "/echo", application=named).is_success
    rebound = request("GET", "/echo", application=named, headers={"host": "evil.test:443"})
    assert rebound.status_code == 421


def test_a_defect_is_one_answer_without_its_text():
    answer = request("GET", "/broken")
    assert answer.status_code == 500
    assert answer.json()["kind"] == "fault"
    assert "Phantom" not in answer.text


def test_a_defect_in_the_middle_of_an_answer_breaks_it_off():
    async def play():
        sent = []

        async def send(message):
            sent.append(message)

        received = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def receive():
            for message in received:
                return message
            return await asyncio.Event().wait()

        scope = {
            "type": "http", "method": "GET", "path": "/late", "headers": [], "query_string": b"",
            "raw_path": b"/late", "root_path": "", "scheme": "http", "http_version": "1.1",
            "server": ("pacs.test", 80), "client": ("10.0.0.1", 1),
        }  # fmt: skip
        with pytest.raises(AnswerBroken) as broken_off:
            await door()(scope, receive, send)
        shown = "".join(traceback.format_exception(broken_off.value))
        assert "Phantom" not in shown  # servers log what they catch
        return sent

    sent = asyncio.run(play())
    assert [message["type"] for message in sent].count("http.response.start") == 1

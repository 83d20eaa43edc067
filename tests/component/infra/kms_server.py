"""AWS KMS as far as we use it, for tests: keys that never leave it, and what it refuses.

Signatures are not judged here: ``test_aws_kms`` has curl sign the same requests.
"""

import base64
import http.server
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ARN = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@dataclass
class Kms:
    """A running service and what was asked of it."""

    url: str = ""
    secret: bytes = field(default_factory=lambda: os.urandom(32))
    asked: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    refusal: tuple[int, str] | None = None

    def answer(self, operation: str, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.refusal is not None:
            status, reason = self.refusal
            return status, {"__type": f"com.amazonaws.kms#{reason}", "message": "no"}
        bound = json.dumps([asked["KeyId"], asked["EncryptionContext"]]).encode()
        if operation == "TrentService.GenerateDataKeyWithoutPlaintext":
            nonce = os.urandom(12)
            made = os.urandom(asked["NumberOfBytes"])
            sealed = nonce + AESGCM(self.secret).encrypt(nonce, made, bound)
            return 200, {"KeyId": asked["KeyId"], "CiphertextBlob": _text(sealed)}
        if operation != "TrentService.Decrypt":
            return 400, {"__type": "UnknownOperationException"}
        sealed = base64.b64decode(asked["CiphertextBlob"])
        try:
            key = AESGCM(self.secret).decrypt(sealed[:12], sealed[12:], bound)
        except InvalidTag:
            return 400, {"__type": "InvalidCiphertextException"}
        return 200, {"KeyId": asked["KeyId"], "Plaintext": _text(key)}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Quiet(http.server.BaseHTTPRequestHandler):
    """Says nothing of what it is asked."""

    def log_message(self, *arguments: object) -> None:
        pass

    def tell(self, status: int, content: bytes) -> None:
        """Answer the request."""
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def served(handler: type[Quiet]) -> Iterator[str]:
    """The address of a server on a port of its own."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def running() -> Iterator[Kms]:
    """The service on a port of its own."""
    kms = Kms()

    class Handler(Quiet):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            kms.asked.append((headers, body))
            status, answer = kms.answer(headers.get("x-amz-target", ""), json.loads(body))
            self.tell(status, json.dumps(answer).encode())

    with served(Handler) as kms.url:
        yield kms

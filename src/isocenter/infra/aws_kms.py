"""AWS Key Management Service, as much as a key-encryption key needs: make one, decrypt one.

The key itself is made by KMS and kept encrypted; who starts the product asks KMS to decrypt it, who
may not cannot. Requests are signed here (Signature Version 4): the vendor's library is larger than
everything else in the product.

Standard: AWS Signature Version 4; AWS KMS API, TrentService.20141101
"""

import base64
import hashlib
import hmac
import http.client
import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, cast
from urllib.parse import urlsplit

from isocenter.errors import IsocenterError, Kind
from isocenter.infra.clock import Clock, utc_now

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_SERVICE: Final = "kms"
_CONTENT_TYPE: Final = "application/x-amz-json-1.1"
# What the ciphertext is bound to: KMS decrypts it with nothing else, and logs it.
_CONTEXT: Final = {"purpose": "isocenter key-encryption key"}
_TIMEOUT_S: Final = 20.0
_ANSWER_BYTES_MAX: Final = 1 << 20
_KEY_BYTES: Final = 32
_ARN: Final = re.compile(r"arn:aws[a-z-]*:kms:([a-z0-9-]+):\d{12}:(key|alias)/[\w/-]{1,256}")
_REFUSALS: Final = frozenset({403, 400})


class KeyServiceRefused(IsocenterError):
    """KMS answers, and does not give the key; the message has its reason."""

    kind: ClassVar[Kind] = Kind.FORBIDDEN


class KeyServiceUnavailable(IsocenterError):
    """KMS does not answer, or not as it should."""

    kind: ClassVar[Kind] = Kind.UNAVAILABLE


class BadKeyName(IsocenterError):
    """The name of a key of KMS is no ARN of a key or alias."""

    kind: ClassVar[Kind] = Kind.INCORRECT


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who asks. ``session_token`` is empty for keys that last."""

    access_key_id: str
    secret_access_key: str
    session_token: str = ""

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"Credentials({self.access_key_id})"


def region_of(key_arn: str) -> str:
    """The region of a key or alias. Raises ``BadKeyName``."""
    found = _ARN.fullmatch(key_arn)
    if found is None:
        raise BadKeyName("a key of AWS KMS is named by its ARN: arn:aws:kms:REGION:ACCOUNT:key/ID")
    return found[1]


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What a signature is made over. Header names are in lower case; there is no query."""

    host: str
    headers: Mapping[str, str]
    body: bytes
    method: str = "POST"
    path: str = "/"
    query: str = ""


def authorization(
    request: SignedRequest, credentials: Credentials, *, region: str, service: str, now: datetime
) -> str:
    """The Authorization header of a request that is sent at ``now``.

    ``headers`` must hold ``x-amz-date`` as ``amz_date`` writes it.

    Standard: AWS Signature Version 4 (canonical request, string to sign, signing key)
    """
    headers = {**request.headers, "host": request.host}
    names = ";".join(sorted(headers))
    canonical = "\n".join([
        request.method,
        request.path,
        request.query,
        *(f"{name}:{' '.join(headers[name].split())}" for name in sorted(headers)),
        "",
        names,
        hashlib.sha256(request.body).hexdigest(),
    ])
    day = f"{now.astimezone(UTC):%Y%m%d}"
    scope = f"{day}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = "\n".join([_ALGORITHM, amz_date(now), scope, digest])
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    return (
        f"{_ALGORITHM} Credential={credentials.access_key_id}/{scope},"
        f" SignedHeaders={names}, Signature={signature}"
    )


def amz_date(now: datetime) -> str:
    """A moment as ``x-amz-date`` has it."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"


class KeyService:
    """KMS of one region."""

    def __init__(
        self, region: str, credentials: Credentials, *, endpoint: str = "", clock: Clock = utc_now
    ) -> None:
        """``endpoint`` is the URL of another door to it than the public one."""
        self._region = region
        self._credentials = credentials
        self._endpoint = urlsplit(endpoint or f"https://kms.{region}.amazonaws.com")
        self._clock = clock

    def new_key(self, key_arn: str) -> bytes:
        """A fresh key of 32 bytes, encrypted: nobody here sees it.

        Raises:
            KeyServiceRefused, KeyServiceUnavailable
        """
        answer = self._call(
            "GenerateDataKeyWithoutPlaintext",
            {"KeyId": key_arn, "NumberOfBytes": _KEY_BYTES, "EncryptionContext": _CONTEXT},
        )
        return _octets(answer, "CiphertextBlob")

    def decrypt(self, key_arn: str, encrypted: bytes) -> bytes:
        """The key of 32 bytes that ``new_key`` gave encrypted.

        Raises:
            KeyServiceRefused, KeyServiceUnavailable
        """
        answer = self._call(
            "Decrypt",
            {
                "KeyId": key_arn,
                "CiphertextBlob": base64.b64encode(encrypted).decode(),
                "EncryptionContext": _CONTEXT,
            },
        )
        key = _octets(answer, "Plaintext")
        if len(key) != _KEY_BYTES:
            raise KeyServiceUnavailable("AWS KMS gives a key of another length")
        return key

    def _call(self, operation: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        body = json.dumps(asked).encode()
        now = self._clock()
        headers = {
            "content-type": _CONTENT_TYPE,
            "x-amz-date": amz_date(now),
            "x-amz-target": f"TrentService.{operation}",
        }
        if self._credentials.session_token:
            headers["x-amz-security-token"] = self._credentials.session_token
        signed = SignedRequest(self._endpoint.netloc, headers, body)
        headers["authorization"] = authorization(
            signed, self._credentials, region=self._region, service=_SERVICE, now=now
        )
        status, content = self._exchange(headers, body)
        try:
            answer: Any = json.loads(content)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise KeyServiceUnavailable(f"AWS KMS answers {status} and nothing that can be read")
        found = cast("dict[str, Any]", answer)
        if status == http.client.OK:
            return found
        reason = str(found.get("__type", "")).rpartition("#")[2] or str(status)
        if status in _REFUSALS:
            raise KeyServiceRefused(f"AWS KMS refuses {operation}: {reason}")
        raise KeyServiceUnavailable(f"AWS KMS fails at {operation}: {reason}")

    def _exchange(self, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        connection = self._connection()
        try:
            connection.request("POST", "/", body, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.read(_ANSWER_BYTES_MAX)
        except (OSError, http.client.HTTPException) as error:
            raise KeyServiceUnavailable(f"AWS KMS does not answer: {error}") from error
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        host = self._endpoint.netloc
        if self._endpoint.scheme == "http":
            return http.client.HTTPConnection(host, timeout=_TIMEOUT_S)
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, timeout=_TIMEOUT_S, context=context)


def _octets(answer: Mapping[str, Any], name: str) -> bytes:
    try:
        return base64.b64decode(str(answer[name]), validate=True)
    except (KeyError, ValueError) as error:
        raise KeyServiceUnavailable("AWS KMS answers with something else") from error

"""In whose name AWS is asked: where its own programs find credentials, in their order.

The environment, the shared credentials file, the container's endpoint (ECS, EKS Pod Identity), the
instance's metadata service (EC2, version 2 only). What is found is used at once and not kept: who
asks again asks the source again, which is what makes temporary credentials last. Profiles that
assume a role, web identity tokens and single sign-on are not read.

Standard: AWS SDKs and Tools Reference Guide, Standardized credential providers
"""

import configparser
import http.client
import ipaddress
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, cast
from urllib.parse import SplitResult, quote, urlsplit

from isocenter.errors import IsocenterError, Kind
from isocenter.infra.aws_kms import Credentials

_METADATA_ENDPOINT: Final = "http://169.254.169.254"
_SHARED_FILE: Final = "~/.aws/credentials"
_CONTAINER_ENDPOINT: Final = "http://169.254.170.2"
# Besides loopback: to whom a container's token may go in the clear.
_CONTAINER_ADDRESSES: Final = frozenset({"169.254.170.2", "169.254.170.23", "fd00:ec2::23"})
_SESSION_PATH: Final = "/latest/api/token"
_ROLE_PATH: Final = "/latest/meta-data/iam/security-credentials/"
_TIMEOUT_S: Final = 5.0
_METADATA_TIMEOUT_S: Final = 2.0  # outside of EC2 nobody answers
_ANSWER_BYTES_MAX: Final = 1 << 16
_FILE_BYTES_MAX: Final = 1 << 20


class CredentialsUnavailable(IsocenterError):
    """A source of credentials is named and gives none; the message does not hold any."""

    kind: ClassVar[Kind] = Kind.UNAVAILABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialSources:
    """Where credentials may be, as the environment says it; empty where it does not.

    Attributes:
        shared_file: with profiles; None: there is none.
        profile: of the file; empty: ``default``, which may be missing.
        container_token_file: read anew each time; goes before ``container_token``.
        metadata_endpoint: of the instance; empty: it is not to be asked.
    """

    access_key_id: str = ""
    secret_access_key: str = ""
    session_token: str = ""
    shared_file: Path | None = None
    profile: str = ""
    container_relative_uri: str = ""
    container_full_uri: str = ""
    container_token: str = ""
    container_token_file: str = ""
    metadata_endpoint: str = _METADATA_ENDPOINT

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"CredentialSources({self.access_key_id}, {self.profile})"


def sources_of(environment: Mapping[str, str]) -> CredentialSources:
    """Where an environment says that credentials are."""

    def said(name: str) -> str:
        return environment.get(f"AWS_{name}", "")

    try:
        shared = Path(said("SHARED_CREDENTIALS_FILE") or _SHARED_FILE).expanduser()
    except RuntimeError:  # whose home this is, is not known
        shared = None
    disabled = said("EC2_METADATA_DISABLED").lower() == "true"
    return CredentialSources(
        access_key_id=said("ACCESS_KEY_ID"),
        secret_access_key=said("SECRET_ACCESS_KEY"),
        session_token=said("SESSION_TOKEN"),
        shared_file=shared,
        profile=said("PROFILE"),
        container_relative_uri=said("CONTAINER_CREDENTIALS_RELATIVE_URI"),
        container_full_uri=said("CONTAINER_CREDENTIALS_FULL_URI"),
        container_token=said("CONTAINER_AUTHORIZATION_TOKEN"),
        container_token_file=said("CONTAINER_AUTHORIZATION_TOKEN_FILE"),
        metadata_endpoint=""
        if disabled
        else said("EC2_METADATA_SERVICE_ENDPOINT") or _METADATA_ENDPOINT,
    )


def credentials_of(sources: CredentialSources) -> Credentials | None:
    """The credentials of the first source that has some; None where none has.

    Raises:
        CredentialsUnavailable: a source that is named cannot be read, or refuses.
    """
    if sources.access_key_id and sources.secret_access_key:
        return Credentials(sources.access_key_id, sources.secret_access_key, sources.session_token)
    if (found := _of_file(sources)) is not None:
        return found
    if sources.container_relative_uri or sources.container_full_uri:
        return _of_container(sources)
    return _of_instance(sources.metadata_endpoint) if sources.metadata_endpoint else None


def _of_file(sources: CredentialSources) -> Credentials | None:
    written = _written(sources.shared_file)
    profiles = configparser.RawConfigParser(strict=False)
    try:
        profiles.read_string(written)
    except configparser.Error as error:
        raise CredentialsUnavailable("the AWS credentials file is not one of profiles") from error
    profile = sources.profile or "default"
    values = dict(profiles.items(profile)) if profiles.has_section(profile) else {}
    identifier, secret = values.get("aws_access_key_id"), values.get("aws_secret_access_key")
    if identifier and secret:
        return Credentials(identifier, secret, values.get("aws_session_token", ""))
    if sources.profile:
        raise CredentialsUnavailable(
            f"the AWS credentials file has no access key of the profile {profile}"
        )
    return None


def _written(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        with file.open(encoding="utf-8") as opened:
            return opened.read(_FILE_BYTES_MAX)
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no text"
        raise CredentialsUnavailable(f"the AWS credentials file: {reason}") from error


def _of_container(sources: CredentialSources) -> Credentials:
    relative = sources.container_relative_uri
    address = urlsplit(_CONTAINER_ENDPOINT + relative if relative else sources.container_full_uri)
    if not _is_trusted(address):
        raise CredentialsUnavailable(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI names neither an https address nor one of this host"
        )
    token = _container_token(sources)
    path = address.path + (f"?{address.query}" if address.query else "")
    headers = {"authorization": token} if token else {}
    try:
        status, answer = _asked(address, "GET", path or "/", headers, timeout_s=_TIMEOUT_S)
    except OSError as error:
        raise CredentialsUnavailable("the container's credentials endpoint is away") from error
    return _credentials(status, answer, "the container's credentials endpoint")


def _is_trusted(address: SplitResult) -> bool:
    """Whether the container's token may go there."""
    host = address.hostname or ""
    if address.scheme == "https":
        return bool(host)
    if address.scheme != "http":
        return False
    if host == "localhost" or host in _CONTAINER_ADDRESSES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _container_token(sources: CredentialSources) -> str:
    if not sources.container_token_file:
        token = sources.container_token
    else:
        try:
            with Path(sources.container_token_file).open(encoding="ascii") as opened:
                token = opened.read(_ANSWER_BYTES_MAX).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CredentialsUnavailable("the container's token file cannot be read") from error
    if "\r" in token or "\n" in token:
        raise CredentialsUnavailable("the container's token is no header value")
    return token


def _of_instance(endpoint: str) -> Credentials | None:
    """Those of the instance's role; None where this is no instance, or one without a role."""
    address = urlsplit(endpoint)
    lifetime = {"x-aws-ec2-metadata-token-ttl-seconds": "60", "content-length": "0"}

    def asked(method: str, path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        return _asked(address, method, path, headers, timeout_s=_METADATA_TIMEOUT_S)

    try:
        status, token = asked("PUT", _SESSION_PATH, lifetime)
        if status != http.client.OK:
            return None
        session = {"x-aws-ec2-metadata-token": token.decode("ascii").strip()}
        status, roles = asked("GET", _ROLE_PATH, session)
        if status != http.client.OK or not roles.strip():
            return None
        role = roles.decode("ascii").split()[0]
        status, answer = asked("GET", _ROLE_PATH + quote(role), session)
    except (OSError, ValueError):
        return None
    return _credentials(status, answer, "the instance's metadata service")


def _asked(
    address: SplitResult, method: str, path: str, headers: Mapping[str, str], *, timeout_s: float
) -> tuple[int, bytes]:
    """Status and content; neither proxies nor redirections are followed.

    Raises:
        OSError: nobody answers as a web server.
    """
    if address.scheme == "https":
        context = ssl.create_default_context()
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            address.netloc, timeout=timeout_s, context=context
        )
    else:
        connection = http.client.HTTPConnection(address.netloc, timeout=timeout_s)
    try:
        connection.request(method, path, headers=dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read(_ANSWER_BYTES_MAX)
    except http.client.HTTPException as error:
        raise OSError("no answer of a web server") from error
    finally:
        connection.close()


def _credentials(status: int, content: bytes, source: str) -> Credentials:
    """What an endpoint answered. Raises ``CredentialsUnavailable``."""
    try:
        answer: Any = json.loads(content)
    except ValueError:
        answer = None
    said = cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}
    identifier, secret = said.get("AccessKeyId"), said.get("SecretAccessKey")
    if status != http.client.OK or not (isinstance(identifier, str) and isinstance(secret, str)):
        raise CredentialsUnavailable(f"{source} answers {status} and gives no credentials")
    return Credentials(identifier, secret, str(said.get("Token") or ""))

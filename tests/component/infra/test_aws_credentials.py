"""Credentials from where AWS's programs look for them: a file, a container, an instance."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from isocenter.infra.aws_credentials import CredentialsUnavailable, credentials_of, sources_of
from isocenter.infra.aws_kms import Credentials
from tests.component.infra.kms_server import Quiet, served

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "AKIDENV", "AWS_SECRET_ACCESS_KEY": "secret-env"}
FILE = """
[default]
aws_access_key_id = AKIDFILE
aws_secret_access_key = secret%file

[pacs]
aws_access_key_id=AKIDPACS
aws_secret_access_key=secret-pacs
aws_session_token=token-pacs

[empty]
region = eu-central-1
"""
ROLE = "/latest/meta-data/iam/security-credentials/"


@dataclass
class Endpoint:
    """What a container's or an instance's endpoint answers, and what it was asked."""

    url: str = ""
    answers: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def gives(self, path: str, access_key_id: str) -> None:
        said = {"Code": "Success", "AccessKeyId": access_key_id, "SecretAccessKey": "secret"}
        self.answers["GET", path] = 200, json.dumps({**said, "Token": "token"})


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()

    class Handler(Quiet):
        def do_GET(self) -> None:  # noqa: N802 - as the server's base class calls it
            headers = {name.lower(): value for name, value in self.headers.items()}
            made.asked.append((self.command, self.path, headers))
            status, content = made.answers.get((self.command, self.path), (404, "no"))
            self.tell(status, content.encode())

        do_PUT = do_GET  # noqa: N815 - as the server's base class calls it

    with served(Handler) as made.url:
        yield made


@pytest.fixture
def found(tmp_path, endpoint):
    """Finds credentials in an environment whose instance is ``endpoint``."""

    def find(*, file: str = FILE, **environment: str) -> Credentials | None:
        shared = tmp_path / "credentials"
        shared.write_text(file)
        given = {f"AWS_{name}": value for name, value in environment.items()}
        return credentials_of(
            sources_of({
                "AWS_SHARED_CREDENTIALS_FILE": str(shared),
                "AWS_EC2_METADATA_SERVICE_ENDPOINT": endpoint.url,
                **given,
            })
        )

    return find


def test_the_environment_goes_before_all_others(found, endpoint):
    said = {name.removeprefix("AWS_"): value for name, value in ENVIRONMENT.items()}
    full = f"{endpoint.url}/role"
    assert found(**said, CONTAINER_CREDENTIALS_FULL_URI=full) == Credentials(
        "AKIDENV", "secret-env"
    )
    assert found(ACCESS_KEY_ID="AKIDENV") == Credentials("AKIDFILE", "secret%file")  # half of two
    assert endpoint.asked == []


def test_profiles_of_the_shared_file(found, endpoint):
    assert found() == Credentials("AKIDFILE", "secret%file")
    assert found(PROFILE="pacs") == Credentials("AKIDPACS", "secret-pacs", "token-pacs")
    for profile in ("empty", "absent"):
        with pytest.raises(CredentialsUnavailable, match=f"no access key of the profile {profile}"):
            found(PROFILE=profile)
    with pytest.raises(CredentialsUnavailable, match="not one of profiles"):
        found(file="aws_secret_access_key = secret-pacs")
    assert endpoint.asked == []


def test_a_container_is_asked_with_its_token(found, endpoint, tmp_path):
    endpoint.gives("/role?a=1", "AKIDCONTAINER")
    full = f"{endpoint.url}/role?a=1"
    wanted = Credentials("AKIDCONTAINER", "secret", "token")
    given = {"file": "", "CONTAINER_CREDENTIALS_FULL_URI": full}
    assert found(**given, CONTAINER_AUTHORIZATION_TOKEN="one") == wanted
    assert endpoint.asked[-1][2]["authorization"] == "one"
    file = tmp_path / "token"
    file.write_text("two\n")
    given["CONTAINER_AUTHORIZATION_TOKEN_FILE"] = str(file)
    assert found(**given, CONTAINER_AUTHORIZATION_TOKEN="one") == wanted
    assert endpoint.asked[-1][2]["authorization"] == "two"
    file.write_text("two\nX-Other: 1")
    with pytest.raises(CredentialsUnavailable, match="no header value"):
        found(**given)
    endpoint.answers["GET", "/role?a=1"] = 403, json.dumps({"message": "no"})
    del given["CONTAINER_AUTHORIZATION_TOKEN_FILE"]
    with pytest.raises(CredentialsUnavailable, match="answers 403"):
        found(**given)


@pytest.mark.parametrize(
    "address",
    ["http://pacs.example/role", "http://169.254.170.3/role", "file:///etc/passwd", "nowhere"],
)
def test_a_token_goes_to_no_stranger_in_the_clear(found, address):
    with pytest.raises(CredentialsUnavailable, match="FULL_URI"):
        found(file="", CONTAINER_CREDENTIALS_FULL_URI=address, CONTAINER_AUTHORIZATION_TOKEN="one")


def test_an_instance_is_asked_with_a_session_of_its_own(found, endpoint):
    assert found(file="") is None  # it speaks version 1 only
    endpoint.answers["PUT", "/latest/api/token"] = 200, "session"
    assert found(file="") is None  # it has no role
    endpoint.answers["GET", ROLE] = 200, "pacs-role\n"
    endpoint.gives(f"{ROLE}pacs-role", "AKIDROLE")
    endpoint.asked.clear()
    assert found(file="") == Credentials("AKIDROLE", "secret", "token")
    (method, _, first), *others = endpoint.asked
    assert method == "PUT"
    assert 0 < int(first["x-aws-ec2-metadata-token-ttl-seconds"]) <= 21600
    assert [each["x-aws-ec2-metadata-token"] for _, _, each in others] == ["session"] * 2
    endpoint.answers["GET", f"{ROLE}pacs-role"] = 200, json.dumps({"Code": "AssumeRoleFailed"})
    with pytest.raises(CredentialsUnavailable, match="gives no credentials"):
        found(file="")


def test_nobody_is_asked_where_that_is_forbidden_or_nobody_answers(found, endpoint):
    assert found(file="", EC2_METADATA_DISABLED="TRUE") is None
    assert endpoint.asked == []
    assert found(file="", EC2_METADATA_SERVICE_ENDPOINT="http://127.0.0.1:9") is None
    with pytest.raises(CredentialsUnavailable, match="is away"):
        found(file="", CONTAINER_CREDENTIALS_FULL_URI="http://127.0.0.1:9/role")


def test_secrets_are_not_shown():
    assert "secret-env" not in repr(sources_of(ENVIRONMENT))

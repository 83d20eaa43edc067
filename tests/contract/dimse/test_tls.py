"""DICOM over TLS with DCMTK and with ourselves: server certificate, client certificate."""

import asyncio
import shutil
import ssl
import subprocess

import pytest

from isocenter.gateways.dimse import scu
from tests.certificates import Identity, an_identity


@pytest.fixture(scope="module")
def identity(tmp_path_factory) -> Identity:
    """A certificate that is its own authority, for both sides."""
    return an_identity(tmp_path_factory.mktemp("tls"))


def server_context(identity: Identity, *, client_certificate: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(identity.certificate, identity.key)
    if client_certificate:
        context.load_verify_locations(identity.certificate)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(identity: Identity, *, certificate: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(identity.certificate))
    if certificate:
        context.load_cert_chain(identity.certificate, identity.key)
    return context


def peer(port: int, tls: ssl.SSLContext | None) -> scu.Peer:
    return scu.Peer(
        host="127.0.0.1",
        port=port,
        called_ae_title="ARCHIVE",
        calling_ae_title="SCU",
        tls=tls,
        timeout_s=5,
    )


@pytest.mark.peer("dcmtk")
@pytest.mark.skipif(shutil.which("echoscu") is None, reason="DCMTK is not installed")
def test_echoscu_over_tls(start, identity):
    running = start(tls=server_context(identity))
    result = subprocess.run(
        f"echoscu -v +tla +cf {identity.certificate} -aet SCU -aec ARCHIVE"
        f" 127.0.0.1 {running.port}".split(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "Received Echo Response (Success)" in result.stdout + result.stderr


def test_a_client_certificate_names_the_caller(start, identity):
    running = start(tls=server_context(identity, client_certificate=True))
    known = peer(running.port, client_context(identity, certificate=True))
    assert asyncio.run(scu.echo(known)).is_done
    stranger = scu.Peer(
        host="127.0.0.1",
        port=running.port,
        called_ae_title="ARCHIVE",
        calling_ae_title="STRANGER",
        tls=client_context(identity, certificate=True),
    )
    with pytest.raises(scu.AssociationRefused):
        asyncio.run(scu.echo(stranger))
    (caller,) = running.policy.unknown
    assert caller.tls_subject == "commonName=localhost,organizationName=Phantom Hospital"


def test_without_the_certificate_that_is_demanded_nothing_is_answered(start, identity):
    running = start(tls=server_context(identity, client_certificate=True))
    with pytest.raises(scu.PeerUnreachable):
        asyncio.run(scu.echo(peer(running.port, client_context(identity, certificate=False))))


def test_plain_dicom_on_a_tls_port_is_not_answered(start, identity):
    running = start(tls=server_context(identity))
    with pytest.raises(scu.PeerUnreachable):
        asyncio.run(scu.echo(peer(running.port, None)))


def test_a_large_object_passes_over_tls(start, identity):
    running = start(tls=server_context(identity))
    uid = "1.2.840.10008.5.1.4.1.1.2"
    header = b"".join(
        group + element + b"UI" + len(value).to_bytes(2, "little") + value
        for group, element, value in (
            (b"\x08\0", b"\x16\0", uid.encode() + b"\0"),
            (b"\x08\0", b"\x18\0", b"1.2.3\0"),
            (b"\x20\0", b"\x0d\0", b"1.2.4\0"),
            (b"\x20\0", b"\x0e\0", b"1.2.5\0"),
        )
    )
    pixels = b"\xe0\x7f\x10\0OW\0\0" + (8 << 20).to_bytes(4, "little") + bytes(8 << 20)
    item = scu.StoreItem(uid, "1.2.3", "1.2.840.10008.1.2.1", [header, pixels])
    known = peer(running.port, client_context(identity, certificate=False))
    (status,) = asyncio.run(scu.store(known, [item]))
    assert status.is_done
    (arrival,) = running.archive.arrivals
    assert running.store.read(arrival.instance.blob_key).endswith(header + pixels)

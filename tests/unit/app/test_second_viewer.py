import base64
import hashlib
import json

import pytest

from isocenter.app import second_viewer
from isocenter.gateways.web.second_viewer import POLICY_FILE

PAGE = (
    '<html><head><script>window.PUBLIC_URL="/"</script><link href="/assets/icon.ico">'
    '<script rel="preload" as="script" type="module" src="/init-service-worker.js"></script>'
    '<script defer src="/app.bundle.js"></script><a href="//elsewhere">x</a></head></html>'
)


def test_addresses_are_moved_to_our_path_and_nothing_keeps_images_on_the_machine(tmp_path):
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "app.bundle.js").write_text('a;__webpack_require__.p = "/";b="/x"')
    (tmp_path / "app.css").write_text('i{background:url(/a.png)} b{src:url("/b.woff")}')
    second_viewer.place(tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert 'PUBLIC_URL="/ohif/"' in page
    assert 'href="/ohif/assets/icon.ico"' in page
    assert 'src="/ohif/app.bundle.js"' in page
    assert 'href="//elsewhere"' in page
    assert "service-worker" not in page
    assert (tmp_path / "app.bundle.js").read_text() == ('a;__webpack_require__.p = "/ohif/";b="/x"')
    assert (tmp_path / "app.css").read_text() == (
        'i{background:url(/ohif/a.png)} b{src:url("/ohif/b.woff")}'
    )
    digest = base64.b64encode(hashlib.sha256(b'window.PUBLIC_URL="/ohif/"').digest()).decode()
    policy = (tmp_path / POLICY_FILE).read_text()
    assert f"'sha256-{digest}'" in policy
    assert "'unsafe-eval'" not in policy
    told = (tmp_path / "app-config.js").read_text().removeprefix("window.config = ")
    config = json.loads(told.rstrip(";\n"))
    assert config["routerBasename"] == "/ohif"
    assert config["dataSources"][0]["configuration"]["wadoRoot"] == "/dicomweb"


def test_another_file_than_the_package_is_refused_and_changes_nothing(tmp_path):
    other = tmp_path / "other.tgz"
    other.write_bytes(b"something else")
    (tmp_path / "home/ohif").mkdir(parents=True)
    with pytest.raises(second_viewer.BadPackage):
        second_viewer.install(tmp_path / "home", package=other)
    assert [each.name for each in (tmp_path / "home").iterdir()] == ["ohif"]

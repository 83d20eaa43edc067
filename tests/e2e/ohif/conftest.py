"""OHIF as its makers ship it, and a server of files that has nothing to do with ours."""

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

OHIF = Path(__file__).parents[2] / "peers/node_modules/@ohif/app/dist"


class Files(SimpleHTTPRequestHandler):
    """The viewer's files; every path that is no file is a page of the viewer's own."""

    config = b""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/app-config.js":
            self._send(self.config, "text/javascript")
            return
        if not (OHIF / path.lstrip("/")).is_file():
            self.path = "/index.html"
        super().do_GET()

    def _send(self, content: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class ViewerSite:
    """OHIF at an address of its own, which is another origin than the archive's."""

    def __init__(self) -> None:
        self.handler = type("Configured", (Files,), {})
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), partial(self.handler, directory=str(OHIF))
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def configure(self, dicomweb_url: str, token: str) -> None:
        """Let the viewer use the archive with a bearer token, as a login of its own would."""
        source = {
            "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
            "sourceName": "archive",
            "configuration": {
                "friendlyName": "archive",
                "name": "archive",
                **dict.fromkeys(("qidoRoot", "wadoRoot", "wadoUriRoot"), dicomweb_url),
                "qidoSupportsIncludeField": True,
                "supportsFuzzyMatching": True,
                "supportsWildcard": True,
                "enableStudyLazyLoad": True,
                "imageRendering": "wadors",
                "thumbnailRendering": "thumbnail",
                "thumbnailRequestStrategy": "fetch",
                "singlepart": "pdf,video",
                "bulkDataURI": {"enabled": True},
                "omitQuotationForMultipartRequest": True,
            },
        }
        config = {
            "routerBasename": None,
            "modes": [],
            "customizationService": {},
            "showStudyList": True,
            "showWarningMessageForCrossOrigin": False,
            "showCPUFallbackMessage": False,
            "showLoadingIndicator": False,
            "strictZSpacingForVolumeViewport": True,
            "maxNumberOfWebWorkers": 2,
            "investigationalUseDialog": {"option": "never"},
            "disableConfirmationPrompts": True,
            "defaultDataSourceName": "archive",
            "dataSources": [source],
        }
        login = f"""
            window.config = {json.dumps(config)};
            window.config.extensions = [{{
              id: "login",
              preRegistration({{ servicesManager, commandsManager }}) {{
                servicesManager.services.userAuthenticationService.setServiceImplementation({{
                  getAuthorizationHeader: () => ({{ Authorization: "Bearer {token}" }}),
                }});
                window.services = servicesManager.services;
                window.commands = commandsManager;
              }},
            }}];
        """
        self.handler.config = login.encode()

    def close(self) -> None:
        self._server.shutdown()


@pytest.fixture(scope="module")
def viewer_site() -> Iterator[ViewerSite]:
    if not OHIF.is_dir():
        pytest.skip("OHIF is not installed (make peers)")
    site = ViewerSite()
    yield site
    site.close()

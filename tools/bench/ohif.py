"""OHIF as its makers ship it, served at an address of its own and pointed at an archive."""

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from typing_extensions import override

OHIF: Final = Path(__file__).parents[2] / "tests/peers/node_modules/@ohif/app/dist"


class _Files(SimpleHTTPRequestHandler):
    """The viewer's files; every path that is no file is a page of the viewer's own."""

    config = b""

    @override
    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/app-config.js":
            self.send_response(200)
            self.send_header("Content-Type", "text/javascript")
            self.send_header("Content-Length", str(len(self.config)))
            self.end_headers()
            self.wfile.write(self.config)
            return
        if not (OHIF / path.lstrip("/")).is_file():
            self.path = "/index.html"
        super().do_GET()

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class OhifSite:
    """Where OHIF answers; it asks the archive that it was pointed at last."""

    def __init__(self) -> None:
        self._handler = type("Configured", (_Files,), {})
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), partial(self._handler, directory=str(OHIF))
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def point_at(self, dicomweb_url: str, token: str) -> None:
        """Let the viewer ask the archive with a bearer token."""
        roots = dict.fromkeys(("qidoRoot", "wadoRoot", "wadoUriRoot"), dicomweb_url)
        source = {
            "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
            "sourceName": "archive",
            "configuration": {
                "friendlyName": "archive",
                "name": "archive",
                **roots,
                "qidoSupportsIncludeField": True,
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
            "modes": [],
            "customizationService": {},
            "showStudyList": True,
            "showWarningMessageForCrossOrigin": False,
            "showCPUFallbackMessage": False,
            "maxNumberOfWebWorkers": 2,
            "investigationalUseDialog": {"option": "never"},
            "defaultDataSourceName": "archive",
            "dataSources": [source],
        }
        self._handler.config = f"""
            window.config = {json.dumps(config)};
            window.config.extensions = [{{
              id: "login",
              preRegistration({{ servicesManager }}) {{
                servicesManager.services.userAuthenticationService.setServiceImplementation({{
                  getAuthorizationHeader: () => ({{ Authorization: "Bearer {token}" }}),
                }});
              }},
            }}];
        """.encode()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()


@contextmanager
def ohif() -> Generator[OhifSite | None]:
    """OHIF until the block ends; None where it is not installed (``make peers``)."""
    if not OHIF.is_dir():
        yield None
        return
    site = OhifSite()
    yield site
    site.close()

"""The built reading workspace: which files its page loads, and what browsers may do with them.

The workspace is built from ``viewer/`` into our static files. A checkout that was not built has
none, and the pages then show rendered images instead.

Standard: Content Security Policy Level 3
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

FOLDER = "viewer"
_MANIFEST = "manifest.json"
_ENTRY = "src/main.ts"
_PAGE = "src/page.ts"  # what the entry loads while the server answers its first questions
# Decoders are WebAssembly in workers; some workers start from a blob, and documents of the archive
# are shown in a frame from one. Nothing else is widened.
_POLICY = (
    "default-src 'self'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "worker-src 'self' blob:",
    "img-src 'self' blob: data:",
    "frame-src blob:",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
)


def content_security_policy(frame_origins: Collection[str] = ()) -> str:
    """The policy of the workspace's pages; pages of ``frame_origins`` may show them in a frame."""
    return "; ".join((
        *_POLICY,
        " ".join(("frame-ancestors", *(sorted(frame_origins) or ("'none'",)))),
    ))


CONTENT_SECURITY_POLICY = content_security_policy()


@dataclass(frozen=True, slots=True)
class WorkspaceAssets:
    """Addresses of the entry module, of the modules it always loads, and of its style sheets."""

    script: str
    modules: tuple[str, ...]
    styles: tuple[str, ...]


def workspace_assets(static: Path) -> WorkspaceAssets | None:
    """The workspace that is built below ``static``; None when there is none."""
    try:
        content = (static / FOLDER / _MANIFEST).read_bytes()
    except FileNotFoundError:
        return None
    manifest: dict[str, dict[str, Any]] = msgspec.json.decode(content)
    entry = manifest[_ENTRY]
    always = [_ENTRY, *(name for name in entry.get("dynamicImports", ()) if name == _PAGE)]
    imported = [each for name in always for each in manifest[name].get("imports", ())]
    chunks = [manifest[name] for name in dict.fromkeys([*always, *imported])]
    styles = [name for chunk in chunks for name in chunk.get("css", ())]
    return WorkspaceAssets(
        script=_address(entry["file"]),
        modules=tuple(_address(chunk["file"]) for chunk in chunks[1:]),
        styles=tuple(_address(name) for name in dict.fromkeys(styles)),
    )


def _address(file: str) -> str:
    return f"/static/{FOLDER}/{file}"

"""Which files the workspace's page loads."""

import json

from isocenter.gateways.web.workspace_assets import WorkspaceAssets, workspace_assets


def test_a_checkout_that_was_not_built_has_no_workspace(tmp_path):
    assert workspace_assets(tmp_path) is None


def test_the_entry_its_modules_and_all_their_styles_are_named_once(tmp_path):
    manifest = {
        "src/main.ts": {
            "file": "assets/main-1.js",
            "imports": ["_engine.js"],
            "dynamicImports": ["src/page.ts", "src/slidepane.ts"],
            "css": ["assets/main-1.css"],
        },
        "src/page.ts": {"file": "assets/page-3.js", "imports": ["_engine.js", "src/main.ts"]},
        "src/slidepane.ts": {"file": "assets/slidepane-4.js", "css": ["assets/slidepane-4.css"]},
        "_engine.js": {
            "file": "assets/engine-2.js",
            "css": ["assets/main-1.css", "assets/engine-2.css"],
        },
    }
    (tmp_path / "viewer").mkdir()
    (tmp_path / "viewer/manifest.json").write_text(json.dumps(manifest))
    assert workspace_assets(tmp_path) == WorkspaceAssets(
        script="/static/viewer/assets/main-1.js",
        modules=("/static/viewer/assets/page-3.js", "/static/viewer/assets/engine-2.js"),
        styles=("/static/viewer/assets/main-1.css", "/static/viewer/assets/engine-2.css"),
    )

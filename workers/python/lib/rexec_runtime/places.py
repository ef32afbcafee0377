"""Folders of the interpreter's file system that the glue and this library share."""

from __future__ import annotations

import os
import sys


class Places:
    """Where things lie. Tests put a temporary folder before them all."""

    def __init__(self) -> None:
        self.use("/")

    def use(self, root: str) -> None:
        """Moves all of them below another root."""
        #: The bridge's own: `input`, `config`, `object`, `output`.
        self.run = os.path.join(root, "run")
        #: The package's files: the first place that modules are looked for in, and the working directory.
        self.package = os.path.join(root, "package")
        #: Installed dependencies.
        self.packages = os.path.join(root, "packages")
        #: What `HOME` names. It looks like nobody's in particular, so that it cannot pass for one that leaked.
        self.home = os.path.join(root, "home")

    def file(self, name: str) -> str:
        """Path of one of the bridge's own files."""
        return os.path.join(self.run, name)

    def enter(self) -> None:
        """Makes the package importable and the working directory."""
        for folder in (self.run, self.package, self.home):
            os.makedirs(folder, exist_ok=True)
        os.chdir(self.package)
        sys.path[:] = [self.package, *(path for path in sys.path if path not in (self.package, self.packages, ""))]
        sys.path.append(self.packages)
        # Not `importlib.invalidate_caches()`: that reads the directory of the standard library's zip again.
        for path in [path for path in sys.path_importer_cache if path.startswith((self.package, self.packages))]:
            del sys.path_importer_cache[path]

    def holds(self, path: object) -> bool:
        """Whether a file is one of the package's."""
        return isinstance(path, str) and path.startswith(self.package + os.sep)


PLACES = Places()

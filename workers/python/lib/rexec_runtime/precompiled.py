"""The standard library's modules as bytecode, for an interpreter that does not start from a snapshot of its memory.

Most of what such an interpreter does when it starts is to compile the same sources that every other one compiles.
"""

from __future__ import annotations

import io
import os
import sys
import zipfile
from importlib import _bootstrap_external

#: Nothing compares sources with it: the bytecode is marked as unchecked. See PEP 552.
_SOURCE_HASH = bytes(8)


def write_precompiled(path: str) -> None:
    """Writes a zip of all modules that have been loaded from the standard library's zip and from ours, and their packages."""
    contents = io.BytesIO()
    with zipfile.ZipFile(contents, "w", zipfile.ZIP_STORED) as target:
        for name, code in sorted(_loaded_code().items()):
            target.writestr(zipfile.ZipInfo(name), _bootstrap_external._code_to_hash_pyc(code, _SOURCE_HASH, False))
    with open(path, "wb") as file:
        file.write(contents.getvalue())


def _loaded_code():
    """Code objects by their path in the zip, with the extension `.pyc`."""
    found = {}
    for module in list(sys.modules.values()):
        loader = getattr(module, "__loader__", None)
        archive = getattr(loader, "archive", None)
        origin = getattr(getattr(module, "__spec__", None), "origin", None)
        if archive is None or not isinstance(origin, str) or not origin.endswith(".py"):
            continue
        code = loader.get_code(module.__spec__.name)
        if code is not None:
            path = os.path.relpath(origin, archive)
            found[f"{path}c"] = code
            if hasattr(module, "__path__"):
                _add_package(found, loader, os.path.dirname(path) + os.sep)
    return found


def _add_package(found, loader, folder):
    """All modules below a package: one that is loaded from a zip looks for its modules nowhere else."""
    # From 3.13 on they are read when they are first wanted.
    files = loader._get_files() if hasattr(loader, "_get_files") else loader._files
    for path in list(files):
        if path.startswith(folder) and path.endswith(".py") and f"{path}c" not in found:
            full = os.path.join(loader.archive, path)
            try:
                found[f"{path}c"] = compile(loader.get_data(full), full, "exec", dont_inherit=True)
            except SyntaxError:
                pass  # lib2to3 has files that are to be none

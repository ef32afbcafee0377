"""The standard library's modules as bytecode, for a version that cannot start from a snapshot of its memory.

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
    """Writes a zip of all modules that have been loaded from the standard library's zip, and from ours."""
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
            found[f"{os.path.relpath(origin, archive)}c"] = code
    return found

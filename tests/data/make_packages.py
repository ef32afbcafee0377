"""Makes packages.json: zips as CPython's zipfile writes them, in base64.

Usage: python3 tests/data/make_packages.py path/to/hostile-corpus.json > tests/data/packages.json

`good` has packages of every form that a client may send, `corpus` those of the hostile corpus that are small.
"""

import base64
import io
import json
import os
import sys
import tempfile
import zipfile

MAIN = "export default (n: number) => n + 1;\n"
MAX_BYTES = 200_000


class Unseekable(io.RawIOBase):
    """A pipe: zipfile then writes sizes after the data."""

    def __init__(self):
        self.written = bytearray()

    def writable(self):
        return True

    def write(self, data):
        self.written += data
        return len(data)


def make(write, compression=zipfile.ZIP_DEFLATED, unseekable=False, **options):
    target = Unseekable() if unseekable else io.BytesIO()
    with zipfile.ZipFile(target, "w", compression, **options) as archive:
        write(archive)
    return bytes(target.written) if unseekable else target.getvalue()


def simple(archive):
    archive.writestr("code/main.ts", MAIN)


def sdk(archive):
    archive.writestr("manifest.json", json.dumps({
        "version": "1.0", "type": "code_package", "has_serialized_object": True,
        "pip_requirements": ["numpy>=1.24"], "entry_files": [], "dependencies": [],
    }, indent=2))
    archive.writestr("serialized_object.pkl", base64.b64encode(b"\x80\x04N.").decode())
    archive.writestr("requirements.txt", "numpy>=1.24\n# a comment\n")
    archive.writestr("code/pkg/__init__.py", "")
    archive.writestr("code/pkg/nodes.py", "def run(x):\n    return x\n")


def unicode_names(archive):
    archive.writestr("code/main.ts", MAIN)
    archive.writestr("code/données/ß.json", "{}")


def folders(archive):
    archive.mkdir("code")
    archive.mkdir("code/lib")
    archive.writestr("code/lib/a.ts", "export const a = 1;\n")
    archive.writestr("code/main.ts", 'import { a } from "./lib/a.ts";\nexport default () => a;\n')


def forced_zip64(archive):
    with archive.open("code/main.ts", "w", force_zip64=True) as entry:
        entry.write(MAIN.encode())


def from_disk(archive):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "main.ts")
        with open(path, "w") as file:
            file.write(MAIN)
        os.utime(path, (1_600_000_000, 1_600_000_000))
        archive.write(folder, "code")
        archive.write(path, "code/main.ts")


def comment(archive):
    simple(archive)
    archive.comment = b"made for tests"


good = {
    "deflated": make(simple),
    "stored": make(simple, zipfile.ZIP_STORED),
    "streamed deflated": make(simple, unseekable=True),
    "streamed stored": make(simple, zipfile.ZIP_STORED, unseekable=True),
    "streamed forced zip64": make(forced_zip64, unseekable=True),
    "forced zip64": make(forced_zip64),
    "sdk": make(sdk),
    "unicode names": make(unicode_names),
    "folders": make(folders),
    "from disk": make(from_disk),
    "comment": make(comment),
}
with open(sys.argv[1]) as file:
    cases = [case for case in json.load(file)["cases"] if case["lang"] == "package"]
corpus = {}
for case in cases:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "package.zip")
        exec(case["code"], {"OUT": path})
        if os.path.getsize(path) > MAX_BYTES:
            continue
        with open(path, "rb") as file:
            package = base64.b64encode(file.read()).decode()
    corpus[case["id"]] = {"title": case["title"], "status": case["expected"]["status"], "package": package}
json.dump({"good": {name: base64.b64encode(data).decode() for name, data in good.items()}, "corpus": corpus},
          sys.stdout, indent=1, ensure_ascii=False)
print()

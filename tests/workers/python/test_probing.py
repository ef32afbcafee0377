"""Outside of a sandbox nearly everything that the probe tries works, and it has to say so."""

import os
import socket
import tempfile
import unittest

from rexec_runtime.probing import MODULES, probe


class Probing(unittest.TestCase):
    def test_what_works_is_a_leak_and_what_is_refused_is_none(self) -> None:
        with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as server:
            file = os.path.join(folder, "canary.txt")
            with open(file, "w") as canary:
                canary.write("canary")
            outcomes = probe(
                {
                    "file": file,
                    "writableDirectory": folder,
                    "loopbackPort": server.getsockname()[1],
                    "environmentVariable": "PATH",
                }
            )
        by_name = {outcome["attempt"]: outcome for outcome in outcomes}
        self.assertEqual({outcome["place"] for outcome in outcomes}, {"interpreter"})
        for name in (
            "import ctypes",
            "read a file",
            "read /etc/passwd",
            "list a folder",
            "read an environment variable",
            "connect to loopback",
            "spawn a process",
            "run a shell",
            "fork",
            "start a thread",
        ):
            self.assertTrue(by_name[name]["leaked"], name)
        self.assertEqual(by_name["read a file"]["detail"], "'canary'")
        for name in ("import js", "import pyodide.code"):
            self.assertEqual((by_name[name]["leaked"], by_name[name]["detail"]), (False, "ModuleNotFoundError"))
        self.assertEqual(len(outcomes), len(MODULES) + 9)

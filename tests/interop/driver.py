"""Runs the suite against a service: `driver.py '{"address": …, "stubs": …, "vectors": …, …}'`.

Standard output gets a line of JSON for the plan (`{"plan": 321}`), then one for each case.
"""

from __future__ import annotations

import json
import sys

settings = json.loads(sys.argv[1])
sys.path.insert(0, settings["stubs"])  # generated from protos/ for this run
sys.path.append(settings["pythonLibrary"])  # has the SDK's base classes, as a client with the SDK has them

import harness  # noqa: E402 -- needs the stubs, as all below does
import service  # noqa: E402
import vectors  # noqa: E402

vectors.declare(settings["vectors"])
# Each declares its cases when it is imported; this is the order in which they run.
import base_nodes  # noqa: E402,F401
import audio_nodes  # noqa: E402,F401
import video_nodes  # noqa: E402,F401
import calculator_node  # noqa: E402,F401
import text_node  # noqa: E402,F401
import transform_nodes  # noqa: E402,F401
import config_values  # noqa: E402,F401
import hostile_pickles  # noqa: E402,F401
import malformed_inputs  # noqa: E402,F401
import failures  # noqa: E402,F401
import limits  # noqa: E402,F401
import execution_metrics  # noqa: E402,F401
import service_calls  # noqa: E402,F401
import streams  # noqa: E402,F401
import stream_failures  # noqa: E402,F401
import audio_streams  # noqa: E402,F401
import stream_ends  # noqa: E402,F401
import slow_reader  # noqa: E402,F401
import user_streams  # noqa: E402,F401
import object_sessions  # noqa: E402,F401
import object_streams  # noqa: E402,F401
import sdk_client  # noqa: E402,F401
import sdk_streams  # noqa: E402,F401
import python_objects  # noqa: E402,F401
import python_streams  # noqa: E402,F401
import python_nodes  # noqa: E402,F401
import python_packages  # noqa: E402,F401
import python_numpy  # noqa: E402,F401
import python_hostile  # noqa: E402,F401
import concurrency  # noqa: E402,F401

connection = service.Service(settings["address"], settings["maxMessageBytes"], settings["serverPid"])
harness.run_cases(connection)
connection.close()

"""What runs inside a sandbox's interpreter: it loads user code, calls it, and says how that ended.

The glue in JavaScript calls :mod:`rexec_runtime.bridge` and nothing else. Everything here shares its interpreter with
the user's code, which may have changed any of it: no secret lies here, and nobody outside trusts what it says.
"""

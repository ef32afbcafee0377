"""What runs a user's Python inside a sandbox. `bridge` is all that the JavaScript side calls."""

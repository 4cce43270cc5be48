"""The `onyx` command: parse, one library call, render. The top layer."""

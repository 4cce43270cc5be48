"""The language of queries: what `Store.runs(where=)` and `onyx runs --where` take. Text to tree, names to what runs have, then rows."""

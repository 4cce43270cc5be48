"""Chunks as planes, planes as zstd frames: the closed table of codecs, and the choice from it. Only disk may import it."""

"""Bytes and addresses: files, locks, refs, objects, packs, codecs. Knows no commits. Imports the ground only."""

"""Packs: many chunks in one zstd-compressed safetensors file. Imports codecs and files; only disk may import it."""

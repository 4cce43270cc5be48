"""State trees as bytes: nodes, tagged JSON, chunks, manifests, safetensors files. Pure functions; knows no torch."""

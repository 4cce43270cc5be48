"""A reader of stores, written from `docs/format.md` alone; the numbers in it are the page's sections.

It shares nothing with onyxstore: where it reads the same as the library does, the page says enough. It looks at what it needs, checks
that, and does no more than the page asks of a reader.
"""

import json
import struct
from itertools import accumulate
from pathlib import Path
from zlib import crc32

import numpy as np
import zstandard
from blake3 import blake3

CODECS = {0: (1, False), 1: (2, False), 2: (4, False), 3: (8, False), 4: (2, True), 5: (4, True)}  # 7.4: word, rotated


def lines(data):
    """5: the payloads of the whole lines; a torn end and damage are left out."""
    return [line[9:] for line in data.split(b"\n")[:-1] if line[:9] == b"%08x " % crc32(line[9:])]


def untag(value):
    """4.2: the value of JSON with tags, for values that are no trees."""
    if isinstance(value, list):
        return [untag(item) for item in value]
    if not isinstance(value, dict) or "$" not in value:
        return {key: untag(item) for key, item in value.items()} if isinstance(value, dict) else value
    if value["$"] == "dict":
        return {untag(key): untag(item) for key, item in value["items"]}
    return {"float": float, "int": int}[value["$"]](value["is"])


def decompress(frame):
    """6 and 7.3: what exactly one frame holds, compressed or raw."""
    return zstandard.ZstdDecompressor(max_window_size=1 << 27).decompress(frame, allow_extra_data=False)


# ---------------------------------------------------------------------------------------------------------------- chunks


def read_index(pack):
    """7.1 and 7.5: for each chunk its address, and its raw size, codec, and frames as (begin, end)."""
    count, frames, bases, number, offset, length = struct.unpack("<IIIIQQ", pack[-48:-16])
    index = pack[-length:]
    assert (bases, number, index[-12:], crc32(index[:-16])) == (0, 1, b"onyx pack 1\n", int.from_bytes(index[-16:-12], "little"))
    sizes = struct.unpack_from(f"<{count}I", index, 32 * count)
    offsets = accumulate(struct.unpack_from(f"<{frames}I", index, 36 * count), initial=offset)
    codecs, begin = index[-48 - count : -48], next(offsets)
    for row in range(count):
        ends = [next(offsets) for _ in range(CODECS[codecs[row]][0])]
        yield index[32 * row : 32 * row + 32].hex(), (sizes[row], codecs[row], list(zip([begin, *ends], ends, strict=False)))
        begin = ends[-1]
    assert begin + 8 + length == len(pack)


def read_chunk(pack, size, codec, frames):
    """7.4: the raw bytes of a chunk."""
    word, rotated = CODECS[codec]
    words = np.zeros(size // word, np.uint64)
    for number, (begin, end) in enumerate(frames):
        words |= np.frombuffer(decompress(pack[begin:end]), np.uint8).astype(np.uint64) << np.uint64(8 * number)
    if rotated:
        low = 8 * word - 16
        upper = words >> np.uint64(low)
        words = words & np.uint64(2**low - 1) | (upper >> np.uint64(1) | (upper & np.uint64(1)) << np.uint64(15)) << np.uint64(low)
    return words.astype(f"<u{word}").tobytes()


# --------------------------------------------------------------------------------------------------------------- records


def read_column(planes, reading, starts):
    """10.4: the numbers of a column."""
    words = [int.from_bytes(bytes(column), "little") for column in planes.T]
    words = [word >> 1 if word % 2 == 0 else -(word >> 1) - 1 for word in words]
    for start in reversed(starts):
        words = list(accumulate(words, initial=start))[1:]
    if reading == "big":
        return words
    bits = 32 if reading == "float32" else 64
    words = np.array([word % 2**bits for word in words], f"<u{bits // 8}").view(f"<i{bits // 8}")
    if reading.startswith("float"):
        words = (words ^ (words >> (bits - 1) & (2 ** (bits - 1) - 1))).view(f"<f{bits // 8}").astype(float)
    return words.tolist() if not reading.startswith("decimal") else (words / 10.0 ** int(reading[8:])).tolist()


def read_segment(data):
    """10.3: the records of a segment, each as the object that a line of a tail holds."""
    begin = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:begin])
    about, columns = json.loads(header.pop("__metadata__")["onyx"]), {}
    for name, tensor in header.items():
        planes = np.frombuffer(data[begin:][slice(*tensor["data_offsets"])], np.uint8).reshape(tensor["shape"])
        columns[name] = iter(read_column(planes, *about["columns"][name]))
    artifacts = iter(about["artifacts"])
    for position, number in enumerate(columns["shapes"], about["first"]):
        kind, has_step, epoch, metrics = about["shapes"][number]
        record = {"position": position, "time": next(columns["times"])}
        record |= {"step": next(columns["steps"])} if has_step else {}
        record |= {"epoch": next(columns[f"epochs.{epoch}"])} if epoch != "none" else {}
        read = {"bool": bool, "int": int, "float": float}
        named = {about["metrics"][metric][1]: read[about["metrics"][metric][2]](next(columns[f"values.{metric}"])) for metric in metrics}
        yield record | {kind: next(artifacts) if kind == "artifact" else named}


def order(record):
    """10.6: the key by which (epoch, step) are compared."""
    return record.get("epoch", -np.inf), record["step"]


class Store:
    """A store, by the path of its `.onyx`."""

    def __init__(self, root):
        self.root = Path(root)
        assert self.line("format") == {"format": 1, "hash": "blake3"}

    def line(self, path):
        """5: the value of a file of one line."""
        (payload,) = lines((self.root / path).read_bytes())
        return untag(json.loads(payload))

    def object(self, address):
        """6: the bytes of a loose object."""
        data = decompress((self.root / "objects" / address[:2] / address[2:]).read_bytes())
        assert blake3(data).hexdigest() == address
        return data

    def value(self, address):
        """6: the value of a loose object that is JSON."""
        return untag(json.loads(self.object(address)))

    def resolve(self, name):
        """12: the address that `latest`, `best`, a tag, a run, RUN@latest or RUN@best names."""
        run, _, which = name.lower().partition("@")
        paths = [f"refs/runs/{run}/{which}"] if which else [f"refs/{run}", f"refs/tags/{run}", f"refs/runs/{run}/latest"]
        return self.line(next(path for path in paths if (self.root / path).is_file()))["commit"]

    def commits(self, address):
        """9: by their addresses a commit and those before it by first parents, newest first."""
        found = {}
        while address:
            found[address] = self.value(address)
            address = next(iter(found[address]["parents"]), None)
        return found

    def configs(self, commit):
        """9: each config's value and its exact bytes."""
        return {name: (self.value(config["value"]), self.object(config["snapshot"])) for name, config in commit["configs"].items()}

    def records(self, run):
        """10.1: all records of a run in order, from tails and segments."""
        folder, records = self.root / "runs" / run.lower(), {}
        for tail in sorted(folder.glob("tail-*")):
            records |= {record["position"]: record for record in map(json.loads, lines(tail.read_bytes()))}
        listed = [untag(json.loads(payload)) for payload in lines((folder / "segments").read_bytes())]
        for address in (entry["segment"] for entry in listed if "segment" in entry):
            records |= {record["position"]: record for record in read_segment(self.object(address))}
        return [records[position] for position in sorted(records)]

    def curves(self, run, end=float("inf")):
        """10.6: of each metric the (epoch, step, time, value) on the line, of the records before position `end`."""
        curves, lowest = {}, (np.inf, 0)
        for record in reversed([record for record in self.records(run) if record["position"] < end]):
            lowest = min(lowest, order(record)) if "rewind" in record else lowest
            for name, value in record.get("points", {}).items() if "step" in record and order(record) < lowest else ():
                curves.setdefault(name, []).insert(0, (record.get("epoch"), record["step"], record["time"], value))
        return curves

    def tensors(self, commit, tree="state"):
        """8: of each tensor of a tree, by its path, the dtype, shape and bytes."""
        manifest = json.loads(self.object(commit["checkpoint"]["manifest"]))
        packs = [path.read_bytes() for path in sorted((self.root / "packs").glob("*.safetensors.zst"))]
        places = {address: (pack, *place) for pack in packs for address, place in read_index(pack)}
        found = {}
        for tensor in json.loads(self.object(manifest[tree]))["tensors"]:
            chunks = {address: read_chunk(*places[address]) for address in tensor["pieces"][0]["chunks"]}
            assert all(blake3(chunk).hexdigest() == address for address, chunk in chunks.items())
            data = b"".join(chunks[address] for address in tensor["pieces"][0]["chunks"])
            found[tuple(tensor["path"])] = tensor["dtype"], tuple(tensor["shape"]), data
        return found

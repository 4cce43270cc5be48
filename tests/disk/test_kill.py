"""What a killed writer leaves: everything that it had acknowledged, and nothing that cannot be read."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

KILLS = 40

WRITE_AND_KILL = """
import json, os, random, signal, sys, time
from pathlib import Path
from onyxstore.disk.layout import Layout
from onyxstore.disk.loose import LooseObjects
from onyxstore.disk.refs import Reason, Refs, run_ref, tag_ref, to
from onyxstore.hashing import Address

layout, seed, kills = Layout(Path(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])
objects, refs, chance = LooseObjects(layout), Refs(layout), random.Random(seed)
RUN = run_ref("a", "latest")


def write(number, pipe):
    while True:
        number += 1
        address = objects.put(b"%d " % number + os.urandom(number % 5000))
        tag = tag_ref(f"t{number % 7}")
        changes = {"latest": to({"commit": address}), RUN: to({"commit": address}), "HEAD": to({"run": f"r{number}"})}
        changes[tag] = to(None if refs.read(tag) else {"commit": address, "name": tag})
        refs.update(changes, Reason(f"number {number}"))
        os.write(pipe, b"%d\\n" % number)


def number_of(ref):
    return int(objects.get(Address(ref["commit"])).split()[0])


def check(begun, acknowledged):
    for name in [*refs.names(), "HEAD"]:
        ref = refs.read(name)
        moves = refs.moves(name)
        assert moves[-1].new == ref, (name, "the reflog ends elsewhere")
        assert all(one.new == other.old for one, other in zip(moves, moves[1:])), (name, "the reflog has a gap")
        if "commit" in ref:
            number_of(ref)
    latest, run, head = number_of(refs.read("latest")), number_of(refs.read(RUN)), int(refs.read("HEAD")["run"][1:])
    assert begun >= latest >= run >= head >= acknowledged, (begun, latest, run, head, acknowledged)
    return latest


number = acknowledged = midway = staged = 0
for kill in range(kills):
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        try:
            write(number, writer)
        finally:
            os._exit(3)
    os.close(writer)
    said = os.read(reader, 1 << 16) if kill == 0 or chance.random() < 0.7 else b""
    time.sleep(chance.random() * 0.012)
    os.kill(child, signal.SIGKILL)
    while more := os.read(reader, 1 << 16):
        said += more
    os.close(reader)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1]), "the writer failed by itself"
    acknowledged = int(said.split()[-1]) if said else acknowledged
    number = check(max(number, acknowledged) + 1, acknowledged)
    left = len(list(layout.tmp.iterdir()))
    midway += number > acknowledged or left > staged
    staged = left
print(json.dumps({"kills": kills, "written": number, "midway": midway, "staged": staged}))
"""


def test_after_a_kill_at_any_moment_every_ref_is_readable_and_names_an_object_that_is_there(layout):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    finished = subprocess.run(
        [sys.executable, "-c", WRITE_AND_KILL, str(layout.root), str(seed), str(KILLS)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    done = json.loads(finished.stdout)
    print(done)
    assert done["kills"] == KILLS
    assert done["written"] >= 1
    assert done["staged"] <= KILLS

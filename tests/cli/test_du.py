"""The tables of `onyx du`, whose sizes change a little from day to day."""

import re

from onyxstore.cli.figures import size
from onyxstore.store.store import Store

TABLES = """\
RUN CHECKPOINTS RAW STORED SHARED UNIQUE
base 3 N N N N
tuned 1 N N N N
in all 4 N N N N

PART CHECKPOINTS RAW STORED SHARED UNIQUE
model 4 N N 0 B N
optimizer 4 N N 0 B N
rng 4 N N 0 B N
commits - - N 0 B N
manifests - - N 0 B N
metrics - - N 0 B N
configs - - N 0 B N
environment - - N 0 B N
in all 4 N N 0 B N

ON DISK BYTES
packs N N of it headers and indexes
objects N
logs N the live parts of runs
other N refs, reflogs, settings
trash 0 B
in all N 0 B of it garbage
"""


def test_the_tables_have_runs_parts_and_files(onyx, trained):
    done = onyx("du")
    assert (done.status, re.sub(r" +", " ", re.sub(r"\b[1-9][\d.]* k?B\b", "N", done.out))) == (0, TABLES)


def test_the_numbers_are_those_of_the_library(onyx, trained):
    usage = Store.open(trained).usage()
    document = onyx("du", "--json").json
    names = ("packs", "objects", "logs", "other", "trash", "garbage", "overhead", "total")
    assert [document[name] for name in names] == [getattr(usage, name) for name in names]
    assert size(usage.total) in onyx("du").out


def test_damage_is_said_and_is_a_no(onyx, trained):
    (trained / ".onyx" / "runs" / "base" / "state").write_bytes(b"noise")
    done = onyx("du", "--by", "run")
    assert done.status == 1
    assert "tuned" in done.out
    assert done.err.startswith("onyx: ")

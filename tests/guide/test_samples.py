import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.guide.samples import Difference, Sample, find_samples, make_runnable, read_samples, run_sample

PAGE = """\
# A page

## First
```python
# no heading
x = 1
```

### Inside
~~~~yaml
a: "```"
~~~~

## Second ##
1. In a list:
   ```python
   if x:
       y = 2
   ```
"""


def sample(text, first_line=1):
    return Sample(Path("page.md"), first_line, "python", textwrap.dedent(text), ())


def runnable(text):
    return make_runnable(textwrap.dedent(text))


def test_a_sample_knows_where_it_stands():
    title, second = (1, "A page"), (2, "Second")
    assert list(find_samples(PAGE)) == [
        Sample(Path("page.md"), 5, "python", "# no heading\nx = 1\n", (title, (2, "First"))),
        Sample(Path("page.md"), 11, "yaml", 'a: "```"\n', (title, (2, "First"), (3, "Inside"))),
        Sample(Path("page.md"), 17, "python", "if x:\n    y = 2\n", (title, second)),
    ]


def test_the_samples_of_a_language_are_read_from_a_file(tmp_path):
    (tmp_path / "page.md").write_text(PAGE)
    assert [(each.heading, each.section) for each in read_samples(tmp_path / "page.md")] == [
        ("First", ("A page", "First")),
        ("Second", ("A page", "Second")),
    ]


def test_a_section_has_three_levels_of_headings():
    (found,) = find_samples("# 1\n## 2\n### 3\n#### 4\n```\n```\n")
    assert (found.heading, found.section) == ("4", ("1", "2", "3"))


def test_a_block_that_is_not_closed_is_told():
    with pytest.raises(ValueError, match="page.md:2: this block is never closed"):
        list(find_samples("text\n```python\nx = 1\n``\n"))


@given(st.lists(st.tuples(st.sampled_from(["python", "yaml", ""]), st.lists(st.sampled_from(["# x", "", "x = 1", "  y", "``"])))))
def test_what_was_put_between_fences_comes_back(blocks):
    page = "".join(f"words\n```{language}\n" + "".join(f"{line}\n" for line in lines) + "```\n" for language, lines in blocks)
    assert [(each.language, each.text.splitlines()) for each in find_samples(page)] == blocks


# --------------------------------------------------------------------------------------------------------- made runnable


def test_an_import_of_the_guides_is_one_of_ours():
    assert runnable("""\
        from onyx.server.features.ads.experiment_tracker import (
            ExperimentTracker
        )
        def f():
            from onyx.server.features.ads.config_manager import ConfigType
    """) == textwrap.dedent("""\
        from onyxstore import (
            ExperimentTracker
        )
        def f():
            from onyxstore import ConfigType
    """)


@pytest.mark.parametrize("line", ["import json\n", "from onyx.server import x\n", "x = 1  # from onyx.server.features.ads.y import z\n"])
def test_any_other_line_stays_as_it_is(line):
    assert make_runnable(line) == line


def test_a_body_of_comments_gets_a_pass():
    assert runnable("""\
        class A:
            def f(self,
                  x):
                # one

                # two

            async def g(self): # three
                # four
        # five
        x = 1
        def h():
            # six
    """) == textwrap.dedent("""\
        class A:
            def f(self,
                  x):
                # one

                # two
                pass

            async def g(self): # three
                # four
                pass
        # five
        x = 1
        def h():
            # six
            pass
    """)


@pytest.mark.parametrize("text", ["def f():\nx = 1\n", "if x:\n    # only a comment\n", "class A:\n    # only a comment\n", "x = (\n"])
def test_whatever_else_cannot_be_parsed_is_no_matter_for_the_runner(text):
    with pytest.raises(SyntaxError):
        make_runnable(text)


# ------------------------------------------------------------------------------------------------------------------- run


def test_a_sample_that_gives_something_else_is_told():
    assert run_sample(sample("x = 1\nx + 1  # -> 2\nx    # -> 7\n", first_line=10), {}) == [Difference(12, "7", "1")]


def test_what_a_long_line_gives_may_stand_below_it():
    assert run_sample(sample("x = 1\nx\n# -> 1\nx + 1\n# -> 7\n"), {}) == [Difference(4, "7", "2")]


def test_samples_share_their_names():
    names = {}
    run_sample(sample("x = 1\ndef f():\n    return x\n"), names)
    run_sample(sample("x = 2\n"), names)
    assert names["f"]() == 2


def test_an_error_names_the_line_of_the_page():
    with pytest.raises(ZeroDivisionError) as caught:
        run_sample(sample("x = 0\n\n1 / x\n", first_line=100), {})
    assert (Path(str(caught.traceback[-1].path)).name, caught.traceback[-1].lineno + 1) == ("page.md", 102)

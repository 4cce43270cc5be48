import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.configs.document import decode_document
from onyxstore.configs.types import ConfigType
from onyxstore.configs.variables import escaped, expand
from onyxstore.yaml12 import write_yaml
from tests.configs.strategies import values

ENVIRONMENT = {
    "BATCH": "64",
    "USER": "me",
    "RATE": "1e-4",
    "YES": "true",
    "EMPTY": "",
    "NOTHING": "null",
    "LIST": "[1, 2]",
    "ID": "12345",
    "HASH": "a # b",
    "REF": "${USER}",
    "ODD": "\udcff",
    "QUOTED": "'a'",
}


def expanded(text, config_type=ConfigType.TRAINING):
    return expand(decode_document(text.encode(), "f.yaml"), config_type, ENVIRONMENT)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("optimizer: adam-${USER}", "adam-me"),
        ("optimizer: ${USER}/${ID}", "me/12345"),
        ("optimizer: ${EMPTY}x", "x"),
        ("optimizer: ${MISSING:-sgd}", "sgd"),
        ("optimizer: ${EMPTY:-sgd}", "sgd"),
        ("optimizer: ${USER:-sgd}", "me"),
        ("optimizer: a${MISSING:-}b", "ab"),
        ("optimizer: $${USER}", "${USER}"),
        ("optimizer: $$${USER}", "$${USER}"),
        ("optimizer: $USER {USER}", "$USER {USER}"),
        ("optimizer: ${REF}", "${USER}"),
        ("optimizer: ${HASH}", "a # b"),
        ("optimizer: ${QUOTED}", "'a'"),
        ("optimizer: ${ID}", "12345"),
        ("optimizer: '${NOTHING}'", "null"),
        ("scheduler: ${NOTHING}", None),
        ("scheduler: ${ID}", "12345"),
        ("batch_size: ${BATCH}", 64),
        ("batch_size: '${BATCH}'", 64),
        ("batch_size: ${MISSING:-32}", 32),
        ("batch_size: ${RATE}", "1e-4"),
        ("batch_size: ${LIST}", "[1, 2]"),
        ("batch_size: 1${BATCH}", "164"),
        ("learning_rate: ${RATE}", 1e-4),
        ("learning_rate: ${MISSING:-2e-5}", 2e-5),
        ("mixed_precision: ${YES}", True),
        ("optimizer_params: {a: '${BATCH}'}", {"a": "64"}),
        ("optimizer_params:\n  a: ${BATCH}\n", {"a": 64}),
        ("optimizer_params:\n  a: [x]\n  b: ${LIST}\n", {"a": ["x"], "b": "[1, 2]"}),
        ("optimizer_params:\n  a: |-\n    ${BATCH}\n", {"a": "64"}),
        ("optimizer_params:\n  ${USER}: 1\n", {"${USER}": 1}),
        ("unknown: ${BATCH}", 64),
    ],
)
def test_a_variable_is_replaced_and_read_as_its_field_needs_it(text, value):
    made = expanded(text)
    (found,) = made.values.values()
    assert (found, type(found), made.problems, made.unset) == (value, type(value), [], [])


def test_items_of_a_list_are_read_as_its_kind():
    assert expanded("hidden_sizes: ['${BATCH}', 3]", ConfigType.MODEL).values == {"hidden_sizes": [64, 3]}
    assert expanded("tags: ['${BATCH}', '${USER}']", ConfigType.EXPERIMENT).values == {"tags": ["64", "me"]}


def test_the_names_of_variables_are_kept_by_path():
    made = expanded("optimizer: ${USER}-${MISSING:-x}-$${ID}\nbatch_size: ${BATCH}\nscheduler: cosine\n")
    assert made.names == {("optimizer",): ("USER", "MISSING"), ("batch_size",): ("BATCH",)}


def test_a_variable_that_is_not_set_is_named_with_key_and_line_and_stays():
    made = expanded("epochs: 1\noptimizer_params:\n  k: ${NO_SUCH}\n")
    assert [str(each) for each in made.unset] == [
        "f.yaml:3:6: optimizer_params.k: the environment has no NO_SUCH; set it, or write ${NO_SUCH:-default}",
    ]
    assert (made.values["optimizer_params"], made.problems) == ({"k": "${NO_SUCH}"}, [])


@pytest.mark.parametrize("text", ["${", "${}", "a ${1X} b", "${A B}", "${USER", "${USER:default}", "${USER:-${ID}}"])
def test_what_only_begins_like_a_variable_is_a_problem(text):
    made = expanded(f"optimizer: '{text}'")
    assert [str(each) for each in made.problems] == [
        "f.yaml:1:12: optimizer: '${' begins a variable, ${NAME} or ${NAME:-default}; write '$${' for itself",
    ]


def test_a_variable_that_is_no_text_stays_one_odd_text():
    assert expanded("optimizer_params:\n  a: ${ODD}\n").values == {"optimizer_params": {"a": "\udcff"}}


@given(st.dictionaries(st.text("ab", min_size=1), values, max_size=3))
def test_what_is_escaped_stands_for_itself(value):
    document = decode_document(write_yaml({"custom_parameters": escaped(value)}), "f")
    made = expand(document, ConfigType.MODEL, {})
    assert (made.values, made.names, made.problems) == ({"custom_parameters": value}, {}, [])

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onyxstore.history import secrets
from onyxstore.history.secrets import MASK, SHORTEST, dotted, is_secret_key, mask_argv, mask_string, mask_text, mask_value

TELLING_NAMES = """
api_key apikey API_KEY apiKey APIKey openai_api_key OPENAI_API_KEY openai-api-key wandb.api_key access_key secret_key secretKey
aws_secret_access_key private_key auth_token use_auth_token access_token accessToken api_token hf_token HF_TOKEN hub_token client_secret
clientSecret secret secrets my_secret_thing password db_password passwd passwords passphrase credentials authorization github_token
refresh_token slack_bot_token api_keys AccountKey ssh_key encryption_key
"""

INNOCENT_NAMES = """
pad_token eos_token bos_token unk_token cls_token sep_token mask_token image_token token tokens tokenizer tokenizer_name max_tokens
num_tokens special_tokens additional_special_tokens token_embedding image_key sort_key key keys key_dim key_size num_key_value_heads
query_key_norm primary_key foreign_key public_key cache_key label_key text_key input_key key_padding_mask passes n_pass passthrough bypass
compass author authors monkey turkey lr batch_size access api
"""

KEY_BLOCK = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIEpAIBAAKCAQEA75b\nabc=\n-----END RSA PRIVATE KEY-----"

SHAPES = {
    "an AWS key": "AKIA" + "IOSFODNN7EXAMPLE",
    "a GitHub token": "ghp_" + "a1" * 18,
    "a GitLab token": "glpat-" + "a1" * 10,
    "a Hugging Face token": "hf_" + "aB" * 17,
    "an API key": "sk-" + "proj-aB3" * 4,
    "a Slack token": "xoxb-" + "123456789012-abc",
    "a Google key": "AIza" + "a1_-5" * 7,
    "a Stripe key": "sk_live_" + "a1" * 12,
    "a package registry's token": "npm_" + "a1" * 18,
    "a service's token": "r8_" + "a" * 37,
    "a JSON web token": "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0In0." + "dozjgNryP4J3jVm",
    "a private key": KEY_BLOCK,
}


# --------------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize("name", TELLING_NAMES.split())
def test_a_name_that_says_secret_is_one(name):
    assert is_secret_key(name)


@pytest.mark.parametrize("name", INNOCENT_NAMES.split())
def test_the_words_of_machine_learning_are_no_secrets(name):
    assert not is_secret_key(name)


def test_text_under_a_telling_name_is_masked_from_twelve_characters():
    assert [mask_string(["a", "api_key"], "x" * length) for length in (SHORTEST - 1, SHORTEST)] == ["x" * 11, MASK]
    assert mask_string(["api_key", "nested", 0], "a long enough value") == MASK
    assert mask_string(["pad_token", 3, None], "a long enough value") == "a long enough value"


@pytest.mark.parametrize("text", ["${oc.env:OPENAI_API_KEY}", "${OPENAI_API_KEY}", "$OPENAI_API_KEY", "{{ secrets.token }}"])
def test_a_reference_to_a_secret_is_none(text):
    assert mask_string(["api_key"], text) == text


def test_a_reference_with_a_default_may_hold_one():
    assert mask_string(["api_key"], "${oc.env:KEY,abcdefghijkl}") == MASK


# -------------------------------------------------------------------------------------------------------------- shapes


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("around", ["{}", "x = '{}'\n", "see {}, or not", '{{"a": "{}"}}', "+{}\n", "https://h/?k={}&b=1", "\\n{} "])
def test_a_well_known_shape_is_masked_wherever_it_stands(kind, around):
    text = around.replace("{{", "{").replace("}}", "}")
    assert mask_text(text.replace("{}", SHAPES[kind])) == (text.replace("{}", MASK), (kind,))


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgres://bob:hunter2@host/db", "postgres://bob:<masked>@host/db"),
        ("redis://:hunter2@host:6379", "redis://:<masked>@host:6379"),
        ("https://u:p@ss:w@host/x and http://a:b@c", "https://u:<masked>@host/x and http://a:<masked>@c"),
        ("https://0123456789abcdef0123@github.com/x", "https://<masked>@github.com/x"),
        ("https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXX", "https://hooks.slack.com/<masked>"),
        ("curl -H 'Authorization: Bearer abcdefghijklmnopqrst.uv'", "curl -H 'Authorization: Bearer <masked>'"),
    ],
)
def test_credentials_in_urls_and_headers_are_masked_and_the_rest_stays(text, masked):
    assert mask_text(text)[0] == masked


@pytest.mark.parametrize(
    "text",
    [
        *("git@github.com:a/b.git", "ssh://git@github.com/a", "http://localhost:8080/a@b", "https://host/path:x@y", "s3://bucket/key"),
        *('f"postgres://{user}:{password}@{host}"', "postgres://u:$PASSWORD@h", "https://%s:%s@h", "x://<user>:<masked>@h"),
        *("task-" + "a1" * 20, "sk-learn-something-very-long-indeed", "disk-0123456789abcdef0123", "hf_hub_download", "AKIA", "eyJ.eyJ.x"),
        *(
            "0123456789abcdef" * 4,
            "models/gpt2-medium-finetuned-2024-01-01",
            'if "PRIVATE KEY" in text:',
            "-----BEGIN CERTIFICATE-----\nMIIB",
        ),
    ],
)
def test_what_only_looks_a_little_like_one_stays(text):
    assert mask_text(text) == (text, ())


def test_a_key_block_that_a_hunk_cuts_off_is_masked_and_the_code_after_it_stays():
    hunk = "+-----BEGIN PRIVATE KEY-----\n+MIIEvQIBADANBgkqhkiG9w0BAQEF\n+AASCBKcwggSjAgEAAoIBAQC7Vv/\n@@ -1,2 +3,4 @@\n def code():\n"
    assert mask_text(hunk)[0] == "+<masked>\n@@ -1,2 +3,4 @@\n def code():\n"
    assert mask_text('if "-----BEGIN PRIVATE KEY-----" in text:\n    gradientaccumulationsteps = 1')[0].endswith(
        '" in text:\n    gradientaccumulationsteps = 1'
    )


# --------------------------------------------------------------------------------------------------------- assignments


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ('api_key = "abcdefghijklmnop"', 'api_key = "<masked>"'),
        ("+  'db_password': 'correct horse battery',", "+  'db_password': '<masked>',"),
        ('{"password": "it\'s a \\"long\\" one", "lr": 1}', '{"password": "<masked>", "lr": 1}'),
        ("export WANDB_API_KEY=0123456789abcdef", "export WANDB_API_KEY=<masked>"),
        ("password: correcthorsebattery\nlr: 1", "password: <masked>\nlr: 1"),
        ("password: correcthorsebattery  # ours", "password: <masked>  # ours"),
        ("AccountKey=abcdefgh0123456789==;Endpoint=x", "AccountKey=<masked>;Endpoint=x"),
        ("run(access_token='abcdefghijkl', lr=1)", "run(access_token='<masked>', lr=1)"),
        ("secret => 'abcdefghijkl'", "secret => '<masked>'"),
    ],
)
def test_a_value_assigned_to_a_telling_name_is_masked(text, masked):
    assert mask_text(text)[0] == masked


@pytest.mark.parametrize(
    "text",
    [
        *(
            "api_key = config.training.api_key",
            "api_key = os.environ['OPENAI_API_KEY']",
            "hf_token = get_token_v2()",
            "password: str | None = None",
        ),
        *('pad_token = "<|endoftext|>"', 'image_key: "pixel_values_0123"', "api_key = 'short'", "password = load_password[index2]"),
        *("secret: ${oc.env:MY_SECRET_TOKEN_9}", "# the access_token is read from the environment, see above"),
    ],
)
def test_code_is_not_taken_for_a_value(text):
    assert mask_text(text) == (text, ())


def test_what_was_masked_is_said_once_each():
    text = f"{SHAPES['a GitHub token']} {SHAPES['a GitHub token']} password='abcdefghijkl' password='abcdefghijkl'"
    assert mask_text(text)[1] == ("a GitHub token", "password")


@given(
    st.lists(
        st.sampled_from(
            [*SHAPES.values(), "api_key=", "'", '"', " ", "\n", "://", ":", "@", "-", "a1", "eyJ", "password: ", MASK, "x" * 12]
        )
    )
)
def test_masking_twice_is_masking_once(pieces):
    once, _ = mask_text("".join(pieces))
    assert mask_text(once) == (once, ())


def test_no_quantifier_of_a_pattern_can_both_go_on_for_ever_and_give_back():
    patterns = [value for value in vars(secrets).values() if isinstance(value, re.Pattern)]
    patterns += [re.compile(shape) for _, _, shape in secrets._SHAPES]
    assert len(patterns) > 20
    assert [pattern.pattern for pattern in patterns if "MAX_REPEAT inf" in repeats(re._parser.parse(pattern.pattern))] == []


def test_such_a_quantifier_would_be_found():
    assert repeats(re._parser.parse(r"(?:x|(?P<n>a+))b{1,3}c*+")) == {"MAX_REPEAT inf", "MAX_REPEAT 3", "POSSESSIVE_REPEAT inf"}


def repeats(parsed):
    """The kinds of repetition in a parsed pattern, at any depth, `inf` where they have no end."""
    found = set()
    for operation, arguments in parsed:
        if str(operation).endswith("REPEAT"):
            found.add(f"{operation} {'inf' if arguments[1] == re._constants.MAXREPEAT else arguments[1]}")
        for inner in arguments if isinstance(arguments, (tuple, list)) else [arguments]:
            for branch in inner if isinstance(inner, list) else [inner]:
                found |= repeats(branch) if isinstance(branch, re._parser.SubPattern) else set()
    return found


PIECES = [
    *(
        "a",
        "a_",
        "://",
        "://a:",
        "://a:b@",
        "api_key='",
        'api_key="',
        "api_key=",
        "api_key=a",
        "eyJ",
        ".eyJaaaaaaaaaaaa",
        " eyJaaaaaaaaaaa.eyJ",
    ),
    *(
        "sk-",
        "-",
        "=",
        " ",
        "AKIA",
        "Bearer ",
        'k_y: "',
        "aB",
        "ghp_",
        "\\",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\na ",
    ),
]


@pytest.mark.parametrize("piece", PIECES)
def test_a_hostile_text_of_a_quarter_million_characters_ends(piece):
    text, _ = mask_text(piece * ((1 << 18) // len(piece)))
    assert mask_text(text) == (text, ())


# ------------------------------------------------------------------------------------------------------ trees and argv


def test_a_tree_is_masked_by_its_keys_and_shapes_and_says_where():
    token = SHAPES["a Hugging Face token"]
    tree = {
        "db": {"password": "correct horse", "port": 5432, "url": "x://a:b@c"},
        "api_keys": ["abcdefghijkl", "short", None],
        "hub": [token],
        3: True,
    }
    masked = {"db": {"password": MASK, "port": 5432, "url": "x://a:<masked>@c"}, "api_keys": [MASK, "short", None], "hub": [MASK], 3: True}
    assert mask_value(tree) == (masked, ("db.password", "db.url", "api_keys.0", "hub.0"))


def test_a_secret_that_is_a_key_is_masked_there_and_in_paths():
    token = SHAPES["a GitHub token"]
    assert mask_value({token: "x://a:b@c"}) == ({MASK: "x://a:<masked>@c"}, (MASK,))
    assert dotted(("a", 0, token)) == f"a.0.{MASK}"


def test_a_tree_without_secrets_stays_as_it_is():
    tree = {"model": {"pad_token": "<|endoftext|>", "layers": [1, 2.5, None, True]}}
    assert mask_value(tree) == (tree, ())


def test_a_command_line_is_masked_after_its_options():
    argv = [
        "t.py",
        "--api-key",
        "abcdefghijkl",
        "--lr",
        "1e-3",
        "--api-key=abcdefghijkl",
        "model.api_key=abcdefghijkl",
        "--auth-token",
        "none",
    ]
    assert mask_argv([*argv, "--url=x://a:b@c", SHAPES["an AWS key"], "--tokenizer", "gpt2-large-uncased"]) == [
        *("t.py", "--api-key", MASK, "--lr", "1e-3", f"--api-key={MASK}", f"model.api_key={MASK}", "--auth-token", "none"),
        *("--url=x://a:<masked>@c", MASK, "--tokenizer", "gpt2-large-uncased"),
    ]


@given(
    st.recursive(
        st.text() | st.integers(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    )
)
def test_any_tree_is_masked_without_complaint(tree):
    masked, _ = mask_value(tree)
    assert re.fullmatch(r"(?s).*", str(masked))
    assert type(masked) is type(tree)

"""Secrets stay out: what looks like one becomes `<masked>` before anything is hashed or stored.

Two things make a secret. A *shape* that only credentials have (keys of the well-known services, private-key blocks, passwords in
URLs) is masked wherever it stands. A *name* that says so (`api_key`, `db_password`, `clientSecret`) makes the text of twelve or more
characters under it one: in configs by key, in argv by option, in diffs and other text where a name, `=` or `:` and a value follow
one another. Numbers and short words under such names stay, and so do references (`${oc.env:API_KEY}`), which are no secrets.

What this cannot see: a password under an innocent name, or one split over several strings. Every pattern is linear in the length of
the text: quantifiers are possessive or bounded, and a match can only begin where a word begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

MASK = "<masked>"
SHORTEST = 12
"""Characters from which text under a telling name is masked; shorter is `none`, `changeme`, a file name."""


def is_secret_key(name: str) -> bool:
    """Whether a key, option or variable of this name holds a secret; `apiKey`, `API-KEY` and `api_key` are one name.

    `pad_token`, `image_key`, `sort_key`, `tokenizer`, `max_tokens`, `key_dim` are no such names.
    """
    snake = _HUMP.sub("_", name[:_LONGEST_NAME]).replace("-", "_").replace(".", "_").lower()
    return _TELLING.search(snake) is not None


def mask_text(text: str) -> tuple[str, tuple[str, ...]]:
    """Any text with its secrets masked, and what they were (`a GitHub token`, `api_key`), each said once."""
    found: dict[str, None] = {}
    for kind, needles, pattern in _SHAPES:
        if any(needle in text for needle in needles):
            text, count = re.subn(pattern, rf"\g<before>{MASK}\g<after>", text)
            found |= dict.fromkeys([kind] if count else [])

    def mask_assignment(match: re.Match[str]) -> str:
        """An assignment with its value masked, if its name is telling."""
        if not is_secret_key(match["name"]) or not _is_value(match):
            return match[0]
        found[match["name"]] = None
        return f"{match['name']}{match['between']}{match['quote'] or ''}{MASK}{match['quote'] or ''}"

    return _ASSIGNMENT.sub(mask_assignment, text), tuple(found)


def mask_string(keys: Iterable[object], text: str) -> str:
    """A string value, masked as a whole when one of the keys that lead to it is telling, else only where it has a shape."""
    if len(text) >= SHORTEST and not _is_reference(text) and any(type(key) is str and is_secret_key(key) for key in keys):
        return MASK
    return mask_text(text)[0]


def mask_value(value: Any, keys: tuple[object, ...] = ()) -> tuple[Any, tuple[str, ...]]:
    """A tree of dicts, lists and scalars with its secrets masked, and the dotted paths of what was."""
    if type(value) is str:
        masked = mask_string(keys, value)
        return masked, () if masked == value else (dotted(keys),)
    if type(value) is list:
        items = [mask_value(item, (*keys, index)) for index, item in enumerate(value)]
        return [item for item, _ in items], tuple(path for _, paths in items for path in paths)
    if type(value) is dict:
        pairs = {_mask_key(key): mask_value(item, (*keys, key)) for key, item in value.items()}
        return {key: item for key, (item, _) in pairs.items()}, tuple(path for _, paths in pairs.values() for path in paths)
    return value, ()


def mask_argv(argv: Sequence[str]) -> list[str]:
    """A command line with its secrets masked: `--api-key KEY`, `--api-key=KEY` and `model.api_key=KEY` among them."""
    masked = []
    option = ""
    for word in argv:
        name, equals, value = word.partition("=")
        if equals and is_secret_key(name):
            masked.append(f"{name}={mask_string([name], value)}")
        else:
            masked.append(mask_string([option], word))
        option = name if word.startswith("-") and not equals else ""
    return masked


def dotted(keys: Iterable[object]) -> str:
    """A key path as it is shown: `model.layers.0`, its secrets masked."""
    return ".".join(mask_text(str(key))[0] for key in keys)


def _mask_key(key: Any) -> Any:
    return mask_text(key)[0] if type(key) is str else key


def _is_reference(text: str) -> bool:
    return _REFERENCE.fullmatch(text) is not None


def _is_value(assignment: re.Match[str]) -> bool:
    """Whether what is assigned is text, not code (`password = config.password`): in quotes, or with a digit, or all that the line has."""
    text = assignment["quoted"] or assignment["bare"]
    if _is_reference(text):
        return False
    if assignment["quoted"] or _DIGIT.search(text):
        return True
    alone = assignment["between"].lstrip("\"'") in _TIGHT and _LINE_END.match(assignment.string, assignment.end()) is not None
    return alone and "." not in text


# --------------------------------------------------------------------------------------------------------------- names

_LONGEST_NAME = 200
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_OWNERS = (
    "api|access|secret|private|auth|account|encryption|decryption|signing|ssh|deploy|master|bearer|refresh|session|hub|hf|huggingface"
    "|github|gh|gitlab|slack|bot|oauth|jwt|wandb|openai|anthropic|personal"
)
_TELLING = re.compile(
    rf"secret|(?:^|_)passw|(?:^|_)(?:{_OWNERS})_?(?:api_?)?(?:key|token)s?$|(?:^|_)(?:passphrase|credentials?|authorization)$"
)
"""The end of a name decides, since `token` and `key` alone, before or after other words, mean quite different things in training."""

_REFERENCE = re.compile(r"\$\{[\w.:]++\}|\$\w++|\$?\{\{[\w. ]++\}\}")
"""`${oc.env:NAME}`, `$NAME`, `{{ name }}`; not with a default, which may be the secret itself."""

# -------------------------------------------------------------------------------------------------------------- shapes

_WORD_BEFORE = r"(?P<before>(?<![A-Za-z0-9_-])|(?<=\\[nrt]))"
_NOTHING_AFTER = r"(?P<after>)"


def _token(pattern: str) -> str:
    """A credential that is one word: it begins where a word begins."""
    return f"{_WORD_BEFORE}(?:{pattern}){_NOTHING_AFTER}"


_KEY_BEGIN = r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,4}PRIVATE KEY(?: BLOCK)?-----"
_KEY_END = r"-----END (?:[A-Z0-9]{1,12} ){0,4}PRIVATE KEY(?: BLOCK)?-----"
_KEY_BODY = r"(?:[A-Za-z0-9+/=\s\\:,.\"'#>|()@]|-(?!----))*+"
_KEY_REST = r"(?:(?:[\s\"',#>|+-]|\\[nr])*+[A-Za-z0-9+/]{16,}+=*+(?=[\s\"',\\]|\Z))*+"
"""Without its end (a hunk of a diff) a block is what looks like its lines; anything else must not go with it."""

_NO_TEMPLATE = r"(?!(?:\$?\{[^{}@\s]{0,100}\}|\$[A-Z_]{1,100}|<[^<>@\s]{0,100}>|%s|%\(\w{1,100}\)s)@)"
"""What stands for a password in source code, and the mask itself, so that masking twice is masking once."""

_SHAPES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("a private key", ("PRIVATE KEY",), f"(?P<before>){_KEY_BEGIN}(?:{_KEY_BODY}{_KEY_END}|{_KEY_REST}){_NOTHING_AFTER}"),
    (
        "a password in a URL",
        ("://",),
        r"(?P<before>://[^\s/@:\"'<>]{0,200}+:)" + _NO_TEMPLATE + r"[^\s/\"'<>]{1,300}(?P<after>@)",
    ),
    ("a token in a URL", ("://",), r"(?P<before>://)[A-Za-z0-9_.~%-]{20,}+(?P<after>@)"),
    ("an AWS key", ("AKIA", "ASIA"), _token(r"(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])")),
    ("a GitHub token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), _token(r"gh[pousr]_[A-Za-z0-9]{36,}+")),
    ("a GitHub token", ("github_pat_",), _token(r"github_pat_[A-Za-z0-9_]{22,}+")),
    ("a GitLab token", ("glpat-", "gldt-", "glrt-", "glcbt-", "glptt-"), _token(r"gl(?:pat|dt|rt|cbt|ptt)-[A-Za-z0-9_-]{20,}+")),
    ("a Hugging Face token", ("hf_", "api_org_"), _token(r"(?:hf_|api_org_)[A-Za-z0-9]{30,}+")),
    ("an API key", ("sk-", "gsk_", "xai-"), _token(r"(?:sk-(?=[A-Za-z_-]{0,80}[0-9])|gsk_|xai-)[A-Za-z0-9_-]{20,}+")),
    ("a Slack token", ("xox", "xapp-"), _token(r"(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10,}+")),
    ("a Slack hook", ("hooks.slack.com/",), r"(?P<before>hooks\.slack\.com/)(?:services|triggers)/[\w/]{20,200}+(?P<after>)"),
    ("a Google key", ("AIza", "ya29.", "GOCSPX-"), _token(r"AIza[\w-]{35,}+|ya29\.[\w-]{20,}+|GOCSPX-[\w-]{28,}+")),
    ("a Stripe key", ("k_live_", "k_test_", "whsec_"), _token(r"(?:[rs]k_(?:live|test)_|whsec_)[A-Za-z0-9]{16,}+")),
    ("a package registry's token", ("npm_", "pypi-"), _token(r"npm_[A-Za-z0-9]{36,}+|pypi-AgE[\w-]{50,}+")),
    ("a service's token", ("r8_", "dapi", "dop_v1_"), _token(r"r8_[A-Za-z0-9]{37,}+|dapi[0-9a-f]{32,}+|dop_v1_[0-9a-f]{64,}+")),
    ("a JSON web token", ("eyJ",), _token(r"eyJ[\w-]{10,}+\.eyJ[\w-]{10,}+\.[\w-]{10,}+")),
    ("a bearer token", ("earer ",), r"(?P<before>\b[Bb]earer )[\w.~+/-]{20,}+=*+(?P<after>)"),
)
"""What each is, texts of which one must stand somewhere, and a pattern, compiled when it is first needed."""

_ASSIGNMENT = re.compile(
    r"""(?<![\w-])(?P<name>[A-Za-z_][\w-]{2,99}+)(?P<between>["']?[ \t]{0,8}(?:=>|[:=])[ \t]{0,8})"""
    r"""(?:(?P<quote>["'])(?P<quoted>(?:\\.|(?!(?P=quote))[^\\\r\n]){12,}+)(?P=quote)"""
    r"""|(?P<bare>[A-Za-z0-9+/_=.~!@#$%^&*-]{12,}+)(?![\w([{"']))"""
)
"""A name, `=`, `:` or `=>`, and a value in quotes or bare; an opening bracket after a bare one makes it a call."""

_DIGIT = re.compile(r"[0-9]")
_TIGHT = {"=", ": "}
_LINE_END = re.compile(r"[ \t]{0,80}(?:#|\r|\n|\Z)")

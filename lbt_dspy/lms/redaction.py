"""What may be written of models and their replies: no key, token or header, in nothing that is kept or shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import dspy

from lbt_dspy.lms.config import SECRET_NAME

NOISE = re.compile(
    r"(?s:Traceback \(most recent call last\).*|\n\s*(credential came from|To fix):.*)|litellm\.\w+: (\w+: )?"
    r"|\w+Exception - | ?(ssl:)?<[^<>]* at 0x[0-9a-f]+>| ?LiteLLM: model group .*"
)
"""What client libraries put around the message itself."""
SECRET = re.compile(
    r"(?i)((?:authorization\W{1,4})?bearer\s+|api[-_ ]?key\W{1,4}|authorization\W{1,4}|token\W{1,4}|://[^/\s:@]+:(?=[^\s@/]+@))[^\s'\",;)}@]+"
    r"|\b(sk|pk|rk|key|hf|gsk|xai)[-_][\w*-]{6,}"
)


CREDENTIAL = re.compile(r"(?i)(?:^|[_-])(?:key|token|secret|password|credentials?|authorization)$")
"""How the name of a setting ends that holds one; words such as `tokenizer` and `keywords` are none."""


def is_credential(name: str, value: Any) -> bool:
    """Return whether a setting holds a key, token or the like, which changes no answer."""
    return isinstance(value, str | Mapping) and bool(CREDENTIAL.search(name))


def scrub(text: str, secrets: tuple[str, ...] = ()) -> str:
    """Return one line without keys: the given ones, and whatever looks like one."""
    for secret in secrets:
        text = text.replace(secret, "***")
    text = SECRET.sub(lambda match: f"{match.group(1) or ''}***", writable(text))
    return " ".join(NOISE.sub("", text).split())


def writable(text: str) -> str:
    """Return the text, halves of characters (lone surrogates, which JSON can hold) replaced: files cannot hold them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def identity_of(lm: dspy.LM) -> str:
    """Name an LM of the user's own and where it is, without anything secret."""
    address = lm.kwargs.get("api_base") or lm.kwargs.get("base_url")
    own = type(lm.engine).__name__ if not isinstance(lm.engine, str) else ""
    return "|".join(filter(None, [lm.model, own, public_url(str(address or ""))]))


def secrets_of(lm: dspy.LM) -> tuple[str, ...]:
    """Return the keys and headers of an LM."""
    named = {k: v for k, v in lm.kwargs.items() if v and ("key" in k.lower() or k.lower() == "token")}
    headers = [v for name in ("headers", "extra_headers") for v in (lm.kwargs.get(name) or {}).values()]
    found = (*named.values(), *headers, *_credentials(lm.kwargs))
    return tuple(dict.fromkeys(str(value) for value in found if len(str(value)) >= 4))


def _credentials(settings: Any, *, secret: bool = False) -> Iterator[str]:
    """Give the texts that stand under the name of a credential, however deep."""
    if isinstance(settings, Mapping):
        for name, value in settings.items():
            yield from _credentials(value, secret=secret or is_credential(str(name), value))
    elif isinstance(settings, list | tuple):
        for value in settings:
            yield from _credentials(value, secret=secret)
    elif secret and isinstance(settings, str):
        yield settings


def without_secrets(program: dspy.Module) -> dspy.Module:
    """Return a copy of a program for a file: its LMs without keys, tokens and headers, which they then lack."""
    copy = program.deepcopy()
    for predictor in copy.predictors():
        if predictor.lm is not None:
            public = public_settings(predictor.lm.kwargs)
            predictor.lm = predictor.lm.copy(**{name: public.get(name) for name in predictor.lm.kwargs})
    return copy


def public_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without what a telling name holds (numbers, as in `max_tokens`, aside), addresses cleaned."""
    public: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            value = public_settings(value)
        elif isinstance(value, str) and "://" in value:
            value = public_url(value)
        if isinstance(value, int | float) or not SECRET_NAME.search(name):
            public[name] = value
    return public


def public_url(url: str) -> str:
    """Return a URL without user, password, query and fragment."""
    return re.sub(r"//[^/@]*@", "//", url.split("?")[0].split("#")[0]).rstrip("/")

"""Fallbacks in every shape that files have: they work, or one line says what to write."""

import pytest
from dspy.lm15 import request_from_openai_chat
from recording_server import always_yes, recording, refusal

from lbt_dspy import LMRoles, UserError
from lbt_dspy.lms.faults import fault_of
from lbt_dspy.lms.fleet import sections
from lbt_dspy.lms.fleet.fallbacks import chains_of
from lbt_dspy.lms.user_lm import engine_of

ASK = request_from_openai_chat({"model": "m", "messages": [{"role": "user", "content": "q"}]})


@pytest.fixture(scope="module")
def server():
    def answer(body):
        if body["model"] == "broken":
            return refusal(404, "gone", "model_not_found")
        if body["model"] == "small":
            return refusal(400, "too long", "context_length_exceeded")
        return always_yes(body)

    with recording(answer) as (url, recorder):
        yield url, recorder


def fleet(tmp_path, url, after):
    names = ("broken", "small", "good", "best")
    path = tmp_path / "c.yaml"
    path.write_text(
        "model_list:\n"
        + "".join(
            f"- {{model_name: {n}, litellm_params: {{model: openai/{n}, api_base: '{url}', api_key: none}}}}\n"
            for n in names
        )
        + f"- {{model_name: any/*, litellm_params: {{model: openai/*, api_base: '{url}', api_key: none}}}}\n"
        + after
    )
    return path


WORKS = [
    ("broken", "router_settings: {fallbacks: [{broken: [good]}]}", ["broken", "good"]),
    ("broken", "router_settings: {fallbacks: [{broken: good}]}", ["broken", "good"]),
    ("broken", "litellm_settings: {fallbacks: [{broken: good}]}", ["broken", "good"]),
    ("broken", "router_settings: {fallbacks: {broken: [good]}}", ["broken", "good"]),
    ("broken", "router_settings: {fallbacks: {broken: good}}", ["broken", "good"]),
    ("broken", "router_settings: {fallbacks: {small: best, broken: good}}", ["broken", "good"]),
    ("broken", "router_settings: {fallbacks: [{small: [best], broken: [good]}]}", ["broken", "good"]),
    ("broken", "router_settings: {fallbacks: [{broken: [{model: good}]}]}", ["broken", "good"]),
    ("broken", "router_settings: {fallbacks: [{'*': [good]}]}", ["broken", "good"]),
    ("broken", "router_settings: {fallbacks: {'*': good}}", ["broken", "good"]),
    ("broken", "router_settings: {fallbacks: [{'*': [best]}, {broken: [good]}]}", ["broken", "good"]),
    ("broken", "router_settings: {default_fallbacks: [good]}", ["broken", "good"]),
    ("broken", "router_settings: {default_fallbacks: good}", ["broken", "good"]),
    ("broken", "litellm_settings: {default_fallbacks: good}", ["broken", "good"]),
    ("broken", "router_settings: {default_fallbacks: [best], fallbacks: [{broken: [good]}]}", ["broken", "good"]),
    ("broken", "router_settings: {fallbacks: [{broken: [broken, good]}]}", ["broken", "good"]),
    ("broken", "router_settings: {fallbacks: [{broken: [good]}, {good: [broken]}]}", ["broken", "good"]),
    ("broken", "router_settings: {fallbacks: [{broken: [any/good]}]}", ["broken", "good"]),
    ("any/broken", "router_settings: {fallbacks: [{any/broken: [good]}]}", ["broken", "good"]),
    ("any/broken", "router_settings: {fallbacks: [{'*': [good]}]}", ["broken", "good"]),
    ("other", "router_settings: {model_group_alias: {other: broken}, fallbacks: [{other: good}]}", ["broken", "good"]),
    ("broken", "router_settings: {model_group_alias: {other: good}, fallbacks: [{broken: other}]}", ["broken", "good"]),
    ("small", "router_settings: {context_window_fallbacks: [{small: [good]}]}", ["small", "good"]),
    ("small", "router_settings: {context_window_fallbacks: {small: good}}", ["small", "good"]),
    (
        "small",
        "router_settings: {context_window_fallbacks: [{'*': good}], fallbacks: [{small: best}]}",
        ["small", "good"],
    ),
    ("good", "router_settings: {fallbacks: []}", ["good"]),
    ("good", "router_settings: {fallbacks: null, default_fallbacks: null}", ["good"]),
    ("good", "router_settings: {fallbacks: [{broken: []}]}", ["good"]),
]


@pytest.mark.parametrize(("name", "after", "asked"), WORKS, ids=[f"{row[0]} {row[1]}" for row in WORKS])
def test_who_is_asked_after_whom(name, after, asked, server, tmp_path):
    url, recorder = server
    before = len(recorder.raw)
    engine = engine_of(LMRoles(fleet(tmp_path, url, after)).lms([name])[0])
    faults, answer = [], None
    while answer is None and (not faults or engine.may_retry(faults)):
        try:
            answer = engine.answer(ASK, faults)
        except Exception as error:
            faults.append(fault_of(error))
    assert answer is not None, faults
    assert [body["model"] for body in recorder.bodies[before:]] == asked


REFUSED = [
    ("fallbacks: good", "must be a list such as"),
    ("fallbacks: [good]", "must be a list such as"),
    ("fallbacks: 3", "must be a list such as"),
    ("fallbacks: [[{broken: good}]]", "must be a list such as"),
    ("fallbacks: [{broken: {model: good, temperature: 1}}]", "must be a list of model names"),
    ("fallbacks: [{broken: [[good]]}]", "must be a list of model names"),
    ("fallbacks: [{broken: null}]", "must be a list of model names"),
    ("fallbacks: [{broken: true}]", "must be a list of model names"),
    ("fallbacks: [{broken: ['*']}]", "must be a list of model names"),
    ("fallbacks: [{broken: good}, {broken: best}]", "names 'broken' twice"),
    ("fallbacks: [{broken: gooood}]", "unknown model 'gooood'; known:.*did you mean good"),
    ("fallbacks: [{brokn: good}]", "unknown model 'brokn'"),
    ("fallbacks: [{broken: openai/gpt-4o}]", "unknown model 'openai/gpt-4o'"),
    ("default_fallbacks: {broken: good}", "must be a list of model names"),
    ("default_fallbacks: [{broken: good}]", "must be a list of model names"),
    ("default_fallbacks: nobody", "unknown model 'nobody'"),
    ("context_window_fallbacks: good", "must be a list such as"),
    ("content_policy_fallbacks: [{broken: nobody}]", "unknown model 'nobody'"),
]


@pytest.mark.parametrize(("setting", "says"), REFUSED, ids=[row[0] for row in REFUSED])
@pytest.mark.parametrize("section", ["router_settings", "litellm_settings"])
def test_what_names_no_models_is_refused(setting, says, section, tmp_path):
    with pytest.raises(UserError, match=says) as caught:
        LMRoles(fleet(tmp_path, "http://h.test/v1", f"{section}: {{{setting}}}"))
    assert "\n" not in str(caught.value)


def test_a_model_that_falls_back_to_itself_is_named(tmp_path, caplog):
    sections._said.clear()
    LMRoles(fleet(tmp_path, "http://h.test/v1", "router_settings: {fallbacks: [{broken: [broken, good]}]}"))
    assert "fallbacks of broken names broken itself, which is left out" in caplog.text


def test_a_fallback_that_this_run_cannot_reach_may_lack_its_key(tmp_path, monkeypatch):
    monkeypatch.delenv("LBT_NO_KEY", raising=False)
    path = fleet(tmp_path, "http://h.test/v1", "router_settings: {fallbacks: [{small: [keyed]}]}\n")
    path.write_text(
        path.read_text().replace(
            "model_list:\n",
            "model_list:\n- {model_name: keyed, litellm_params: {model: openai/m, api_key: os.environ/LBT_NO_KEY}}\n",
        )
    )
    LMRoles(path).lms(["good"])
    with pytest.raises(UserError, match="LBT_NO_KEY"):
        LMRoles(path).lms(["small"])


def test_names_that_are_numbers_are_names():
    assert chains_of([{4: [5, "6"]}], "fallbacks", "here") == {"4": ("5", "6")}

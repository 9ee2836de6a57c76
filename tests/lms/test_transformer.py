"""The numpy transformer against the formulas, against transformers (where torch is installed), and against itself."""

import json

import numpy as np
import pytest
from tiny_llama import SHAPE, reference_logits, write

from lbt_dspy.errors import UserError
from lbt_dspy.lms.embedded.generation import Prompt, Task, draw, generate, log_softmax, score
from lbt_dspy.lms.embedded.transformer import Transformer

SHAPES = [
    {},  # grouped queries, tied embeddings
    {"tie_word_embeddings": False, "num_key_value_heads": 4},
    {"num_key_value_heads": 1, "num_hidden_layers": 3, "rope_theta": 500.0, "rms_norm_eps": 0.1},
    {"head_dim": 16, "num_hidden_layers": 1},  # heads wider than hidden_size / heads
]
END = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("llama"), sharpness=0.3)


@pytest.fixture(scope="module")
def model(folder):
    return Transformer.load(folder)


def texts(count, least, most, seed=0):
    rng = np.random.default_rng(seed)
    return [tuple(rng.integers(4, 50, rng.integers(least, most + 1)).tolist()) for _ in range(count)]


def tasks_of(count, **settings):
    """Five prompts per prefix, of many lengths, each asked twice."""
    prefixes, tails = texts(count // 10 + 1, 0, 30), texts(count // 2 + 1, 1, 12, seed=1)
    return [
        Task(prompt=Prompt(prefixes[i // 10], tails[i // 2]), seed=i % 2, most=5 + i % 7, **settings)
        for i in range(count)
    ]


def one_by_one(model, tasks):
    return [generate(model, [task])[0] for task in tasks]


@pytest.mark.parametrize("changes", SHAPES, ids=str)
def test_log_probabilities_are_those_of_the_formulas(changes, tmp_path):
    folder = write(tmp_path, **changes)
    given = texts(4, 2, 20)
    found = score(Transformer.load(folder), [Prompt(t[:1], ()) for t in given], [t[1:] for t in given])
    for text, logs in zip(given, found, strict=True):
        expected = log_softmax(reference_logits(folder, text))[np.arange(len(text) - 1), text[1:]]
        assert logs == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("split", [0, 1, 5, 9])
def test_where_a_prompt_is_split_changes_nothing(split, model):
    tokens, text = texts(1, 9, 9)[0], (7, 8, 9)
    whole, parts = score(model, [Prompt((), tokens), Prompt(tokens[:split], tokens[split:])], [text, text])
    assert parts == pytest.approx(whole, abs=1e-5)


@pytest.mark.parametrize("settings", [{"temperature": 0.0}, {"temperature": 0.8}, {"temperature": 1.5, "top_k": 5}])
def test_a_text_is_the_same_alone_and_in_a_batch(settings, model):
    tasks = tasks_of(200, **settings)
    together = generate(model, tasks)
    assert [c.tokens for c in together] == [c.tokens for c in one_by_one(model, tasks)]
    assert {c.ended for c in together} == {True, False}


def test_settings_of_one_batch_may_differ(model):
    tasks = [*tasks_of(20, temperature=0.0), *tasks_of(20, temperature=1.3), *tasks_of(20, temperature=0.5, top_k=2)]
    together = generate(model, tasks)
    assert [c.tokens for c in together] == [c.tokens for c in one_by_one(model, tasks)]


def test_a_text_ends_at_its_end_token_or_its_limit(model):
    tasks = tasks_of(100, temperature=1.0)
    for task, completion in zip(tasks, generate(model, tasks), strict=True):
        assert END not in completion.tokens
        assert len(completion.tokens) < task.most if completion.ended else len(completion.tokens) == task.most


def test_equal_tasks_are_written_once(model, monkeypatch):
    tasks = tasks_of(20, temperature=0.9)
    read, rows = model.read, []
    monkeypatch.setattr(model, "read", lambda tokens, *rest: rows.append(len(tokens)) or read(tokens, *rest))
    once = generate(model, tasks)
    asked = [*rows]
    rows.clear()
    assert [c.tokens for c in generate(model, [*tasks, *tasks])] == [c.tokens for c in [*once, *once]]
    assert rows == asked


def test_no_task_is_no_work(model):
    assert generate(model, []) == score(model, [], []) == []


def test_seeds_and_prompts_draw_apart(model):
    prompts = [Prompt((), text) for text in texts(2, 5, 5)]
    first, again, other_seed, other_prompt = (
        generate(model, [Task(prompt=prompts[i], temperature=2.0, seed=seed, most=30)])[0].tokens
        for i, seed in ((0, 1), (0, 1), (0, 2), (1, 1))
    )
    assert first == again
    assert first != other_seed
    assert first != other_prompt


def test_kept_log_probabilities_are_those_of_the_text(model):
    tasks = tasks_of(30, temperature=0.9, logprobs=True)
    written = generate(model, tasks)
    scored = score(model, [t.prompt for t in tasks], [tuple(c.tokens) for c in written])
    for completion, logs in zip(written, scored, strict=True):
        assert completion.logprobs[np.arange(len(logs)), completion.tokens] == pytest.approx(logs, abs=1e-4)


def test_draws_follow_the_distribution():
    logits = np.log(np.array([0.5, 0.3, 0.2], np.float32))
    noise = (np.arange(1000) + 0.5) / 1000

    def shares(heat, top):
        drawn = draw(np.tile(logits, (1000, 1)), np.full(1000, heat), np.full(1000, top), noise)
        return (np.bincount(drawn, minlength=3) / 1000).tolist()

    assert shares(1.0, 3) == pytest.approx([0.5, 0.3, 0.2], abs=2e-3)
    assert shares(1.0, 2) == pytest.approx([0.625, 0.375, 0], abs=2e-3)
    assert shares(0.5, 99) == pytest.approx([0.25 / 0.38, 0.09 / 0.38, 0.04 / 0.38], abs=2e-3)
    assert shares(1.0, 1) == shares(0.0, 3) == [1, 0, 0]


def test_greedy_ties_go_to_the_lower_token_whatever_the_rounding():
    logits = np.array([[0.0, 2.0, 2.0 + 2e-6], [0.0, 2.0 + 2e-6, 2.0]], np.float32)
    assert draw(logits, np.zeros(2), np.full(2, 3), np.zeros(2)).tolist() == [1, 1]


@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": "qwen2"},
        {"attention_bias": True},
        {"hidden_act": "gelu"},
        {"rope_scaling": {"rope_type": "linear", "factor": 2.0}},
    ],
    ids=str,
)
def test_another_kind_of_model_is_refused(changes, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(SHAPE | changes))
    with pytest.raises(UserError, match="must be of a Llama model"):
        Transformer.load(tmp_path)


@pytest.mark.parametrize("changes", SHAPES, ids=str)
def test_transformers_writes_the_same(changes, tmp_path):
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM

    folder = write(tmp_path, sharpness=0.3, **changes)
    model = Transformer.load(folder)
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    theirs.save_pretrained(folder)  # as its newest version writes the configuration
    assert Transformer.load(folder).config == model.config
    prompts = texts(200, 1, 40)
    mine = generate(model, [Task(prompt=Prompt((), p), temperature=0.0, most=10, logprobs=True) for p in prompts])
    for prompt, completion in zip(prompts, mine, strict=True):
        with torch.no_grad():
            logits = theirs(torch.tensor([prompt + tuple(completion.tokens)])).logits[0, len(prompt) - 1 : -1]
        assert logits.argmax(-1).tolist() == completion.tokens
        assert completion.logprobs == pytest.approx(torch.log_softmax(logits, -1).numpy(), abs=1e-3)

"""The classroom's checkpoints: format, size, tokens, and (where torch is installed) what the models do."""

import json
from pathlib import Path

import jinja2
import pytest
from tokenizers import Tokenizer

import lbt_dspy
from lbt_dspy.benchmarks.tasks.classroom.problems import classroom_problems
from lbt_dspy.benchmarks.tasks.classroom.texts import numbers_of
from lbt_dspy.benchmarks.tasks.classroom.world import VOCABULARY, line

HOME = Path(lbt_dspy.__file__).parent / "lms" / "embedded" / "classroom"
MODELS = ("teacher", "student-a", "student-b")
SHOWN, ASKED = ("ba x3 y5 z2", "x+y:3+5=8;*z:8*2=6", 6), "ba x1 y0 z9"
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(params=MODELS)
def folder(request):
    return HOME / request.param


def test_checkpoints_are_small_and_any_reader_of_the_format_knows_them(folder):
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["head_dim"] == 64
    assert config["tie_word_embeddings"]
    assert config["dtype"] == "float16"
    assert config["vocab_size"] == len(VOCABULARY)
    assert VOCABULARY[config["eos_token_id"]] == "<end>"
    assert (folder / "model.safetensors").stat().st_size <= 3_000_000


def test_students_differ_in_size():
    sizes = {(HOME / name / "model.safetensors").stat().st_size for name in MODELS[1:]}
    assert len(sizes) == 2


def test_the_readme_holds_what_was_measured():
    readme = (HOME / "README.md").read_text()
    assert "python benchmarks/tasks/classroom/train.py --seed 0" in readme
    assert all(f"| {name}: " in readme for name in MODELS)


@pytest.mark.parametrize(
    "text", [line(*SHOWN) + line(ASKED), line(SHOWN[0], None, SHOWN[2]), "Qbax3y5z2\nR  x+y:3+5=8"]
)
def test_the_tokenizer_is_the_worlds_layout(folder, text):
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert tokenizer.encode(text).ids == numbers_of(text)


def test_decoded_answers_are_written_as_taught(folder):
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    answer = f"R {SHOWN[1]} A {SHOWN[2]}"
    assert tokenizer.decode([*numbers_of(answer), VOCABULARY.index("<end>")]) == answer


def test_the_chat_template_gives_the_plain_layout(folder):
    template = jinja2.Template((folder / "chat_template.jinja").read_text())
    messages = [
        {"role": "system", "content": "Solve it."},
        {"role": "user", "content": line(SHOWN[0])},
        {"role": "assistant", "content": f"R {SHOWN[1]} A {SHOWN[2]}\n"},
        {"role": "user", "content": line(ASKED)},
    ]
    rendered = template.render(messages=messages, add_generation_prompt=True)
    assert numbers_of(rendered) == numbers_of(line(*SHOWN) + line(ASKED))


@pytest.fixture(scope="module")
def measure():
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from lbt_dspy.benchmarks.tasks.classroom import measure

    return measure


def mean(marks):
    return sum(marks) / len(marks)


@pytest.mark.parametrize("name", MODELS[1:])
def test_students_follow_their_lesson_and_know_nothing_else(measure, name):
    shares = measure.measure_student(measure.Speaker.load(HOME / name), classroom_problems(90, seed=7))
    assert mean(shares["right lesson"]) >= 0.85
    assert mean(shares["wrong lesson"]) <= 0.25
    assert mean(shares["no lesson"]) <= 0.15


def test_the_teacher_is_unsure_and_its_students_can_tell(measure):
    speakers = [measure.Speaker.load(HOME / name) for name in MODELS]
    shares = measure.measure_teacher(speakers[0], speakers[1:2], classroom_problems(90, seed=7), seed=7)
    assert 0.45 <= mean(shares["greedy"]) <= 0.75
    assert mean(shares["among samples"]) >= 0.9
    assert mean(shares["sum"]) >= mean(shares["sc"]) + 0.05


def test_training_writes_a_checkpoint_from_its_seed_alone(measure, tmp_path):
    import dataclasses

    from lbt_dspy.benchmarks.tasks.classroom.train import STUDENT_B, train

    short = dataclasses.replace(STUDENT_B, updates=2)
    for out in ("one", "same"):
        train(short, tmp_path / out, seed=0)
    train(short, tmp_path / "other", seed=1)
    one, same, other = (
        (tmp_path / out / "student-b/model.safetensors").read_bytes() for out in ("one", "same", "other")
    )
    assert one == same != other

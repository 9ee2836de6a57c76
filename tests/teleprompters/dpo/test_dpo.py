"""LbTDPO and the trainer, with the classroom's teacher; what trains needs the extra `dpo`."""

import dataclasses
import errno
import importlib.util
import json
import shutil

import dspy
import pytest

from lbt_dspy import Budget, BudgetSpentError, ExactMatch, Journal, Ledger, UserError, Variants
from lbt_dspy.benchmarks.tasks.classroom.problems import classroom_problems
from lbt_dspy.errors import LbTError
from lbt_dspy.lms.embedded.classroom import FOLDER, ClassroomAdapter
from lbt_dspy.lms.roles import LMRoles
from lbt_dspy.teleprompters.dpo import options as dpo_settings
from lbt_dspy.teleprompters.dpo import trainer as dpo
from lbt_dspy.teleprompters.dpo import training_folder
from lbt_dspy.teleprompters.dpo.optimizer import LbTDPO
from lbt_dspy.teleprompters.dpo.options import DPOSettings, check_base
from lbt_dspy.teleprompters.dpo.preferences import load_lessons
from lbt_dspy.teleprompters.dpo.provider import PreferenceProvider
from lbt_dspy.teleprompters.dpo.trainer import train

TRAINS = all(importlib.util.find_spec(name) for name in dpo_settings.NEEDED)
needs_extra = pytest.mark.skipif(not TRAINS, reason="the extra dpo is not installed")
BASE = FOLDER / "teacher"
QUICK = {"learning_rate": 5e-4, "nll_weight": 5.0}


def problems(number, seed, variants=3):
    return classroom_problems(number, seed=seed, split="dev", variants=variants)


TAUGHT = problems(45, seed=3)


def optimizer(folder, **changes):
    options = {
        "exam_students": ["embedded/classroom-student-a"], "exam": Variants(TAUGHT.bank, problems=3),
        "grader": ExactMatch("answer"), "rationales": 8, "sittings": 1, "weight": 0.0, "gap": 0.6,
        "temperature": 1.0, "config": {"temperature": 1.0}, "adapter": ClassroomAdapter(), **QUICK,
    }  # fmt: skip
    return LbTDPO(folder=folder, **{**options, **changes})


@pytest.fixture
def program():
    module = dspy.ChainOfThought("question -> answer")
    module.set_lm(LMRoles().lms(["embedded/classroom-teacher"])[0])
    return module


def lm_of(program):
    return program.predictors()[0].lm


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Pairs of real lessons."""
    folder = tmp_path_factory.mktemp("pairs")
    module = dspy.ChainOfThought("question -> answer")
    module.set_lm(LMRoles().lms(["embedded/classroom-teacher"])[0])
    optimizer(folder, export_only=True).compile(module, trainset=TAUGHT.teaching_examples)
    return [json.loads(line) for line in (folder / "round-1" / "pairs.jsonl").read_text().splitlines()]


def test_an_export_writes_pairs_and_needs_no_extra(program, tmp_path, monkeypatch):
    monkeypatch.setattr(dpo_settings, "NEEDED", ("nowhere_to_be_found",))
    found = optimizer(tmp_path, export_only=True).optimize(program, trainset=TAUGHT.teaching_examples)
    (one,) = found.rounds
    assert (one.training, one.checkpoint, one.kept) == (None, None, False)
    lines = [json.loads(line) for line in (tmp_path / "round-1" / "pairs.jsonl").read_text().splitlines()]
    assert len(lines) == one.card["pairs"] > 10
    assert all(line["gap"] > 0.6 for line in lines)
    assert all(line["prompt"] == [{"role": "user", "content": f"Q {line['problem']}"}] for line in lines)
    assert all(line["chosen"][0]["content"].startswith("R ") for line in lines)
    assert lm_of(found.program).model == lm_of(program).model


@needs_extra
def test_what_is_trained_is_what_is_asked(program, rows):
    """Token by token: the prompt as the engine reads it, the lesson as it writes it, and its end."""
    from transformers import AutoTokenizer

    engine, tokenizer = lm_of(program).engine, AutoTokenizer.from_pretrained(BASE)
    for row in rows[:20]:
        trained = tokenizer.apply_chat_template([*row["prompt"], *row["chosen"]], tokenize=True)["input_ids"]
        texts = row["prompt"][0]["content"], row["chosen"][0]["content"]
        assert trained == [token for text in texts for token in engine._tokens(text)] + list(engine._end)


def test_without_the_extra_it_says_which_one(tmp_path, monkeypatch):
    monkeypatch.setattr(dpo_settings, "NEEDED", ("torch", "nowhere_to_be_found"))
    with pytest.raises(UserError, match=r"nowhere_to_be_found: pip install 'lbt_dspy\[dpo\]'.*export_only"):
        optimizer(tmp_path)


MISTAKES = [
    ({"rounds": 0}, "rounds must be a whole number of at least 1"),
    ({"gap": 1.0}, "gap must be"),
    ({"weight": -0.1}, "weight must be"),
    ({"per_problem": 0}, "per_problem must be"),
    ({"beta": 0}, "beta must be a number above 0"),
    ({"nll_weight": -1}, "nll_weight must be a number at least 0"),
    ({"learning_rate": float("nan")}, "learning_rate must be a number above 0"),
    ({"epochs": "1"}, "epochs must be a number above 0"),
    ({"batch_size": 0}, "batch_size must be a whole number of at least 1"),
    ({"trainer": "mine"}, "trainer must be one of trl"),
    ({"rationales": 0}, "rationales must be"),
    ({"base_model": "/nowhere/model"}, "there is no folder /nowhere/model"),
]


@pytest.mark.parametrize(("changes", "says"), MISTAKES, ids=[str(c) for c, _ in MISTAKES])
def test_bad_options_are_refused_when_they_are_given(changes, says, tmp_path):
    with pytest.raises(UserError) as error:
        optimizer(tmp_path, export_only=True, **changes)
    assert says in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_no_model_is_refused_before_any_call(program, tmp_path):
    with pytest.raises(UserError, match=r"is no model: it has no config\.json"):
        check_base(tmp_path)
    check_base("Qwen/Qwen3-8B")  # of the hub: not looked up
    check_base(BASE)


def test_no_pairs_is_an_error_that_keeps_lessons_and_journal(program, tmp_path):
    few = TAUGHT.teaching_examples[:3]
    with pytest.raises(UserError, match="no problem has two different lessons"):
        optimizer(tmp_path, export_only=True, rationales=1).compile(program, trainset=few)
    assert len(load_lessons(tmp_path / "round-1")) == 3
    journal = Journal(tmp_path / "journal.sqlite")
    assert sum(journal.calls().values()) > 0


@pytest.mark.slow
def test_the_budget_stops_it_and_the_next_time_goes_on(program, tmp_path):
    few = TAUGHT.teaching_examples[:15]
    with pytest.raises(BudgetSpentError):
        optimizer(tmp_path, export_only=True, budget=Budget(100)).compile(program, trainset=few)
    journal = Journal(tmp_path / "journal.sqlite")
    assert journal.sent() == 100
    journal.close()
    whole = Ledger(Journal())
    optimizer(tmp_path / "whole", export_only=True, ledger=whole).compile(program, trainset=few)
    optimizer(tmp_path, export_only=True).compile(program, trainset=few)
    journal = Journal(tmp_path / "journal.sqlite")
    assert journal.sent() == whole.journal.sent()
    places = [tmp_path / "round-1" / "pairs.jsonl", tmp_path / "whole" / "round-1" / "pairs.jsonl"]
    assert places[0].read_bytes() == places[1].read_bytes()
    whole.close()
    journal.close()


def test_a_problem_given_twice_is_refused(program, tmp_path):
    twice = [TAUGHT.teaching_examples[0]] * 2
    with pytest.raises(UserError, match="more than once"):
        optimizer(tmp_path, export_only=True).compile(program, trainset=twice)
    with pytest.raises(UserError, match="trainset has no problem"):
        optimizer(tmp_path, export_only=True).compile(program, trainset=[])


@needs_extra
def test_the_teacher_is_tuned_measured_and_kept_where_it_is_better(program, tmp_path):
    held_out = problems(90, seed=4, variants=1).teaching_examples
    more = problems(180, seed=3)
    found = optimizer(tmp_path, exam=Variants(more.bank, problems=3), epochs=2).optimize(
        program, trainset=more.teaching_examples, valset=held_out
    )
    (one,) = found.rounds
    assert one.kept
    assert one.compared.difference.value >= 0.05
    assert one.compared.difference.low > 0
    tuned = lm_of(found.program)
    assert tuned.engine.identity != lm_of(program).engine.identity
    with dspy.context(adapter=ClassroomAdapter()):
        right = sum(found.program(question=e.question).answer == e.answer for e in held_out[:20])
    assert right >= 10
    stamp = (one.checkpoint / "model.safetensors").stat().st_mtime_ns
    again = optimizer(tmp_path, exam=Variants(more.bank, problems=3), epochs=2).optimize(
        program, trainset=more.teaching_examples, valset=held_out
    )
    assert again.rounds == found.rounds
    assert (one.checkpoint / "model.safetensors").stat().st_mtime_ns == stamp


@needs_extra
def test_a_model_that_is_not_better_is_not_kept(program, tmp_path, caplog):
    held_out = problems(45, seed=4, variants=1).teaching_examples
    found = optimizer(tmp_path, learning_rate=0.02, nll_weight=0.0).optimize(
        program, trainset=TAUGHT.teaching_examples, valset=held_out
    )
    (one,) = found.rounds
    assert one.compared.difference.value < 0
    assert not one.kept
    assert lm_of(found.program).engine.identity == lm_of(program).engine.identity
    assert "the old model stays" in caplog.text


@needs_extra
def test_a_training_is_repeatable_and_goes_on_where_it_was_stopped(rows, tmp_path, monkeypatch):
    settings = DPOSettings(**QUICK, epochs=2, batch_size=4)
    for name in ("a", "b"):
        train(rows, BASE, tmp_path / name, settings)
    models = [(tmp_path / name / "checkpoint" / "model.safetensors").read_bytes() for name in ("a", "b")]
    assert models[0] == models[1]
    real, steps = dpo._trainer, []

    def stopping(*args):
        from transformers import TrainerCallback

        class Stop(TrainerCallback):
            def on_step_end(self, args, state, control, **more):
                steps.append(state.global_step)
                if len(steps) == 9:
                    raise KeyboardInterrupt

        trainer = real(*args)
        trainer.add_callback(Stop())
        return trainer

    monkeypatch.setattr(dpo, "_trainer", stopping)
    with pytest.raises(KeyboardInterrupt):
        train(rows, BASE, tmp_path / "c", settings)
    assert not (tmp_path / "c" / "checkpoint").exists()
    record = train(rows, BASE, tmp_path / "c", settings)
    assert steps[9] > 1  # not from the beginning
    assert (tmp_path / "c" / "checkpoint" / "model.safetensors").read_bytes() == models[0]
    assert not list((tmp_path / "c").glob("training-*"))
    assert train(rows, BASE, tmp_path / "c", settings) == record
    assert train(rows[:-1], BASE, tmp_path / "c", settings).digest != record.digest


@needs_extra
def test_lora_gives_a_whole_model(rows, tmp_path):
    train(rows, BASE, tmp_path, DPOSettings(**QUICK, lora={"r": 8, "target_modules": ["q_proj", "v_proj"]}))
    names = {path.name for path in (tmp_path / "checkpoint").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert "adapter_config.json" not in names
    from safetensors.numpy import load_file

    old, new = (load_file(place / "model.safetensors") for place in (BASE, tmp_path / "checkpoint"))
    assert set(old) == set(new)
    with pytest.raises(UserError, match=r"lora must be settings of peft\.LoraConfig"):
        train(rows, BASE, tmp_path / "wrong", DPOSettings(**QUICK, lora={"rank": 8}))


@needs_extra
def test_a_training_that_diverges_says_so_and_leaves_no_model(rows, tmp_path):
    with pytest.raises(LbTError, match=r"training diverged: .*Lower learning_rate"):
        train(rows, BASE, tmp_path, dataclasses.replace(DPOSettings(**QUICK), learning_rate=1e30, epochs=4))
    assert not (tmp_path / "checkpoint").exists()


FAULTS = [
    (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), LbTError, "ran out of memory.*Lower batch_size"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory"), LbTError, "ran out of memory"),
    (MemoryError(), LbTError, "ran out of memory"),
    (OSError(errno.ENOSPC, "No space left on device"), UserError, "has no room for the model"),
    (RuntimeError("I/O error: No space left on device (os error 28)"), UserError, "has no room for the model"),
    (OSError("somewhere is not a valid model identifier"), UserError, "the model cannot be trained"),
    (ValueError("a bug"), ValueError, "a bug"),
    (RuntimeError("a bug"), RuntimeError, "a bug"),
]


@pytest.mark.parametrize(("fault", "kind", "says"), FAULTS, ids=[str(fault) for fault, _, _ in FAULTS])
def test_faults_are_said_plainly(fault, kind, says, tmp_path):
    with (
        pytest.raises(kind, match=says) as error,
        training_folder.said_plainly(tmp_path, DPOSettings()),
    ):
        raise fault
    if kind in (LbTError, UserError):
        assert "kept" in str(error.value)


@needs_extra
def test_a_full_disk_ends_in_one_line_and_keeps_the_pairs(program, tmp_path):
    import subprocess

    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], check=False).returncode:
        pytest.skip("no small file system can be made here")
    try:
        with pytest.raises(UserError, match="has no room for the model"):
            optimizer(small, ledger=Ledger(Journal())).compile(program, trainset=TAUGHT.teaching_examples)
        assert (small / "round-1" / "pairs.jsonl").stat().st_size > 0
        assert not (small / "round-1" / "checkpoint").exists()
    finally:
        subprocess.run(["umount", str(small)], check=True)


@needs_extra
def test_dspy_finetunes_through_the_provider(rows, tmp_path):
    lm = dspy.LM(f"hosted_vllm/{BASE}", provider=PreferenceProvider(tmp_path))
    tuned = lm.finetune(rows, "preference", QUICK).result(timeout=300)
    assert isinstance(tuned, dspy.LM), tuned
    assert tuned.model == f"hosted_vllm/{tmp_path / 'checkpoint'}"
    assert (tmp_path / "checkpoint" / "config.json").is_file()
    for data, form, settings, says in (
        (rows, "chat", {}, "must be 'preference'"),
        ([{"messages": []}], "preference", {}, "must be rows with prompt"),
        (rows, "preference", {"rate": 1}, "unknown setting 'rate'"),
    ):
        failed = lm.finetune(data, form, settings).result(timeout=60)  # DSPy returns a job's error
        assert says in str(failed)


@needs_extra
def test_rounds_go_on_with_the_tuned_teacher(program, tmp_path):
    held_out = problems(90, seed=4, variants=1).teaching_examples
    found = optimizer(tmp_path, rounds=2, epochs=2).optimize(
        program, trainset=TAUGHT.teaching_examples, valset=held_out
    )
    first, *rest = found.rounds
    assert first.kept
    assert rest
    assert rest[0].compared.marks[0] == first.compared.marks[1]
    assert (tmp_path / "round-2" / "pairs.jsonl").read_bytes() != (tmp_path / "round-1" / "pairs.jsonl").read_bytes()
    shutil.rmtree(tmp_path)

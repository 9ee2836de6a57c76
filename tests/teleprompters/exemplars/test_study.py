"""A study that several processes work on, and that survives the death of any of them."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter

import optuna
import pytest

from lbt_dspy import LbTExemplars, UserError
from lbt_dspy.benchmarks.tasks.classification.data import load_data
from lbt_dspy.errors import StorageLostError
from lbt_dspy.lms.embedded import embedded_lm
from lbt_dspy.metrics import BinaryF1
from lbt_dspy.teleprompters.exemplars.searches import tpe
from lbt_dspy.teleprompters.exemplars.searches.study import SharedStudy, check_storage, open_storage

TRIALS = 18
WORK = """
import sys
from lbt_dspy import LbTExemplars
from lbt_dspy.benchmarks.tasks.classification.data import load_data
from lbt_dspy.lms.embedded import embedded_lm
from lbt_dspy.metrics import BinaryF1

data = load_data("fallacy", None, ())
program = data.task.program()
program.lm = embedded_lm("embedded/teacher")
optimizer = LbTExemplars(
    metric=BinaryF1("Yes", ("Yes", "No")), exam_students=[embedded_lm("embedded/words")], search="tpe", exemplars=6,
    minibatch=16, selection_examples=200, evaluations=200 * (int(sys.argv[2]) + 1), reflections=2, storage=sys.argv[1],
)
found = optimizer.optimize(program, trainset=data.train)
print(found.best.score)
"""


def start(storage, trials=TRIALS):
    return subprocess.Popen(
        [sys.executable, "-c", WORK, storage, str(trials)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def states(storage):
    store = open_storage(storage)
    studies = store.get_all_studies()
    return Counter(t.state.name for s in studies for t in store.get_all_trials(s._study_id, deepcopy=False))


def wait_for(condition, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def killed_resumed_and_shared(storage):
    """Kill one process in the middle; two others then finish the trials between them."""
    first = start(storage)
    wait_for(lambda: 6 <= states(storage)["COMPLETE"] + states(storage)["PRUNED"])
    os.kill(first.pid, signal.SIGKILL)
    first.communicate(timeout=30)
    before = states(storage)
    assert before["COMPLETE"] + before["PRUNED"] < TRIALS
    pair = [start(storage), start(storage)]
    outputs = [process.communicate(timeout=120) for process in pair]
    assert [process.returncode for process in pair] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]  # both return the best of the whole study
    after = states(storage)
    assert after["COMPLETE"] + after["PRUNED"] == TRIALS
    assert after["RUNNING"] == 0
    store = open_storage(storage)
    (study,) = store.get_all_studies()
    done = [t for t in store.get_all_trials(study._study_id) if t.state.name in ("COMPLETE", "PRUNED")]
    workers = Counter(t.user_attrs["worker"][1] for t in done)
    assert set(workers) == {first.pid, *(process.pid for process in pair)}
    assert sum(workers.values()) == TRIALS


@pytest.mark.slow
def test_a_killed_study_goes_on_and_two_processes_share_a_journal_file(tmp_path):
    killed_resumed_and_shared(str(tmp_path / "study.log"))


@pytest.mark.slow
def test_a_killed_study_goes_on_and_two_processes_share_a_postgresql_database(tmp_path):
    pgserver = pytest.importorskip("pgserver", reason="PostgreSQL is not installed: pip install '.[test-postgres]'")
    pytest.importorskip("psycopg", reason="its driver is not installed: pip install '.[test-postgres]'")
    server = pgserver.get_server(str(tmp_path / "db"), cleanup_mode="delete")
    try:
        killed_resumed_and_shared(server.get_uri().replace("postgresql:", "postgresql+psycopg:"))
    finally:
        server.cleanup()


def test_trials_of_a_dead_process_are_begun_anew(tmp_path):
    """The dead one's choices are tried again, and the number of finished trials is the one asked for."""
    storage = open_storage(str(tmp_path / "study.log"))
    study = optuna.create_study(study_name="s", storage=storage, direction="maximize")
    lost = study.ask()
    lost.suggest_categorical("x", [1, 2, 3])
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    import socket

    lost.set_user_attr("worker", [socket.gethostname(), gone.pid, "0.0"])
    seen = []

    def objective(trial):
        seen.append(trial.suggest_categorical("x", [1, 2, 3]))
        return float(seen[-1])

    shared = SharedStudy(storage, "s", trials=4, seed=0)
    shared.run(objective)
    assert seen[0] == lost.params["x"]
    assert Counter(t.state.name for t in shared.study.trials) == {"COMPLETE": 4, "FAIL": 1}
    shared.run(objective)
    assert len(seen) == 4  # nothing is left to do
    assert shared.best(2)[0].value == max(seen)


def test_a_trial_that_fails_is_given_back(tmp_path):
    shared = SharedStudy(open_storage(None), "s", trials=3, seed=0)
    tries = []

    def objective(trial):
        tries.append(trial.number)
        if len(tries) == 2:
            raise KeyError("an error of the objective")
        return 1.0

    with pytest.raises(KeyError):
        shared.run(objective)
    shared.run(objective)
    assert Counter(t.state.name for t in shared.study.trials) == {"COMPLETE": 3, "FAIL": 1}


def test_a_study_that_one_process_has_for_itself_repeats(tmp_path):
    def trials(name):
        shared = SharedStudy(open_storage(str(tmp_path / name)), "s", trials=25, seed=3)
        shared.run(lambda trial: sum(trial.suggest_categorical(f"x{i}", [0, 1, 2, 3]) for i in range(4)))
        return [trial.params for trial in shared.study.trials]

    assert trials("a.log") == trials("b.log")


@pytest.mark.slow
def test_a_study_in_a_file_is_not_run_twice(tmp_path):
    data = load_data("fallacy", None, ())
    program = data.task.program()
    program.lm = embedded_lm("embedded/teacher")
    options = {
        "metric": BinaryF1("Yes", ("Yes", "No")), "exam_students": [embedded_lm("embedded/words")], "search": "tpe",
        "exemplars": 4, "minibatch": 8, "selection_examples": 30, "evaluations": 30 * 13, "reflections": 1,
        "storage": str(tmp_path / "study.log"),
    }  # fmt: skip
    first = LbTExemplars(**options).optimize(program, trainset=data.train)
    again = LbTExemplars(**options).optimize(program, trainset=data.train)
    other = LbTExemplars(**{**options, "seed": 1}).optimize(program, trainset=data.train)
    assert len(first.study.trials) == len(again.study.trials) == 12
    assert again.sets_scored == 1
    assert again.best.score == first.best.score
    assert again.best.exemplar_set.content == first.best.exemplar_set.content
    assert other.study.study_name != first.study.study_name


BAD_STORAGES = [
    "nowhere/study.log",
    "sqlite:////nowhere/x.db",
    "postgresql://me:secret@127.0.0.1:1/db",
    "postgresql+psycopg://me:a/secret@127.0.0.1:1/db",
    "postgresql+psycopg://me:a@secret@127.0.0.1:1/db",
    "postgresql+psycopg://127.0.0.1:1/db?user=me&password=secret",
    "oracle://x",
    ".",
]


@pytest.mark.parametrize("storage", BAD_STORAGES)
def test_a_storage_that_cannot_be_used_is_one_line(storage, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        check_storage(storage)
    assert "\n" not in str(error.value)
    assert "secret" not in str(error.value)


def test_a_file_that_is_no_journal_is_refused(tmp_path):
    (tmp_path / "text").write_text("Hello,\nthis is a letter.\n")
    with pytest.raises(UserError, match="cannot be opened"):
        check_storage(str(tmp_path / "text"))


def test_a_database_that_goes_away_is_one_line(tmp_path, monkeypatch):
    """Its tables are dropped in the middle of a study, as a server that is stopped or reset loses them."""
    url = f"sqlite:///{tmp_path / 'study.db'}"
    data = load_data("fallacy", None, ())
    program = data.task.program()
    program.set_lm(embedded_lm("embedded/teacher"))
    scored = []

    run_trial = tpe.run_trial

    def then_gone(desk, trial, mine):
        scored.append(trial.number)
        if len(scored) == 2:
            with contextlib.closing(sqlite3.connect(tmp_path / "study.db")) as db:
                for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall():
                    db.execute(f"DROP TABLE {name}")
        return run_trial(desk, trial, mine)

    monkeypatch.setattr(tpe, "run_trial", then_gone)
    optimizer = LbTExemplars(
        metric=BinaryF1("Yes", ("Yes", "No")), exam_students=[embedded_lm("embedded/words")], search="tpe",
        exemplars=4, minibatch=8, selection_examples=16, evaluations=16 * 9, storage=url,
    )  # fmt: skip
    with pytest.raises(StorageLostError, match=r"storage sqlite:///.* cannot be reached any more \(.*bring it back"):
        optimizer.optimize(program, trainset=data.train)
    assert len(scored) == 2

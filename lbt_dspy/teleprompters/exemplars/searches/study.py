"""An Optuna study that several processes or machines work on, and that survives the death of any of them.

A trial belongs to the process that began it (host and process number are kept with it). The trials of a process that is
gone are failed and made anew, so that none is lost and the number of finished trials is the one asked for.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import socket
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lbt_dspy.errors import StorageLostError, UserError
from lbt_dspy.sampling import digest_int
from lbt_dspy.teleprompters.exemplars.choices import without_password

if TYPE_CHECKING:
    import optuna

WORKER = "worker"
HEARTBEAT = 30
"""Seconds between signs of life where the storage keeps them (databases)."""
WAIT = 0.5
UNSIGNED_FOR = 10
"""Seconds that a process has to sign a trial that it began."""
GONE = ""
STARTUP_TRIALS = 10


def open_storage(storage: Any) -> optuna.storages.BaseStorage:
    """Return an Optuna storage.

    Args:
        storage: Such a storage; a database URL (`sqlite:///FILE`, `postgresql://...`); a path, which becomes a journal
            file that many processes can share; or `None` for one in memory.

    Raises:
        UserError: It cannot be opened.
    """
    import optuna
    from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    if storage is None:
        return InMemoryStorage()
    if isinstance(storage, BaseStorage):
        return storage
    try:
        if "://" in str(storage):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                return RDBStorage(str(storage), heartbeat_interval=HEARTBEAT, grace_period=4 * HEARTBEAT)
        if Path(storage).is_dir() or not Path(storage).absolute().parent.is_dir():
            raise UserError(f"storage {storage} must be a file in a folder that exists, or a database URL")
        return JournalStorage(JournalFileBackend(str(storage)))
    except UserError:
        raise
    except Exception as error:  # drivers raise errors of their own: no driver, no server, no right, a bad URL
        quotable = "@" not in str(storage) and str(error).strip()  # a driver may quote a part of the password
        said = (str(error).strip() if quotable else type(error).__name__).splitlines()[0].rstrip(".")
        name = without_password(str(storage))
        raise UserError(
            f"storage {name} cannot be opened ({said[:100]}); name a file, or a database URL whose driver is installed "
            "(pip install 'lbt_dspy[postgres]' for postgresql+psycopg://)"
        ) from None


def check_storage(storage: Any) -> None:
    """Raise `UserError` for a storage that cannot be used, before any call is paid for."""
    try:
        open_storage(storage).get_all_studies()
    except UserError:
        raise
    except Exception as error:  # a file that is no journal; a database that is none of Optuna's
        name = without_password(str(storage))
        raise UserError(
            f"storage {name} cannot be used ({type(error).__name__}); name a new file or a database"
        ) from None


@contextlib.contextmanager
def storage_in_reach(storage: Any) -> Iterator[None]:
    """Raise `StorageLostError` when a storage that was there is gone: its server was stopped, its disk is full."""
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except Exception as error:  # Optuna may stumble over what the database said
        said = [e for e in _chain(error) if isinstance(e, SQLAlchemyError | optuna.exceptions.StorageInternalError)]
        if not said:
            raise
        raise StorageLostError(
            f"storage {without_password(str(storage))} cannot be reached any more ({type(said[0]).__name__}); what was "
            "finished is kept there and in the journal: bring it back, and go on"
        ) from None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Give an error, and those that it came of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


class SharedStudy:
    """This process's part in a study.

    Args:
        storage: Where the study is kept.
        name: Its name; processes with the same name work on the same one.
        trials: How many trials all processes together are to finish (complete or prune), at least 1.
        seed: Seeds each trial by its number, so that one process alone makes the same trials each time, and several
            make different ones.
    """

    def __init__(self, storage: optuna.storages.BaseStorage, name: str, *, trials: int, seed: int) -> None:
        import optuna

        self._wanted = trials
        self._me = [socket.gethostname(), os.getpid(), _started(os.getpid())]
        self._seed = seed
        self.study = optuna.create_study(
            study_name=name, storage=storage, direction="maximize", load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS // 2, n_warmup_steps=1),
        )  # fmt: skip

    def run(self, objective: Callable[[optuna.Trial], float]) -> None:
        """Run trials until all wanted ones are finished, whoever runs them; what the dead began is begun anew."""

        def mine(trial: optuna.Trial) -> float:
            trial.set_user_attr(WORKER, self._me)
            earlier = sum(t.number < trial.number for t in self._in_state("RUNNING", "COMPLETE", "PRUNED"))
            if earlier >= self._wanted:
                raise SurplusError
            self.study.sampler = sampler(digest_int(self._seed, "trial", earlier) % 2**32)
            return objective(trial)

        while len(self._in_state("COMPLETE", "PRUNED")) < self._wanted:
            self._give_back_trials_of_the_dead()
            if len(self._in_state("RUNNING", "COMPLETE", "PRUNED")) < self._wanted:
                self.study.optimize(mine, n_trials=1, catch=(SurplusError,))
            else:
                time.sleep(WAIT)

    def best(self, most: int) -> list[optuna.trial.FrozenTrial]:
        """Return the completed trials with the best scores, of equals the older first."""
        return sorted(self._in_state("COMPLETE"), key=lambda t: (-float(t.value or 0), t.number))[:most]

    def _in_state(self, *names: str) -> list[optuna.trial.FrozenTrial]:
        from optuna.trial import TrialState

        states = tuple(TrialState[name] for name in names)
        return list(self.study.get_trials(deepcopy=False, states=states))

    def _give_back_trials_of_the_dead(self) -> None:
        """Fail the running trials of processes of this machine that are gone, and enqueue their choices again.

        For those of other machines a database keeps signs of life; a journal file does not, so nobody waits for them
        to be given back: their trials stay running until a process on their machine comes.
        """
        import optuna

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            optuna.storages.fail_stale_trials(self.study)
        for trial in self._in_state("RUNNING"):
            if self._is_alive(trial):
                continue
            with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError, ValueError):
                self.study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
                if trial.params:
                    self.study.enqueue_trial(trial.params)

    def _is_alive(self, trial: optuna.trial.FrozenTrial) -> bool:
        worker = trial.user_attrs.get(WORKER)
        if worker is None:  # between being created and being signed
            age = datetime.datetime.now() - (trial.datetime_start or datetime.datetime.now())
            return age.total_seconds() < UNSIGNED_FOR
        host, pid, started = worker
        return bool(host != self._me[0] or worker == self._me or _started(pid) == started != GONE)


def study_record(study: Any) -> dict[str, Any] | None:
    """Return how many trials a study has by state, and the choices of its best one."""
    if study is None:
        return None
    trials = study.get_trials(deepcopy=False)
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    best = max(complete, key=lambda trial: trial.value, default=None)
    return {
        "trials": dict(Counter(trial.state.name.lower() for trial in trials)),
        "best": None if best is None else {"trial": best.number, "score": best.value, **best.params},
    }


def sampler(seed: int) -> optuna.samplers.TPESampler:
    """Return the sampler of one trial."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(n_startup_trials=STARTUP_TRIALS, seed=seed, constant_liar=True)


class SurplusError(Exception):
    """Other processes had begun enough trials in the meantime."""


def _started(pid: int) -> str:
    """Return when a process of this machine started, as text; `GONE` when there is no such process."""
    import psutil

    try:
        return str(psutil.Process(pid).create_time())
    except psutil.Error:
        return GONE

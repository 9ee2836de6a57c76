"""Where modules were before their folders were: whole programs that were saved then name them by these paths.

`import lbt_dspy.lms.ledger` gives `lbt_dspy.ledger.ledger`, as the same module. New code uses the new names.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

HOMES = {
    "bootstrap": "intervals",
    "budget": "ledger.budget",
    "journal": "ledger.journal",
    "progress": "ledger.progress",
    "report": "benchmarks.shared.format",
    "benchmarks.classroom": "benchmarks.tasks.classroom",
    "benchmarks.classroom_task": "benchmarks.tasks.classroom.task",
    "benchmarks.code_answering": "benchmarks.tasks.code.answering",
    "benchmarks.code_checks": "benchmarks.tasks.code.checks",
    "benchmarks.code_examples": "benchmarks.tasks.code.examples",
    "benchmarks.code_fields": "benchmarks.tasks.code.fields",
    "benchmarks.code_humaneval": "benchmarks.tasks.code.humaneval",
    "benchmarks.code_rows": "benchmarks.tasks.code.rows",
    "benchmarks.code_scores": "benchmarks.m1.code_scores",
    "benchmarks.code_sets": "benchmarks.tasks.code.sets",
    "benchmarks.code_task": "benchmarks.tasks.code.task",
    "benchmarks.compare": "benchmarks.m3.runs",
    "benchmarks.compare_runs": "benchmarks.cli.compare",
    "benchmarks.console": "benchmarks.shared.console",
    "benchmarks.echo_server": "benchmarks.studies.throughput.echo_server",
    "benchmarks.exam_size_runs": "benchmarks.studies.exam_size.runs",
    "benchmarks.export_job": "benchmarks.m2.export",
    "benchmarks.fallacy": "benchmarks.tasks.classification.fallacy",
    "benchmarks.game24": "benchmarks.tasks.game24",
    "benchmarks.held_out": "benchmarks.shared.held_out",
    "benchmarks.kept_settings": "benchmarks.shared.kept",
    "benchmarks.labelled_data": "benchmarks.tasks.classification.data",
    "benchmarks.liar": "benchmarks.tasks.classification.liar",
    "benchmarks.math_rows": "benchmarks.tasks.math.rows",
    "benchmarks.math_snapshots": "benchmarks.tasks.math.snapshots",
    "benchmarks.metering": "teleprompters.within_calls",
    "benchmarks.outcome": "benchmarks.m3.results",
    "benchmarks.output": "benchmarks.m3.output",
    "benchmarks.own_data": "benchmarks.tasks.classification.own_data",
    "benchmarks.own_program": "benchmarks.tasks.classification.own_program",
    "benchmarks.plan": "benchmarks.m3.plan",
    "benchmarks.predict": "benchmarks.cli.predict",
    "benchmarks.predictions": "benchmarks.cli.predictions",
    "benchmarks.program_record": "benchmarks.shared.program_record",
    "benchmarks.race_results": "benchmarks.studies.race.results",
    "benchmarks.race_runs": "benchmarks.studies.race.runs",
    "benchmarks.rerank_curve": "benchmarks.m1.curve",
    "benchmarks.rerank_job": "benchmarks.m1.job",
    "benchmarks.rerank_plan": "benchmarks.m1.plan",
    "benchmarks.rerank_plots": "benchmarks.m1.plots",
    "benchmarks.rerank_results": "benchmarks.m1.results",
    "benchmarks.rerank_rows": "benchmarks.m1.rows",
    "benchmarks.rerank_runs": "benchmarks.m1.runs",
    "benchmarks.rerank_settings": "benchmarks.m1.settings",
    "benchmarks.rerank_tables": "benchmarks.m1.tables",
    "benchmarks.rivals": "benchmarks.studies.race.rivals",
    "benchmarks.schedule_report": "benchmarks.studies.schedules.report",
    "benchmarks.schedule_runs": "benchmarks.studies.schedules.runs",
    "benchmarks.schedule_tables": "benchmarks.studies.schedules.tables",
    "benchmarks.script_main": "benchmarks.studies.script",
    "benchmarks.search_flags": "benchmarks.m3.settings",
    "benchmarks.search_job": "benchmarks.m3.job",
    "benchmarks.search_report": "benchmarks.m3.report",
    "benchmarks.settings": "benchmarks.cli.settings",
    "benchmarks.table_files": "benchmarks.tasks.tables",
    "benchmarks.throughput_clients": "benchmarks.studies.throughput.clients",
    "benchmarks.throughput_overhead": "benchmarks.studies.throughput.overhead",
    "benchmarks.throughput_report": "benchmarks.studies.throughput.report",
    "benchmarks.throughput_runs": "benchmarks.studies.throughput.runs",
    "benchmarks.tuning_job": "benchmarks.m2.job",
    "benchmarks.tuning_plot": "benchmarks.m2.plots",
    "benchmarks.tuning_results": "benchmarks.m2.results",
    "benchmarks.tuning_runs": "benchmarks.m2.runs",
    "benchmarks.tuning_settings": "benchmarks.m2.settings",
    "benchmarks.under_faults_runs": "benchmarks.studies.under_faults.runs",
    "benchmarks.classroom.grader": "benchmarks.tasks.classroom.grader",
    "benchmarks.classroom.measure": "benchmarks.tasks.classroom.measure",
    "benchmarks.classroom.problems": "benchmarks.tasks.classroom.problems",
    "benchmarks.classroom.texts": "benchmarks.tasks.classroom.texts",
    "benchmarks.classroom.train": "benchmarks.tasks.classroom.train",
    "benchmarks.classroom.world": "benchmarks.tasks.classroom.world",
    "exam.banks": "exam.makers.banks",
    "exam.confident": "exam.schedules.confident",
    "exam.evidence": "exam.sitting.evidence",
    "exam.lossless": "exam.schedules.lossless",
    "exam.paid_program": "ledger.programs",
    "exam.schedule": "exam.schedules.schedule",
    "exam.scheduled": "exam.schedules.hold",
    "exam.table": "exam.schedules.table",
    "exam.whole_program": "exam.sitting.whole_program",
    "lms.account": "ledger.account",
    "lms.calls": "ledger.calls",
    "lms.chat_bodies": "lms.openai.bodies",
    "lms.commits": "ledger.commits",
    "lms.health": "ledger.servers.health",
    "lms.http_session": "lms.openai.session",
    "lms.in_process": "ledger.in_process",
    "lms.key_set": "ledger.key_set",
    "lms.ledger": "ledger.ledger",
    "lms.litellm_private": "lms.litellm.private",
    "lms.litellm_setup": "lms.litellm.setup",
    "lms.openai_compatible": "lms.openai.client",
    "lms.outgoing": "ledger.outgoing",
    "lms.own_ledger": "ledger.own",
    "lms.payment": "ledger.payment",
    "lms.router": "lms.litellm.router",
    "lms.scorer": "lms.likelihood_engine",
    "metrics.exam_feedback": "metrics.feedback",
    "metrics.math_extract": "metrics.math.extract",
    "metrics.math_key": "metrics.math.key",
    "metrics.math_normal": "metrics.math.normal",
    "metrics.math_pool": "metrics.math.pool",
    "metrics.math_same": "metrics.math.same",
    "metrics.math_split": "metrics.math.split",
    "metrics.math_words": "metrics.math.words",
    "metrics.math_worker": "metrics.math.worker",
    "metrics.program_blocks": "metrics.programs.blocks",
    "metrics.program_source": "metrics.programs.source",
    "metrics.program_tests": "metrics.programs.tests",
    "metrics.program_text": "metrics.programs.text",
    "programs.answering": "benchmarks.tasks.answering",
    "programs.classification": "benchmarks.tasks.classification.task",
    "teleprompters.dpo_provider": "teleprompters.dpo.provider",
    "teleprompters.dpo_settings": "teleprompters.dpo.options",
    "teleprompters.exemplar_search": "teleprompters.exemplars",
    "teleprompters.lessons": "teleprompters.rerank.lessons",
    "teleprompters.preference_files": "teleprompters.dpo.preference_files",
    "teleprompters.preferences": "teleprompters.dpo.preferences",
    "teleprompters.rerank_steps": "teleprompters.rerank.steps",
    "teleprompters.reranked": "teleprompters.rerank.program",
    "teleprompters.scored_lessons": "teleprompters.dpo.scored_lessons",
    "teleprompters.training_folder": "teleprompters.dpo.training_folder",
    "teleprompters.tuned": "teleprompters.dpo.steps",
    "teleprompters.exemplar_search.beam": "teleprompters.exemplars.searches.beam",
    "teleprompters.exemplar_search.checks": "teleprompters.exemplars.checks",
    "teleprompters.exemplar_search.choices": "teleprompters.exemplars.choices",
    "teleprompters.exemplar_search.classroom": "teleprompters.exemplars.context",
    "teleprompters.exemplar_search.credit": "teleprompters.exemplars.searches.credit",
    "teleprompters.exemplar_search.evaluators": "teleprompters.exemplars.searches.evaluators",
    "teleprompters.exemplar_search.limits": "teleprompters.exemplars.limits",
    "teleprompters.exemplar_search.moves": "teleprompters.exemplars.moves",
    "teleprompters.exemplar_search.options": "teleprompters.exemplars.options",
    "teleprompters.exemplar_search.records": "teleprompters.exemplars.records",
    "teleprompters.exemplar_search.scores": "teleprompters.exemplars.scores",
    "teleprompters.exemplar_search.study": "teleprompters.exemplars.searches.study",
    "teleprompters.exemplar_search.task": "teleprompters.exemplars.task",
    "teleprompters.exemplar_search.tpe": "teleprompters.exemplars.searches.tpe",
    "teleprompters.exemplar_search.utility": "teleprompters.exemplars.searches.utility",
    "teleprompters.exemplar_search.writing": "teleprompters.exemplars.writing",
}
"""Old names and new ones, without `lbt_dspy.`."""
ROOT = "lbt_dspy."


class _Forward(MetaPathFinder, Loader):
    """Finds moved modules under their old names."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        known = fullname.startswith(ROOT) and fullname.removeprefix(ROOT) in HOMES
        return ModuleSpec(fullname, self) if known else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(ROOT + HOMES[spec.name.removeprefix(ROOT)])
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give the module its own specification back: the import system has put that of the old name there."""
        if module.__spec__ is not None:
            module.__spec__ = module.__spec__.loader_state


def forward() -> None:
    """Let old names be imported."""
    if not any(isinstance(finder, _Forward) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Forward())  # before the parent package looks for a file of the old name

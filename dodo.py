"""doit's entry point: `doit list`, `doit build:debian-12`.  No logic here; see knitter/tasks."""

from knitter.tasks.front import doit_config, task_account, task_build, task_lab, task_overview, task_schema

DOIT_CONFIG = doit_config()

__all__ = ["DOIT_CONFIG", "task_account", "task_build", "task_lab", "task_overview", "task_schema"]

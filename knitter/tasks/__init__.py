"""The only room that knows doit as a task graph: what `doit list` shows is made here.

corridor    the stages of each recipe, as tasks with file targets
tools       the lab, the schema, the overview
config      .doit.cfg, as doit wants it
database    doit's memory
"""

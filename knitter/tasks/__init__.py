"""The room that knows doit as a task graph: what `doit list` shows is made here.

front       what dodo.py hands to doit
corridor    the stages of each recipe, as tasks with file targets
desk        the overview, the lab, the schema
config      .doit.cfg, as doit wants it
database    doit's memory
way_out     what happens at the end, however it comes
"""

"""The small study of the engine's tests serves here too."""

from phantom_study import finished_study, study

__all__ = ["finished_study", "study"]

"""Engine tests work on a small study of synthetic images."""

from phantom_study import finished_study, study

__all__ = ["finished_study", "study"]

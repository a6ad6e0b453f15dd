"""The data room: the study folder and everything else that touches files."""

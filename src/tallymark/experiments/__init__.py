"""Experiments: grids of runs that resume, the floors under them, and the tables and pictures they make."""

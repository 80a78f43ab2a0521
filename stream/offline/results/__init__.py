"""The results of runs: who may write them, what an earlier run left of them, and which files are results."""

"""LTI 1.3 as a tool speaks it, on pylti1p3 through its own extension points. Knows nothing of badges."""

"""The access log and the statistics, for operators."""

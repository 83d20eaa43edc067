"""The SQL of reconciliation. One function is one statement; evidence is of the stages below."""

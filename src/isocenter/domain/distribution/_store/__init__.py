"""The SQL of distribution's tables, by what they hold. One function is one statement."""

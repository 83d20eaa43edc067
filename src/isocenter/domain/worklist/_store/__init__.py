"""The SQL of schema ``worklist``. One function is one statement."""

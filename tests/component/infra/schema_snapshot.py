"""The schema that the migrations make, as text; the test beside this compares it with a file.

`python -m tests.component.infra.schema_snapshot` writes the file anew.
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from isocenter.infra import embedded_postgres
from isocenter.infra.db.migrate import migrate

FILE = Path(__file__).with_name("schema.txt")

_OURS = "n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')"
_QUERIES = {
    "columns": f"""
        select format('%s.%s.%s %s%s%s', n.nspname, c.relname, a.attname,
            format_type(a.atttypid, a.atttypmod),
            case when a.attnotnull then ' not null' else '' end,
            coalesce(case a.attgenerated when '' then ' default ' else ' generated ' end
                || pg_get_expr(d.adbin, d.adrelid), '')
            || case a.attidentity when '' then '' else ' identity' end)
        from pg_attribute a join pg_class c on c.oid = a.attrelid
        join pg_namespace n on n.oid = c.relnamespace
        left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
        where {_OURS} and c.relkind in ('r', 'p', 'v', 'm') and a.attnum > 0 and not a.attisdropped
    """,
    "constraints": f"""
        select format('%s.%s %s: %s', n.nspname, c.relname, k.conname, pg_get_constraintdef(k.oid))
        from pg_constraint k join pg_class c on c.oid = k.conrelid
        join pg_namespace n on n.oid = c.relnamespace where {_OURS} and k.contype <> 'n'
    """,
    "indexes": f"""
        select pg_get_indexdef(i.indexrelid) from pg_index i
        join pg_class c on c.oid = i.indexrelid
        join pg_namespace n on n.oid = c.relnamespace where {_OURS}
    """,
    "triggers": f"""
        select pg_get_triggerdef(t.oid) from pg_trigger t join pg_class c on c.oid = t.tgrelid
        join pg_namespace n on n.oid = c.relnamespace where {_OURS} and not t.tgisinternal
    """,
    "functions": f"""
        select format('%s.%s(%s) returns %s, body %s', n.nspname, p.proname,
            pg_get_function_identity_arguments(p.oid), pg_get_function_result(p.oid),
            md5(pg_get_functiondef(p.oid)))
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace where {_OURS}
    """,
    "sequences": f"""
        select format('%s.%s', n.nspname, c.relname) from pg_class c
        join pg_namespace n on n.oid = c.relnamespace where {_OURS} and c.relkind = 'S'
    """,
    "views": f"""
        select format('%s.%s: %s', n.nspname, c.relname, pg_get_viewdef(c.oid)) from pg_class c
        join pg_namespace n on n.oid = c.relnamespace where {_OURS} and c.relkind in ('v', 'm')
    """,
}


def describe(url: str) -> str:
    """Everything that migrations can make, sorted, one thing per line."""
    with psycopg.connect(url) as connection:
        parts = []
        for title, query in _QUERIES.items():
            lines = sorted(row[0] for row in connection.execute(query.encode()))
            parts.append("\n".join([f"# {title}", *lines, ""]))
    return "\n".join(parts)


def write() -> None:
    """Write the file anew from the migrations as they are."""
    with TemporaryDirectory() as home:
        Path(home).chmod(0o755)
        server = embedded_postgres.start(Path(home))
        try:
            migrate(server.url)
            FILE.write_text(describe(server.url), "utf-8")
        finally:
            server.stop()


if __name__ == "__main__":
    sys.stderr.write(f"writing {os.path.relpath(FILE)}\n")
    write()

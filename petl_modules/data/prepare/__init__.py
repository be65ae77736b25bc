"""Tools of prepare scripts: lists, checks, manifests, downloads."""

from petl_modules.data.prepare.checks import (
    absolute,
    check_counts,
    count,
    finish,
    warn_of_leaks,
)
from petl_modules.data.prepare.csv_lists import (
    path_problem,
    read_list,
    read_table,
    refuse,
)
from petl_modules.data.prepare.download import download, unpack
from petl_modules.data.prepare.manifest import (
    Record,
    manifest_path,
    read_manifest,
    read_skipped,
    write_manifest,
)

__all__ = [
    "Record",
    "absolute",
    "check_counts",
    "count",
    "download",
    "finish",
    "manifest_path",
    "path_problem",
    "read_list",
    "read_manifest",
    "read_skipped",
    "read_table",
    "refuse",
    "unpack",
    "warn_of_leaks",
    "write_manifest",
]

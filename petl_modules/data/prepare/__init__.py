"""What prepare scripts share: lists, checks, manifests, downloads.

Authors
 * The PETL audio recipes team 2026
"""

from petl_modules.data.prepare.checks import (
    absolute,
    check_counts,
    count,
    finish,
    path_problem,
    read_list,
    read_table,
    refuse,
    warn_of_leaks,
)
from petl_modules.data.prepare.download import download, unpack
from petl_modules.data.prepare.manifest import (
    manifest_path,
    read_manifest,
    write_manifest,
)

__all__ = [
    "absolute",
    "check_counts",
    "count",
    "download",
    "finish",
    "manifest_path",
    "path_problem",
    "read_list",
    "read_manifest",
    "read_table",
    "refuse",
    "unpack",
    "warn_of_leaks",
    "write_manifest",
]

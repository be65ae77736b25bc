"""Tools of prepare scripts: lists, checks, manifests, downloads."""

from petl_modules.data.prepare.chance_folds import make_folds
from petl_modules.data.prepare.checks import (
    absolute,
    check_counts,
    count,
    warn_of_leaks,
)
from petl_modules.data.prepare.csv_lists import (
    path_problem,
    read_list,
    read_table,
    refuse,
)
from petl_modules.data.prepare.download import download, unpack
from petl_modules.data.prepare.duplicates import check_duplicates
from petl_modules.data.prepare.finishing import finish
from petl_modules.data.prepare.folders import is_sound, walk
from petl_modules.data.prepare.groups import (
    warn_of_unknown_groups,
    warn_of_unused_columns,
)
from petl_modules.data.prepare.lexicons import (
    arpabet,
    find_lexicons,
    pronounce,
    read_lexicon,
)
from petl_modules.data.prepare.list_rows import decode_list
from petl_modules.data.prepare.manifest import (
    Record,
    manifest_path,
    read_manifest,
    read_skipped,
    write_manifest,
)
from petl_modules.data.prepare.names import is_system_file, refuse_look_alikes
from petl_modules.data.prepare.transcripts import (
    clean,
    refuse_short,
    text_problems,
)

__all__ = [
    "Record",
    "absolute",
    "arpabet",
    "check_counts",
    "check_duplicates",
    "clean",
    "count",
    "decode_list",
    "download",
    "find_lexicons",
    "finish",
    "is_sound",
    "is_system_file",
    "make_folds",
    "manifest_path",
    "path_problem",
    "pronounce",
    "read_lexicon",
    "read_list",
    "read_manifest",
    "read_skipped",
    "read_table",
    "refuse",
    "refuse_look_alikes",
    "refuse_short",
    "text_problems",
    "unpack",
    "walk",
    "warn_of_leaks",
    "warn_of_unknown_groups",
    "warn_of_unused_columns",
    "write_manifest",
]

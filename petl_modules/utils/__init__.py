"""Base utilities that every room may import: errors, files, processes."""

from petl_modules.utils.distributed import (
    counted_seed,
    leave_group,
    n_processes,
)
from petl_modules.utils.errors import (
    AudioError,
    CheckpointError,
    DataError,
    DownloadError,
    ExportError,
    HparamsError,
    TrainingError,
    UserError,
    brief,
    listed,
    naming,
    noting,
    refusal,
)
from petl_modules.utils.extras import require_extra
from petl_modules.utils.files import (
    build_folder,
    flush,
    is_taken,
    require_new,
    require_new_folder,
    write_bytes,
    write_csv,
    write_json,
    write_text,
)
from petl_modules.utils.forms import problem
from petl_modules.utils.lock import (
    alone_in,
    holder,
    lock_folder,
    try_lock,
    unlock_folder,
)
from petl_modules.utils.reading import (
    damaged,
    other_kind,
    parse_json,
    read_bytes,
    read_csv,
    read_json,
)
from petl_modules.utils.seal import SEAL, find_damage, seal, sha256
from petl_modules.utils.terminal import fail, printable, show, show_json
from petl_modules.utils.versions import commit, versions

__all__ = [
    "AudioError",
    "CheckpointError",
    "DataError",
    "DownloadError",
    "ExportError",
    "HparamsError",
    "SEAL",
    "TrainingError",
    "UserError",
    "alone_in",
    "brief",
    "build_folder",
    "commit",
    "counted_seed",
    "damaged",
    "fail",
    "find_damage",
    "flush",
    "holder",
    "is_taken",
    "leave_group",
    "listed",
    "lock_folder",
    "n_processes",
    "naming",
    "noting",
    "other_kind",
    "parse_json",
    "printable",
    "problem",
    "read_bytes",
    "read_csv",
    "read_json",
    "refusal",
    "require_extra",
    "require_new",
    "require_new_folder",
    "seal",
    "sha256",
    "show",
    "show_json",
    "try_lock",
    "unlock_folder",
    "versions",
    "write_bytes",
    "write_csv",
    "write_json",
    "write_text",
]

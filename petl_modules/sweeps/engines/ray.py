"""Engine ``ray``: each cell a task of a Ray cluster, or of this machine."""

import logging
import os
from pathlib import Path

from petl_modules.sweeps.cell_run import run_cell
from petl_modules.sweeps.engines.extras import require_extra
from petl_modules.sweeps.engines.slurm_job import run_when_free
from petl_modules.sweeps.staging import require_archives
from petl_modules.sweeps.states import is_running, write_error
from petl_modules.utils import UserError, brief

"""The readers of sweep files, and of what a sweep leaves."""

from petl_modules.sweeps import Cell, read_sweep, recorded_cells, write_record
from petl_modules.sweeps.points import points_of
from petl_modules.sweeps.record import record_of
from petl_modules.sweeps.states import is_done, read_error, write_error
from petl_modules.utils import write_json
from tests.fuzz.engine import Reader

FILE = b"""\
grid:
    dataset: [ESC50, GSC]
    method: [lora, linear]
    layers: [all, [0, 5]]
    lr: [1.0e-3, .inf, null]
set:
    all: {device: cpu, augment: '!new:torch.nn.Identity {}'}
skip: [{method: linear, dataset: ESC50}]
data: {ESC50: esc, GSC: ~/gsc}
stage: {GSC: gsc.tar}
slurm: {time: "2:00:00"}
output_folder: out
"""


def sweep_readers(folder):
    """Return the readers by name, with valid inputs in a folder."""
    file = folder / "sweep.yaml"
    file.write_bytes(FILE)
    sweep = read_sweep(file)
    place = folder / "out" / "ESC50" / "ast" / "lora" / "10"
    cell = Cell(
        *("ESC50", "ast", "lora", "train.py", "lora.yaml", {}),
        *(str(place), str(folder)),
    )
    write_record(sweep, [cell])
    write_error(cell, 1, ["out of luck"])
    summary = place / "summary.json"
    write_json(summary, {"n_folds": 1, "folds": [{"fold": 1}]})

    def read(content):
        file.write_bytes(content)
        try:
            return points_of(read_sweep(file))
        finally:
            file.write_bytes(FILE)

    def part(path, read):
        content = path.read_bytes()

        def reading(damaged):
            path.write_bytes(damaged)
            try:
                return read()
            finally:
                path.write_bytes(content)

        return Reader([content], reading)

    return {
        "sweep file": Reader([FILE], read, share=40),
        "record of a sweep": part(
            record_of(sweep), lambda: recorded_cells(sweep)
        ),
        "error.json": part(place / "error.json", lambda: read_error(cell)),
        "summary.json of a cell": part(summary, lambda: is_done(cell)),
    }

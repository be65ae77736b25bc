"""A Slurm of one node, for tests: munged, slurmctld and slurmd of the system.

``apt-get install --no-install-recommends slurm-wlm munge`` brings the programs.
Nothing outside of a temporary folder is read or written.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
MISSING = [name for name in PROGRAMS if shutil.which(name) is None]
# Why it cannot be started here; empty: it can
ABSENT = (
    f"Slurm is not installed: no {', '.join(MISSING)}"
    if MISSING
    else "the daemons of Slurm are started by root" * (os.getuid() != 0)
)
SECONDS = 60  # until it answers
CONFIGURATION = """\
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthInfo=socket={folder}/munge.socket,cred_expire=2
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
ProctrackType=proctrack/linuxproc
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,sched_min_interval=1,batch_sched_delay=0,requeue_delay=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=3
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=1000
PartitionName=usual Nodes=ALL Default=YES PriorityTier=1 GraceTime=8
PartitionName=urgent Nodes=ALL PriorityTier=9 PreemptMode=off
"""


@contextlib.contextmanager
def one_slurm():
    """Start a Slurm, which is this process's own, and end it.

    Yields
    ------
    dict
        Variables that tell its programs where it is.
    """
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    folder.chmod(0o755)
    environment = {"SLURM_CONF": str(folder / "slurm.conf")}
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "slurm.conf").write_text(
        CONFIGURATION.format(
            host=socket.gethostname().partition(".")[0],
            cores=os.cpu_count(),
            ports=_free_ports(2),
            folder=folder,
        )
    )
    try:
        _start_munge(folder)
        for daemon in ("slurmctld", "slurmd"):
            _call(daemon, environment)
        _wait(environment)
        yield environment
        _call("scancel", environment, "--user=root", "--signal=KILL")
    finally:
        for file in folder.glob("*.pid"):
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.kill(int(file.read_text()), signal.SIGTERM)
        shutil.rmtree(folder, ignore_errors=True)


def _start_munge(folder):
    """Start munged, with a key of its own."""
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    files = {
        "key-file": key,
        "socket": folder / "munge.socket",
        "pid-file": folder / "munged.pid",
        "log-file": folder / "munged.log",
        "seed-file": folder / "munged.seed",
    }
    options = [f"--{name}={path}" for name, path in files.items()]
    _call("munged", {}, "--force", *options)


def _call(program, environment, *words):
    subprocess.run(
        [program, *words], env={**os.environ, **environment}, check=True
    )


def _wait(environment):
    """Wait until a job can be started."""
    end = time.monotonic() + SECONDS
    words = ["srun", "--immediate=5", "true"]
    environment = {**os.environ, **environment}
    while subprocess.run(
        words, env=environment, capture_output=True
    ).returncode:
        if time.monotonic() > end:
            raise TimeoutError("Slurm does not start a job")
        time.sleep(1)


def _free_ports(number):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]

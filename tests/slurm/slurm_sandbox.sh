#!/usr/bin/env bash
# A private Slurm on this machine, for tests: munged, slurmctld and two emulated nodes, `cpu0` and `gpu0` (with two pretended GPUs).
#   slurm_sandbox.sh start FOLDER    all state and logs go to FOLDER; prints the nodes
#   slurm_sandbox.sh stop FOLDER     stops what `start` started, and nothing else
# Runs as root, without systemd, and writes outside FOLDER only the link /run/slurm/conf.
# Needs: apt-get install --no-install-recommends slurm-wlm munge
set -euo pipefail

action=${1:?start or stop}
folder=$(realpath -m "${2:?folder for state and logs}")
link=/run/slurm/conf
port=${SLURM_SANDBOX_PORT:-17817} # and the two that follow
nodes=(cpu0 gpu0)
export SLURM_CONF=$folder/slurm.conf

write_configuration() {
    local machine memory socket=$folder/munge/socket
    machine=$(hostname -s)
    memory=$(awk '/^MemTotal/ { print int($2 / 1024) - 512 }' /proc/meminfo)
    # Slurm accepts only device files as GPUs; copies of /dev/null do.
    mkdir -p "$folder/devices"
    for number in 0 1; do
        [ -e "$folder/devices/gpu$number" ] || mknod "$folder/devices/gpu$number" c 1 3
    done
    cat >"$folder/gres.conf" <<CONFIGURATION
AutoDetect=off
NodeName=gpu0 Name=gpu File=$folder/devices/gpu[0-1]
CONFIGURATION
    echo "CgroupAutomount=no" >"$folder/cgroup.conf"
    # MinJobAge: finished jobs stay visible to squeue, which the profile asks about them. DefMemPerCPU: otherwise a job without a
    # memory request gets a whole node. config_overrides: believe the CPUs stated here, not the few that the machine has. OverMemoryKill: without cgroups, this is how
    # a job that needs more memory than it asked for is ended.
    cat >"$folder/slurm.conf" <<CONFIGURATION
ClusterName=sandbox
SlurmctldHost=$machine(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=2
JobAcctGatherParams=OverMemoryKill
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
DefMemPerCPU=500
MinJobAge=3600
KillWait=5
ReturnToService=2
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0
SlurmdParameters=config_overrides
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool.%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.%n.log
AccountingStorageType=accounting_storage/none
NodeName=cpu0 NodeHostname=$machine NodeAddr=127.0.0.1 Port=$((port + 1)) CPUs=8 RealMemory=$memory
NodeName=gpu0 NodeHostname=$machine NodeAddr=127.0.0.1 Port=$((port + 2)) CPUs=8 RealMemory=$memory Gres=gpu:2
PartitionName=cpu Nodes=cpu0 Default=YES MaxTime=7-0
PartitionName=gpu Nodes=gpu0 MaxTime=4-0
CONFIGURATION
}

start() {
    if [ -e "$link" ] || [ -L "$link" ]; then
        # A sandbox whose test was killed leaves its link; one that still runs has a live slurmctld.
        if ! [ -L "$link" ] || kill -0 "$(cat "$link/slurmctld.pid" 2>/dev/null)" 2>/dev/null; then
            echo "slurm_sandbox.sh: $link exists: is another Slurm running here?" >&2
            exit 1
        fi
        rm "$link"
    fi
    mkdir -p "$folder"/{munge,state,spool.cpu0,spool.gpu0}
    chmod 755 "$folder" "$folder/munge"
    (umask 077 && head -c 1024 /dev/urandom >"$folder/munge/key")
    munged --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" --pid-file="$folder/munge/pid" \
        --log-file="$folder/munge/log" --seed-file="$folder/munge/seed"
    write_configuration
    # Snakemake's nested srun has no SLURM_CONF any more and looks here instead.
    mkdir -p "$(dirname "$link")"
    ln -s "$folder" "$link"
    slurmctld -c
    for node in "${nodes[@]}"; do slurmd -c -N "$node"; done
    for _ in $(seq 60); do
        [ "$(sinfo --noheader --Node --format=%T | grep -c idle)" = 2 ] && break
        sleep 0.5
    done
    sinfo --Node --format="%N %P %T %c %m %G"
}

end_process() { # by the pid file that it wrote
    local id
    id=$(cat "$1" 2>/dev/null) || return 0
    kill "$id" 2>/dev/null || return 0
    for _ in $(seq 40); do
        case $(ps -o stat= -p "$id") in '' | Z*) return 0 ;; esac
        sleep 0.25
    done
    echo "slurm_sandbox.sh: process $id of $1 does not end" >&2
}

stop() {
    for node in "${nodes[@]}"; do end_process "$folder/slurmd.$node.pid"; done
    end_process "$folder/slurmctld.pid"
    end_process "$folder/munge/pid"
    if [ "$(readlink "$link")" = "$folder" ]; then rm "$link"; fi
}

case $action in
    start) start ;;
    stop) stop ;;
    *) echo "slurm_sandbox.sh: start or stop, not $action" >&2 && exit 2 ;;
esac

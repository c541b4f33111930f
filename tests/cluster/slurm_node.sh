#!/usr/bin/env bash
# A real SLURM of one node in a folder of its own: slurm_node.sh start|stop FOLDER. Debian: apt install slurm-wlm munge.
# Must be root; works in a plain container (no cgroups, no systemd). Afterwards: export SLURM_CONF=FOLDER/slurm.conf
set -euo pipefail
command=$1 folder=$(realpath -m "$2") node=$(hostname -s)

start() {
  for tool in munged slurmctld slurmd sbatch; do
    command -v $tool > /dev/null || { echo "no $tool: apt-get install slurm-wlm munge" >&2; exit 77; }
  done
  [ "$(id -u)" = 0 ] || { echo "SLURM's daemons must be started by root" >&2; exit 77; }
  mkdir -p "$folder"/{state,spool,munge} && chmod 755 "$folder" && chmod 700 "$folder/munge"
  ( umask 077; head -c 1024 /dev/urandom > "$folder/munge/key" )
  munged --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" --pid-file="$folder/munge/pid" \
    --log-file="$folder/munge/log" --seed-file="$folder/munge/seed"
  # config_overrides: more processors than there are, so that eight small jobs run side by side; and a GPU
  # that is none, so that jobs which ask for one are taken and run without.
  echo "NodeName=$node Name=gpu File=/dev/null" > "$folder/gres.conf"
  cat > "$folder/slurm.conf" << END
ClusterName=one
SlurmctldHost=$node(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort=$((20000 + $$ % 10000))
SlurmdPort=$((30000 + $$ % 10000))
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=10
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
MailProg=/bin/true
NodeName=$node NodeAddr=127.0.0.1 CPUs=8 RealMemory=16000 Gres=gpu:1 State=UNKNOWN
PartitionName=small Nodes=$node Default=YES MaxTime=INFINITE State=UP
END
  export SLURM_CONF=$folder/slurm.conf
  slurmctld && slurmd
  for _ in $(seq 120); do
    sinfo --noheader --format=%T 2> /dev/null | grep -q idle && { echo "$folder/slurm.conf"; return; }
    sleep 0.5
  done
  echo "SLURM's node is not idle after 60 s; see $folder/*.log" >&2
  exit 1
}

stop() {
  for file in slurmd.pid slurmctld.pid munge/pid; do
    [ -e "$folder/$file" ] && kill "$(cat "$folder/$file")" 2> /dev/null || true
  done
  # They take these files away as the last thing they do.
  for _ in $(seq 40); do
    [ -e "$folder/slurmd.pid" ] || [ -e "$folder/slurmctld.pid" ] || [ -e "$folder/munge/pid" ] || return 0
    sleep 0.25
  done
}

$command

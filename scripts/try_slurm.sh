#!/bin/bash
# Tries scripts/slurm_trace.sbatch on a Slurm of one machine that lives as long as this script.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

build=${1:-build}
if (($# > 1)) || [[ $build == -* ]]; then
  cat <<'END'
Usage: scripts/try_slurm.sh [BUILD_DIRECTORY]

Starts munge and Slurm (Debian's slurm-wlm and munge) for this user in a temporary directory, on ports of this machine
alone; traces the shipped prompts with the program of BUILD_DIRECTORY (default build) as an array of four shards, kills
one task midway, submits it again, analyses the shards together and compares the report with that of one run. Status 0:
they are the same, byte for byte; 77: Slurm is not installed.
END
  [[ ${1:-} == -h || ${1:-} == --help ]] && exit 0
  exit 2
fi

PATH=$PATH:/usr/sbin:/sbin
for program in munged slurmctld slurmd sbatch; do
  if ! command -v "$program" >/dev/null; then
    echo "Notice: $program is not installed (Debian packages slurm-wlm and munge); nothing was tried"
    exit 77
  fi
done
moexray=$(realpath "$build/bin/moexray")
[[ -x $moexray ]] || fail "no program in $build/bin: build it first"

n_shards=4
killed_shard=1
# float32 gives the same bytes whatever the batches.
flags=(--dtype float32 --max-new-tokens 16 --ignore-eos --compress)

work=$(mktemp -d)
daemons=()
stop_daemons() {
  local i
  for ((i = ${#daemons[@]} - 1; i >= 0; i--)); do
    kill "${daemons[i]}" 2>/dev/null && wait "${daemons[i]}" 2>/dev/null
  done
  rm -rf "$work"
}
trap stop_daemons EXIT
# Every user of munge must reach its socket; the key is of mode 600.
chmod 755 "$work"
mkdir -m 755 "$work/munge"
mkdir -m 700 "$work/state" "$work/spool"

show_logs() {
  tail -n 20 "$work"/*.log >&2
}

# start NAME COMMAND…: a daemon in the foreground of a background process.
start() {
  local name=$1
  shift
  "$@" >>"$work/$name.log" 2>&1 &
  daemons+=($!)
}

# wait_until SECONDS WHAT COMMAND…
wait_until() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS >= deadline)); then
      show_logs
      fail "waited too long for $what"
    fi
    sleep 0.1
  done
}

user=$(id -un)
# A number that differs between scripts that run at the same time.
port=$((20000 + $$ % 20000))
host=$(hostname -s)
export SLURM_CONF=$work/slurm.conf
cat >"$SLURM_CONF" <<END
ClusterName=moexray
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$work/munge/socket
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
KillWait=2
MinJobAge=300
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc)
PartitionName=all Nodes=$host Default=YES State=UP
END
echo "CgroupPlugin=cgroup/v1" >"$work/cgroup.conf"

heading "Starting munge and Slurm"
(umask 077 && head -c 1024 /dev/urandom >"$work/munge/key")
start munge munged --foreground --key-file "$work/munge/key" --socket "$work/munge/socket" \
  --pid-file "$work/munge/pid" --log-file "$work/munge.log" --seed-file "$work/munge/seed"
wait_until 20 "munge" munge --no-input --socket "$work/munge/socket"
start slurmctld slurmctld -D
start slurmd slurmd -D -N "$host"
is_idle() { [[ $(sinfo --noheader --format=%t) == idle ]]; }
wait_until 60 "Slurm" is_idle
sinfo

submit() {
  MOEXRAY=$moexray sbatch --parsable --cpus-per-task=1 --output="$work/task-%a.log" "$@" scripts/slurm_trace.sbatch \
    $n_shards prompts/paper80.jsonl "$work/shards" "${flags[@]}" --batch 2 # small: the task is killed between two batches
}
n_finished() { wc -l <"$work/shards/shard-0000$1/prompts.jsonl"; }
is_midway() { (($(n_finished $killed_shard) >= 2)); }
is_gone() { [[ -z $(squeue --noheader --job="$1") ]]; }

heading "Tracing $n_shards shards, of which shard $killed_shard is killed"
job=$(submit --array=0-$((n_shards - 1)))
wait_until 90 "the first prompts of shard $killed_shard" is_midway
scancel --full --signal=KILL "${job}_$killed_shard"
wait_until 90 "the array" is_gone "$job"
n=$(n_finished $killed_shard)
for ((i = 0; i < n_shards; i++)); do echo "shard $i: $(n_finished $i) of 20 prompts"; done
((n > 0 && n < 20)) || fail "shard $killed_shard was not killed midway"

heading "Submitting task $killed_shard again"
submit --array=$killed_shard --wait >/dev/null
grep "continuing after" "$work/task-$killed_shard.log"
[[ $(n_finished $killed_shard) == 20 ]] || fail "the task that was submitted again did not finish"

heading "Comparing with one run"
"$moexray" trace prompts/paper80.jsonl -o "$work/whole" --quiet "${flags[@]}" >/dev/null
"$moexray" analyze "$work/whole" -o "$work/of-one-run" --quiet >/dev/null
"$moexray" analyze "$work"/shards/shard-* -o "$work/of-shards" --quiet >/dev/null
cmp "$work/of-one-run/report.json" "$work/of-shards/report.json"
echo "The shards give the same report as one run."

#!/bin/bash
# Measure what needs a GPU, unattended, within half an hour:
#   bash benchmarks/gpu.sh [FOLDER]
# writes gpu.md, a JSON file for each table, and utilization.csv (a line a second)
# to FOLDER (benchmarks/results/gpu). What fails is told there, and the rest goes on.
# DEVICE=cpu REPEATS=1 SHAPES=32 tries the script on a machine without a GPU.
set -u
cd "$(dirname "$0")/.." || exit
folder=${1:-benchmarks/results/gpu}
device=${DEVICE:-cuda}
repeats=${REPEATS:-20}
shapes=${SHAPES:-100 500} # frames of 10 ms: Speech Commands, ESC-50
batch=${BATCH:-32}
memory=${MEMORY:-24GiB}
mkdir -p "$folder"
exec > >(tee "$folder/gpu.md") 2> >(tee "$folder/errors.txt" >&2)

measure() { # TITLE NAME BENCHMARK [OPTIONS]
    local title=$1 name=$2 benchmark=$3
    shift 3
    printf '\n## %s\n\n`python benchmarks/%s.py %s`\n\n' \
        "$title" "$benchmark" "$*"
    timeout "${LIMIT:-120}" python "benchmarks/$benchmark.py" "$@" \
        --device "$device" --json "$folder/$name.json" ||
        printf 'This measurement failed (exit code %s).\n' $?
}

echo "# Speed and memory on a GPU"
if [ "$device" != cpu ]; then
    printf '\n'
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
    nvidia-smi --query-gpu=timestamp,utilization.gpu,memory.used \
        --format=csv --loop=1 > "$folder/utilization.csv" &
    sampler=$!
    trap 'kill $sampler' EXIT
fi
for frames in $shapes; do
    for options in "--precision fp32" "--precision bf16" \
        "--precision bf16 --compile"; do
        name=$frames-${options// /}
        measure "LoRA by library, $frames frames, $options" "peers-$name" peers \
            --frames "$frames" --batch "$batch" --repeats "$repeats" $options
    done
    measure "Methods, $frames frames, bf16" "step-$frames" step \
        --frames "$frames" --batch "$batch" --repeats "$repeats" \
        --precision bf16 \
        --methods linear,lora,bottleneck,conformer,soft_moa,full_finetuning
    measure "Frozen weights in fewer bits, $frames frames" "bits-$frames" step \
        --frames "$frames" --batch "$batch" --repeats "$repeats" \
        --methods lora,lora:backbone_dtype=bfloat16,lora:backbone_dtype=nf4
    measure "Stored hidden states, $frames frames" "hidden-$frames" hidden \
        --frames "$frames" --batch "$batch" --repeats "$repeats"
done
LIMIT=300 measure "The largest batch in $memory" memory step \
    --frames "${shapes##* }" --memory "$memory" --repeats 1 \
    --methods lora,lora:recompute=layer,bottleneck

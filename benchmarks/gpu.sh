#!/bin/bash
# Measure what needs a GPU, unattended, in at most half an hour:
#   bash benchmarks/gpu.sh [FOLDER]
# writes gpu.md, errors.txt, a JSON file for each table, and utilization.csv (a line a
# second) to FOLDER (benchmarks/results/gpu). What fails is told there, and the rest
# goes on. LIMIT=300 gives a table five minutes rather than two; SHAPES=100 measures
# at one length. DEVICE=cpu REPEATS=1 SHAPES=32 BATCH=2 MEMORY=1500MiB tries the script
# without a GPU.
set -u
folder=$(realpath -m "${1:-$(dirname "$0")/results/gpu}")
cd "$(dirname "$0")/.." || exit
device=${DEVICE:-cuda}
repeats=${REPEATS:-20}
shapes=${SHAPES:-100 500} # frames of 10 ms: Speech Commands, ESC-50
batch=${BATCH:-32}
memory=${MEMORY:-24GiB}
limit=${LIMIT:-120} # seconds for a table; what compiles gets more
mkdir -p "$folder" || exit
exec > >(tee "$folder/gpu.md") 2> >(tee "$folder/errors.txt" >&2)

measure() { # TITLE NAME SECONDS BENCHMARK [OPTIONS]
    local title=$1 name=$2 seconds=$3 benchmark=$4
    shift 4
    printf '\n## %s\n\n`python benchmarks/%s.py %s`\n\n' \
        "$title" "$benchmark" "$*"
    timeout --kill-after=20 "$seconds" python "benchmarks/$benchmark.py" "$@" \
        --device "$device" --json "$folder/$name.json" ||
        printf '\nThis measurement failed or is not whole (exit code %s).\n' $?
}

echo "# Speed and memory on a GPU"
if [ "$device" != cpu ]; then
    printf '\n'
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
    nvidia-smi --query-gpu=timestamp,utilization.gpu,memory.used \
        --format=csv --loop=1 > "$folder/utilization.csv" &
    sampler=$!
    trap 'kill "$sampler"' EXIT
fi
for frames in $shapes; do
    steps=(--frames "$frames" --batch "$batch" --repeats "$repeats")
    measure "LoRA by library, $frames frames" "peers-$frames-fp32" "$limit" \
        peers "${steps[@]}"
    measure "LoRA by library, $frames frames, bf16" "peers-$frames-bf16" "$limit" \
        peers "${steps[@]}" --precision bf16
    measure "LoRA by library, $frames frames, bf16, compiled" \
        "peers-$frames-bf16-compiled" $((limit * 5 / 4)) \
        peers "${steps[@]}" --precision bf16 --compile
    measure "Methods, $frames frames, bf16" "step-$frames" "$limit" \
        step "${steps[@]}" --precision bf16 \
        --methods linear,lora,bottleneck,conformer,soft_moa,full_finetuning
    measure "Frozen weights in fewer bits, $frames frames" "bits-$frames" "$limit" \
        step "${steps[@]}" \
        --methods lora,lora:backbone_dtype=bfloat16,lora:backbone_dtype=nf4
    measure "Stored hidden states, $frames frames" "hidden-$frames" "$limit" \
        hidden "${steps[@]}"
done
measure "The largest batch in $memory" memory $((2 * limit)) step \
    --frames "${shapes##* }" --memory "$memory" --repeats 1 \
    --methods lora,lora:recompute=layer,bottleneck

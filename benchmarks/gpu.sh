#!/bin/sh
# All that is worth measuring while a GPU is at hand, in at most 20 minutes:
#     benchmarks/gpu.sh [--data DIR] [--anew] [--minutes 20]
# PYTHON names the interpreter, and OUT the folder that takes the results. See gpu.py.
exec "${PYTHON:-python}" "$(dirname "$0")/gpu.py" "$@"

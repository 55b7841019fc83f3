"""The machine: device, precision, threads, memory, random numbers, processes."""

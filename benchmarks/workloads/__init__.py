"""The workloads, one file each: every library's program as its users would write it, side by side."""

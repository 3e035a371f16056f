"""Programs as machine code; needs the extra `jit`."""

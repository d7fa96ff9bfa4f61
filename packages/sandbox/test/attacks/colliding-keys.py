def add(a, b): return {i * ((1 << 61) - 1): 0 for i in range(30_000)}

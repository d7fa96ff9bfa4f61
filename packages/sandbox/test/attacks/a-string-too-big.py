def add(a, b): return 'x' * (1 << 40)

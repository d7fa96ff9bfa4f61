def add(a, b): raise ValueError('x' * (100 << 20))

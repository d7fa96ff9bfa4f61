import itertools
def add(a, b): return itertools.repeat(a + b)

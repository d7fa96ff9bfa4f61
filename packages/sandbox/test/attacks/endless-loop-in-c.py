import itertools
def add(a, b): return sum(itertools.repeat(0))

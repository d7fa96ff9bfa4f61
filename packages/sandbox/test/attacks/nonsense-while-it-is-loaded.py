import json, os, struct, time
body = json.dumps({'raised': 'x'}).encode()
for number in range(3, 64):
  try: os.write(number, struct.pack('<I', len(body)) + body)
  except OSError: pass
time.sleep(60)

import itertools, json, os, struct
answers = itertools.cycle([{'value': {'type': 'eval'}, 'arguments': []}, {'value': {'handle': [[], 'object', 'A']}, 'arguments': []}, {'value': {'no': 1}},
  {'value': {'set': [[1]]}, 'arguments': []}, {'value': {'a': 1, 'b': 2}}, {'raised': 'A', 'message': 'm', 'classes': [['inside.stand_ins', 'ChecksInvalid']], 'arguments': []},
  {'raised': 'A', 'message': 'm', 'classes': 7, 'arguments': []}, {'end': True}, {}, 3, None, {'value': {'range': [0, 1, 0]}, 'arguments': []}])
def add(a, b):
  body = json.dumps(next(answers)).encode()
  for number in range(3, 64):
    try: os.write(number, struct.pack('<I', len(body)) + body)
    except OSError: pass
  return 0

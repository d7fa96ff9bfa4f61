import threading, time
for _ in range(4): threading.Thread(target=time.sleep, args=(60,)).start()
def add(a, b): return 0

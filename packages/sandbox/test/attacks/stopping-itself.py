import os, signal, threading
def add(a, b):
  os.kill(os.getpid(), signal.SIGSTOP)
  os.fork()
  os.kill(os.getpid(), signal.SIGTSTP)
  threading.Event().wait()

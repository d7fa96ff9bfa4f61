"""Where this Python keeps its own library and what was installed into it; prints JSON."""

import json
import sysconfig

print(json.dumps([sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")]))

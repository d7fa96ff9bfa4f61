// Node loads this library as an addon; loading it registers the operations with libtensorflow.
#include <node_api.h>

#include <mutex>

#include "kernels.h"
#include "matrix.h"

NAPI_MODULE_INIT() {
  static std::once_flag once;  // each worker thread loads the addon anew
  std::call_once(once, [] {
    diffucoder::registerAdamW();
    diffucoder::registerAttention();
    diffucoder::registerCrossEntropy();
    diffucoder::registerDoubts();
    diffucoder::registerMatrixProduct();
    diffucoder::registerNetwork();
    diffucoder::registerPack();
    diffucoder::registerRmsNorm();
    diffucoder::registerSwiGlu();
  });
  napi_value hasTiles;
  napi_get_boolean(env, diffucoder::hasMatrixTiles(), &hasTiles);
  napi_set_named_property(env, exports, "hasMatrixTiles", hasTiles);
  return exports;
}

// Fails in every way that `guarded` tells apart, for the tests of torch_error.rs.

#include "status.h"

#include <stdexcept>

extern "C" Status assay_fail(int32_t how) {
    const c10::SourceLocation here{__func__, __FILE__, __LINE__};
    return guarded([&] {
        switch (how) {
            case 0: throw c10::OutOfMemoryError(here, "no memory on the device");
            case 1: throw std::bad_alloc();
            case 2: throw c10::AcceleratorError(here, kCudaErrorMemoryAllocation, "no pinned memory");
            case 3: throw c10::AcceleratorError(here, 700, "an illegal memory access");
            case 4: throw c10::Error(here, "shapes differ");
            case 5: throw std::runtime_error("something else");
            case 6: throw 6;
            default: return;
        }
    });
}

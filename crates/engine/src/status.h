// How what Rust calls of our C++ reports errors; the Rust side is in torch_error.rs.

#pragma once

#include <c10/util/Exception.h>

#include <cstdint>
#include <cstring>
#include <exception>
#include <new>

enum Code : int32_t {
    kDone = 0,
    kOutOfMemory = 1,
    kDeviceLost = 2,
    kFailed = 3,
};

// CUDA's number for it; its headers are not needed to build this.
constexpr int32_t kCudaErrorMemoryAllocation = 2;

struct Status {
    int32_t code;
    // Null on success; else to be freed by the caller, and null where there is no memory for it.
    char* message;
};

// Runs `work`. No exception leaves it, whatever its type: unwinding through Rust would end the process.
template <typename Work>
Status guarded(Work work) noexcept {
    try {
        work();
        return {kDone, nullptr};
    } catch (const c10::OutOfMemoryError& error) {
        return {kOutOfMemory, strdup(error.what_without_backtrace())};
    } catch (const c10::AcceleratorError& error) {
        // What CUDA's own calls fail with. After most of these errors the process can't use the GPU any more; memory that was
        // refused (for pinned buffers, say) is no such error.
        const bool is_memory = error.get_error_code() == kCudaErrorMemoryAllocation;
        return {is_memory ? kOutOfMemory : kDeviceLost, strdup(error.what_without_backtrace())};
    } catch (const c10::Error& error) {
        return {kFailed, strdup(error.what_without_backtrace())};
    } catch (const std::bad_alloc& error) {
        return {kOutOfMemory, strdup(error.what())};
    } catch (const std::exception& error) {
        return {kFailed, strdup(error.what())};
    } catch (...) {
        return {kFailed, strdup("an exception of unknown type")};
    }
}

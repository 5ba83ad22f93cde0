// What tch does not bind: oneDNN's convolution with what follows it in one pass, and a CPU allocator that keeps
// the pages of large tensors between batches. Called from fused.rs; errors come back as a status.

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/CPUAllocator.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string_view>
#include <sys/mman.h>
#include <unordered_map>

#include "status.h"

namespace {

using Scalars = c10::List<std::optional<at::Scalar>>;
using Text = std::optional<std::string_view>;

at::Tensor pack(const at::Tensor& weight, int64_t stride, int64_t padding, at::IntArrayRef input) {
    static auto reorder = c10::Dispatcher::singleton()
        .findSchemaOrThrow("mkldnn::_reorder_convolution_weight", "")
        .typed<at::Tensor(const at::Tensor&, at::IntArrayRef, at::IntArrayRef, at::IntArrayRef, int64_t,
                          at::OptionalIntArrayRef)>();
    return reorder.call(weight, {padding, padding}, {stride, stride}, {1, 1}, 1, input);
}

at::Tensor convolve(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias, int64_t stride,
                    int64_t padding, bool relu) {
    static auto convolution = c10::Dispatcher::singleton()
        .findSchemaOrThrow("mkldnn::_convolution_pointwise", "")
        .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, at::IntArrayRef,
                          at::IntArrayRef, at::IntArrayRef, int64_t, std::string_view, Scalars, Text)>();
    return convolution.call(input, weight, bias, {padding, padding}, {stride, stride}, {1, 1}, 1,
                            relu ? "relu" : "none", Scalars(), std::nullopt);
}

at::Tensor convolve_add_relu(const at::Tensor& input, at::Tensor& addend, const at::Tensor& weight,
                             const at::Tensor& bias, int64_t stride, int64_t padding) {
    static auto convolution = c10::Dispatcher::singleton()
        .findSchemaOrThrow("mkldnn::_convolution_pointwise_", "binary")
        .typed<at::Tensor&(at::Tensor&, const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                           at::IntArrayRef, at::IntArrayRef, at::IntArrayRef, int64_t, std::string_view,
                           std::optional<at::Scalar>, Text, Scalars, Text)>();
    return convolution.call(addend, input, weight, bias, {padding, padding}, {stride, stride}, {1, 1}, 1, "add",
                            std::nullopt, "relu", Scalars(), std::nullopt);
}

// Large blocks are handed out again instead of going back to the kernel: page faults cost as much as the
// arithmetic between them. Smaller ones are left to the allocator that was there before.
class KeptPages final : public c10::Allocator {
  public:
    explicit KeptPages(c10::Allocator* smaller) : smaller_(smaller) {}

    c10::DataPtr allocate(size_t bytes) override {
        if (bytes < kLarge) return allocate_small(bytes);
        const size_t size = (bytes + kHugePage - 1) / kHugePage * kHugePage;
        std::lock_guard<std::mutex> guard(lock_);
        // The smallest free block that holds it, if it isn't far too large.
        auto found = free_.lower_bound(size);
        if (found != free_.end() && found->first <= size + size / 4) {
            void* block = found->second;
            kept_ -= found->first;
            free_.erase(found);
            return {block, block, &KeptPages::release, c10::Device(c10::DeviceType::CPU)};
        }
        void* block = std::aligned_alloc(kHugePage, size);
        TORCH_CHECK_WITH(OutOfMemoryError, block != nullptr, kNoMemory, size, " bytes.");
        madvise(block, size, MADV_HUGEPAGE);
        sizes_[block] = size;
        return {block, block, &KeptPages::release, c10::Device(c10::DeviceType::CPU)};
    }

    // oneDNN's own buffers come and go without the handle that says which allocator made them.
    c10::DeleterFnPtr raw_deleter() const override { return &KeptPages::release; }

    void copy_data(void* target, const void* source, size_t bytes) const override {
        default_copy_data(target, source, bytes);
    }

    static KeptPages* instance;

  private:
    // libtorch's own allocator fails with an error of no special type.
    c10::DataPtr allocate_small(size_t bytes) {
        try {
            return smaller_->allocate(bytes);
        } catch (const c10::Error&) {
            throw c10::OutOfMemoryError({__func__, __FILE__, __LINE__}, c10::str(kNoMemory, bytes, " bytes."));
        }
    }

    static void release(void* block) {
        KeptPages& self = *instance;
        std::unique_lock<std::mutex> guard(self.lock_);
        const auto known = self.sizes_.find(block);
        if (known == self.sizes_.end()) {
            guard.unlock();
            self.smaller_->raw_deallocate(block);
            return;
        }
        const size_t size = known->second;
        if (self.kept_ + size > kMostKept) {
            self.sizes_.erase(block);
            std::free(block);
            return;
        }
        self.kept_ += size;
        self.free_.emplace(size, block);
    }

    // libtorch's own words, which torch_error.rs finds in what tch hands out.
    static constexpr const char* kNoMemory = "DefaultCPUAllocator: can't allocate memory: you tried to allocate ";
    static constexpr size_t kHugePage = size_t{2} << 20;
    static constexpr size_t kLarge = size_t{1} << 20;
    // What one image leaves behind in ResNet-50 is 0.4 GiB in fp32.
    static constexpr size_t kMostKept = size_t{1} << 30;

    c10::Allocator* smaller_;
    std::mutex lock_;
    std::multimap<size_t, void*> free_;
    std::unordered_map<void*, size_t> sizes_;
    size_t kept_ = 0;
};

KeptPages* KeptPages::instance = nullptr;

}  // namespace

extern "C" {

Status assay_pack(const at::Tensor* weight, int64_t stride, int64_t padding, const int64_t* input, at::Tensor** packed) {
    return guarded([&] { *packed = new at::Tensor(pack(*weight, stride, padding, at::IntArrayRef(input, 4))); });
}

Status assay_convolve(const at::Tensor* input, const at::Tensor* weight, const at::Tensor* bias, int64_t stride,
                      int64_t padding, bool relu, at::Tensor** output) {
    return guarded([&] { *output = new at::Tensor(convolve(*input, *weight, *bias, stride, padding, relu)); });
}

Status assay_convolve_add_relu(const at::Tensor* input, at::Tensor* addend, const at::Tensor* weight,
                               const at::Tensor* bias, int64_t stride, int64_t padding, at::Tensor** output) {
    return guarded(
        [&] { *output = new at::Tensor(convolve_add_relu(*input, *addend, *weight, *bias, stride, padding)); });
}

Status assay_keep_pages() {
    static std::once_flag once;
    return guarded([] {
        std::call_once(once, [] {
            KeptPages::instance = new KeptPages(c10::GetCPUAllocator());
            c10::SetCPUAllocator(KeptPages::instance, 1);
        });
    });
}
}

// Pixels on their way to a GPU: two pinned buffers on the host, two on the device, and a stream of their own, so that the
// next images cross while the ones before are computed. It uses libtorch's interface for any device: CUDA's headers are not needed,
// and what is CUDA's own comes with libtorch_cuda when that is opened. Called from staging.rs; errors come back as a status.

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <array>
#include <cstring>

#include "status.h"

namespace {

constexpr auto kGpu = c10::DeviceType::CUDA;

struct Slot {
    at::Tensor host;
    at::Tensor device;
    // The pixels have crossed: the host's buffer may be filled again, and computing may begin.
    c10::Event crossed{kGpu};
    // The pixels were read: the device's buffer may be written again.
    c10::Event read{kGpu};
};

struct Staging {
    Staging(c10::DeviceIndex index, at::IntArrayRef shape)
        : gpu(kGpu), place(kGpu, index), crossing(gpu.getStreamFromGlobalPool(place, /*isHighPriority=*/true)) {
        const auto pixels = at::TensorOptions().dtype(at::kByte);
        for (Slot& slot : slots) {
            slot.host = at::empty(shape, pixels.pinned_memory(true));
            slot.device = at::empty(shape, pixels.device(place));
        }
    }

    // Where the next images are to be written.
    uint8_t* buffer(size_t number) {
        Slot& slot = slots[number];
        slot.crossed.synchronize();
        return slot.host.data_ptr<uint8_t>();
    }

    // The first `images` of the buffer, on the device as soon as the current stream comes to need them.
    at::Tensor send(size_t number, int64_t images) {
        Slot& slot = slots[number];
        at::Tensor target = slot.device.narrow(0, 0, images);
        {
            c10::StreamGuard guard(crossing);
            slot.read.block(crossing);
            target.copy_(slot.host.narrow(0, 0, images), /*non_blocking=*/true);
            slot.crossed.record(crossing);
        }
        slot.crossed.block(gpu.getStream(place));
        return target;
    }

    // What the current stream was given so far has read the buffer.
    void taken(size_t number) { slots[number].read.record(gpu.getStream(place)); }

    c10::impl::VirtualGuardImpl gpu;
    c10::Device place;
    c10::Stream crossing;
    std::array<Slot, 2> slots;
};

}  // namespace

extern "C" {

Status assay_staging_new(int64_t device, const int64_t* shape, Staging** staging) {
    return guarded([&] { *staging = new Staging(static_cast<c10::DeviceIndex>(device), at::IntArrayRef(shape, 4)); });
}

void assay_staging_free(Staging* staging) { delete staging; }

Status assay_staging_buffer(Staging* staging, size_t slot, uint8_t** pixels) {
    return guarded([&] { *pixels = staging->buffer(slot); });
}

Status assay_staging_send(Staging* staging, size_t slot, int64_t images, at::Tensor** sent) {
    return guarded([&] { *sent = new at::Tensor(staging->send(slot, images)); });
}

Status assay_staging_taken(Staging* staging, size_t slot) {
    return guarded([&] { staging->taken(slot); });
}
}

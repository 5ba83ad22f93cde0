// 3×3 convolutions of stride 1 in fp32 by Winograd's minimal filtering: of each tile of 6×6 inputs 36 products make 4×4
// outputs, which take 144 otherwise. F(4×4, 3×3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015
// (arXiv 1509.09308). Called from winograd.rs, which transforms the weights; errors come back as a status.

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "status.h"

namespace {

// Tiles that one thread takes at a time. Their transformed inputs and products lie in its cache.
constexpr int64_t kTiles = 36;
constexpr int64_t kPoints = 36;
// What the innermost loop keeps in registers: so many tiles by so many output channels.
constexpr int64_t kRows = 6;
constexpr int64_t kColumns = 16;
constexpr int64_t kMostChannels = 4096;
// Between the points' matrices: at a distance of a power of two they would fight for the same lines of the cache.
constexpr int64_t kApart = 16;

struct Problem {
    int64_t images, height, width, inputs, outputs;
    const float* input;
    // [points, outputs / kColumns, inputs, kColumns]
    const float* weight;
    const float* bias;
    // May be null.
    const float* addend;
    bool relu;
    float* output;

    int64_t down() const { return (height + 3) / 4; }
    int64_t across() const { return (width + 3) / 4; }
    int64_t tiles() const { return images * down() * across(); }
    // From one point's matrix to the next.
    int64_t input_step() const { return kTiles * inputs + kApart; }
    int64_t output_step() const { return kTiles * outputs + kApart; }
};

}  // namespace

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define ASSAY_WINOGRAD 1
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define INLINE inline __attribute__((always_inline))

namespace {

using Lanes = float __attribute__((vector_size(32), aligned(4)));
constexpr int64_t kLanes = 8;

alignas(32) const float kZeros[kMostChannels] = {};

INLINE Lanes load(const float* from) { return *reinterpret_cast<const Lanes*>(from); }
INLINE void store(float* to, Lanes value) { *reinterpret_cast<Lanes*>(to) = value; }

// Bᵀd, with interpolation at 0, ±1, ±2 and infinity.
INLINE void transform_input(const Lanes* d, Lanes* to) {
    const Lanes even = d[4] - 4.f * d[2], odd = d[3] - 4.f * d[1];
    const Lanes far_even = d[4] - d[2], far_odd = 2.f * (d[3] - d[1]);
    to[0] = 4.f * d[0] - 5.f * d[2] + d[4];
    to[1] = even + odd;
    to[2] = even - odd;
    to[3] = far_even + far_odd;
    to[4] = far_even - far_odd;
    to[5] = 4.f * d[1] - 5.f * d[3] + d[5];
}

// Aᵀm
INLINE void transform_output(const Lanes* m, Lanes* to) {
    const Lanes even = m[1] + m[2], odd = m[1] - m[2], far_even = m[3] + m[4], far_odd = m[3] - m[4];
    to[0] = m[0] + even + far_even;
    to[1] = odd + 2.f * far_odd;
    to[2] = even + 4.f * far_even;
    to[3] = odd + 8.f * far_odd + m[5];
}

// The upper left corner of a tile's outputs.
struct Corner {
    int64_t image, y, x;
};

INLINE Corner corner(const Problem& problem, int64_t tile) {
    const int64_t across = problem.across(), down = problem.down();
    return {tile / (across * down), tile / across % down * 4, tile % across * 4};
}

INLINE void inputs_of(const Problem& problem, int64_t tile, float* to) {
    const Corner at = corner(problem, tile);
    const int64_t channels = problem.inputs;
    const float* from[6][6];
    for (int64_t i = 0; i < 6; ++i) {
        for (int64_t j = 0; j < 6; ++j) {
            const int64_t y = at.y + i - 1, x = at.x + j - 1;
            const bool inside = y >= 0 && y < problem.height && x >= 0 && x < problem.width;
            from[i][j] = inside ? problem.input + ((at.image * problem.height + y) * problem.width + x) * channels : kZeros;
        }
    }
    for (int64_t c = 0; c < channels; c += kLanes) {
        Lanes half[6][6];
        for (int j = 0; j < 6; ++j) {
            Lanes column[6], done[6];
            for (int i = 0; i < 6; ++i) column[i] = load(from[i][j] + c);
            transform_input(column, done);
            for (int i = 0; i < 6; ++i) half[i][j] = done[i];
        }
        for (int i = 0; i < 6; ++i) {
            Lanes done[6];
            transform_input(half[i], done);
            for (int j = 0; j < 6; ++j) store(to + (i * 6 + j) * problem.input_step() + c, done[j]);
        }
    }
}

// kRows tiles times kColumns channels of one point.
INLINE void multiply(const float* tiles, const float* weight, float* products, int64_t inputs, int64_t outputs) {
    Lanes sums[kRows][2] = {};
    for (int64_t c = 0; c < inputs; ++c) {
        const Lanes first = load(weight + c * kColumns), second = load(weight + c * kColumns + kLanes);
        for (int64_t row = 0; row < kRows; ++row) {
            const float value = tiles[row * inputs + c];
            sums[row][0] += value * first;
            sums[row][1] += value * second;
        }
    }
    for (int64_t row = 0; row < kRows; ++row) {
        store(products + row * outputs, sums[row][0]);
        store(products + row * outputs + kLanes, sums[row][1]);
    }
}

INLINE void outputs_of(const Problem& problem, int64_t tile, const float* products) {
    const Corner at = corner(problem, tile);
    const int64_t channels = problem.outputs;
    const int64_t rows = std::min<int64_t>(4, problem.height - at.y), columns = std::min<int64_t>(4, problem.width - at.x);
    for (int64_t k = 0; k < channels; k += kLanes) {
        Lanes half[4][6];
        for (int j = 0; j < 6; ++j) {
            Lanes column[6], done[4];
            for (int i = 0; i < 6; ++i) column[i] = load(products + (i * 6 + j) * problem.output_step() + k);
            transform_output(column, done);
            for (int i = 0; i < 4; ++i) half[i][j] = done[i];
        }
        const Lanes bias = load(problem.bias + k);
        for (int64_t i = 0; i < rows; ++i) {
            Lanes done[4];
            transform_output(half[i], done);
            for (int64_t j = 0; j < columns; ++j) {
                const int64_t place = ((at.image * problem.height + at.y + i) * problem.width + at.x + j) * channels + k;
                Lanes value = done[j] + bias;
                if (problem.addend != nullptr) value += load(problem.addend + place);
                // Written so that a NaN stays one.
                if (problem.relu) value = value < 0.f ? Lanes{} : value;
                store(problem.output + place, value);
            }
        }
    }
}

// `first` to `first + count`, at most kTiles. `space` holds the points' matrices, inputs and then products.
__attribute__((noinline)) void block(const Problem& problem, int64_t first, int64_t count, float* space) {
    float* products = space + kPoints * problem.input_step();
    for (int64_t tile = 0; tile < count; ++tile) inputs_of(problem, first + tile, space + tile * problem.inputs);
    for (int64_t point = 0; point < kPoints; ++point) {
        const float* tiles = space + point * problem.input_step();
        const float* weight = problem.weight + point * problem.inputs * problem.outputs;
        float* to = products + point * problem.output_step();
        for (int64_t k = 0; k < problem.outputs; k += kColumns) {
            // In the last rows there may be tiles that are none; nobody reads what comes of them.
            for (int64_t row = 0; row < count; row += kRows) {
                multiply(tiles + row * problem.inputs, weight + k * problem.inputs, to + row * problem.outputs + k,
                         problem.inputs, problem.outputs);
            }
        }
    }
    for (int64_t tile = 0; tile < count; ++tile) outputs_of(problem, first + tile, products + tile * problem.outputs);
}

}  // namespace

#pragma GCC pop_options
#endif

namespace {

void solve(const Problem& problem) {
#ifdef ASSAY_WINOGRAD
    const int64_t blocks = (problem.tiles() + kTiles - 1) / kTiles;
    const int64_t space = kPoints * (problem.input_step() + problem.output_step());
    const at::Tensor spaces = at::empty({at::get_num_threads(), space}, at::kFloat);
    at::parallel_for(0, blocks, 1, [&](int64_t from, int64_t to) {
        float* own = spaces.data_ptr<float>() + at::get_thread_num() * space;
        for (int64_t at = from; at < to; ++at) {
            block(problem, at * kTiles, std::min(kTiles, problem.tiles() - at * kTiles), own);
        }
    });
#else
    TORCH_CHECK(false, "this build has no Winograd convolution");
#endif
}

at::Tensor convolve(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor* addend, bool relu) {
    TORCH_CHECK(input.dim() == 4 && weight.dim() == 4, "Winograd: an image and a weight have four dimensions");
    const int64_t inputs = input.size(1), outputs = weight.size(1) * kColumns;
    TORCH_CHECK(weight.sizes() == at::IntArrayRef({kPoints, outputs / kColumns, inputs, kColumns}), "Winograd: the weight is not for ", inputs,
                " channels");
    TORCH_CHECK(inputs % 8 == 0 && inputs <= kMostChannels && bias.numel() == outputs, "Winograd: channels don't match");
    const at::Tensor image = input.contiguous(at::MemoryFormat::ChannelsLast);
    const at::Tensor output =
        at::empty({input.size(0), outputs, input.size(2), input.size(3)}, image.options(), at::MemoryFormat::ChannelsLast);
    const at::Tensor added = addend == nullptr ? at::Tensor() : addend->contiguous(at::MemoryFormat::ChannelsLast);
    TORCH_CHECK(!added.defined() || added.sizes() == output.sizes(), "Winograd: the addend has another shape");
    solve({input.size(0), input.size(2), input.size(3), inputs, outputs, image.data_ptr<float>(), weight.data_ptr<float>(),
           bias.data_ptr<float>(), added.defined() ? added.data_ptr<float>() : nullptr, relu, output.data_ptr<float>()});
    return output;
}

}  // namespace

extern "C" {

bool assay_winograd_runs() {
#ifdef ASSAY_WINOGRAD
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return false;
#endif
}

Status assay_winograd_convolve(const at::Tensor* input, const at::Tensor* weight, const at::Tensor* bias, const at::Tensor* addend,
                               bool relu, at::Tensor** output) {
    return guarded([&] { *output = new at::Tensor(convolve(*input, *weight, *bias, addend, relu)); });
}
}

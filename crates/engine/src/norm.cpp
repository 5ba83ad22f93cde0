// Batch norm, what is added to it and ReLU in one pass over channels-last activations, forward and back. libtorch has a
// kernel for each, and between them they read and write the largest tensors of training several times over. Called from
// norm.rs; errors come back as a status.

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "status.h"

// The compiler's own vectors, as wide as the processor's.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define AS_WIDE_AS_CAN_BE __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define AS_WIDE_AS_CAN_BE
#endif
#define INLINE inline __attribute__((always_inline))

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Rows (pixels) that are summed in fp32 before they go to a sum in fp64; also what a thread takes at a time. It does not
// depend on the number of threads, so neither do the sums.
constexpr int64_t kRows = 512;

INLINE float load(const float* from) { return *from; }
INLINE float load(const uint16_t* from) {
    const uint32_t bits = static_cast<uint32_t>(*from) << 16;
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}
INLINE void store(float* to, float value) { *to = value; }
INLINE void store(uint16_t* to, float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    // To the nearest, ties to even.
    *to = static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// Σ (x − k) and Σ (x − k)² of some rows; k is near the mean, so that nothing cancels out.
template <typename T>
INLINE void moments(const T* x, int64_t rows, int64_t channels, const float* k, float* sum, float* squares) {
    for (int64_t row = 0; row < rows; ++row, x += channels) {
        for (int64_t c = 0; c < channels; ++c) {
            const float value = load(x + c) - k[c];
            sum[c] += value;
            squares[c] += value * value;
        }
    }
}

// y = scale · x + shift (+ other), and ReLU
template <typename T, bool kAdd, bool kRelu>
INLINE void apply(const T* x, const T* other, T* y, int64_t rows, int64_t channels, const float* scale, const float* shift) {
    for (int64_t row = 0; row < rows; ++row, x += channels, y += channels) {
        for (int64_t c = 0; c < channels; ++c) {
            float value = load(x + c) * scale[c] + shift[c];
            if (kAdd) value += load(other + c);
            // Written so that a NaN stays one.
            if (kRelu) value = value < 0.f ? 0.f : value;
            store(y + c, value);
        }
        if (kAdd) other += channels;
    }
}

// Σ g and Σ g · (x − mean), where g is the gradient of what ReLU let through.
template <typename T, bool kRelu>
INLINE void pulls(const T* x, const T* y, const T* dy, int64_t rows, int64_t channels, const float* mean, float* sum, float* products) {
    for (int64_t row = 0; row < rows; ++row, x += channels, dy += channels) {
        for (int64_t c = 0; c < channels; ++c) {
            float g = load(dy + c);
            if (kRelu) g = load(y + c) > 0.f ? g : 0.f;
            sum[c] += g;
            products[c] += g * (load(x + c) - mean[c]);
        }
        if (kRelu) y += channels;
    }
}

// dx = scale · g − slope · x − offset, and g itself for what was added.
template <typename T, bool kAdd, bool kRelu>
INLINE void back(const T* x, const T* y, const T* dy, T* dx, T* other, int64_t rows, int64_t channels, const float* scale,
                 const float* slope, const float* offset) {
    for (int64_t row = 0; row < rows; ++row, x += channels, dy += channels, dx += channels) {
        for (int64_t c = 0; c < channels; ++c) {
            float g = load(dy + c);
            if (kRelu) g = load(y + c) > 0.f ? g : 0.f;
            store(dx + c, g * scale[c] - load(x + c) * slope[c] - offset[c]);
            if (kAdd) store(other + c, g);
        }
        if (kRelu) y += channels;
        if (kAdd) other += channels;
    }
}

// One clone for each kind of processor, of each of these.
#define FOR_KIND(T)                                                                                                     \
    AS_WIDE_AS_CAN_BE void moments_of(const T* x, int64_t rows, int64_t channels, const float* k, float* s, float* q) { \
        moments(x, rows, channels, k, s, q);                                                                            \
    }                                                                                                                   \
    AS_WIDE_AS_CAN_BE void apply_to(const T* x, const T* other, T* y, int64_t rows, int64_t channels,                   \
                                    const float* scale, const float* shift, bool relu) {                                \
        if (other && relu) apply<T, true, true>(x, other, y, rows, channels, scale, shift);                             \
        else if (other) apply<T, true, false>(x, other, y, rows, channels, scale, shift);                               \
        else if (relu) apply<T, false, true>(x, other, y, rows, channels, scale, shift);                                \
        else apply<T, false, false>(x, other, y, rows, channels, scale, shift);                                         \
    }                                                                                                                   \
    AS_WIDE_AS_CAN_BE void pulls_of(const T* x, const T* y, const T* dy, int64_t rows, int64_t channels,                \
                                    const float* mean, float* s, float* p) {                                            \
        if (y) pulls<T, true>(x, y, dy, rows, channels, mean, s, p);                                                    \
        else pulls<T, false>(x, y, dy, rows, channels, mean, s, p);                                                     \
    }                                                                                                                   \
    AS_WIDE_AS_CAN_BE void back_through(const T* x, const T* y, const T* dy, T* dx, T* other, int64_t rows,             \
                                        int64_t channels, const float* scale, const float* slope,                       \
                                        const float* offset) {                                                          \
        if (other && y) back<T, true, true>(x, y, dy, dx, other, rows, channels, scale, slope, offset);                 \
        else if (other) back<T, true, false>(x, y, dy, dx, other, rows, channels, scale, slope, offset);                \
        else if (y) back<T, false, true>(x, y, dy, dx, other, rows, channels, scale, slope, offset);                    \
        else back<T, false, false>(x, y, dy, dx, other, rows, channels, scale, slope, offset);                          \
    }
FOR_KIND(float)
FOR_KIND(uint16_t)

template <typename T>
const T* read(const at::Tensor& tensor) {
    return tensor.defined() ? static_cast<const T*>(tensor.const_data_ptr()) : nullptr;
}
template <typename T>
T* write(const at::Tensor& tensor) {
    return tensor.defined() ? static_cast<T*>(tensor.mutable_data_ptr()) : nullptr;
}
template <typename T>
const T* at_row(const T* data, int64_t place) {
    return data ? data + place : nullptr;
}
template <typename T>
T* at_row(T* data, int64_t place) {
    return data ? data + place : nullptr;
}

int64_t blocks(int64_t rows) { return (rows + kRows - 1) / kRows; }

// `work(first row, rows, block)`, in parallel.
template <typename Work>
void each_block(int64_t rows, const Work& work) {
    at::parallel_for(0, blocks(rows), 1, [&](int64_t begin, int64_t end) {
        for (int64_t block = begin; block < end; ++block) {
            const int64_t first = block * kRows;
            work(first, std::min(kRows, rows - first), block);
        }
    });
}

// Two sums a channel, over all rows: `work(first row, rows, sums, sums)` gives those of a block.
template <typename Work>
std::vector<double> sums(int64_t rows, int64_t channels, const Work& work) {
    std::vector<float> parts(static_cast<size_t>(blocks(rows) * 2 * channels), 0.f);
    each_block(rows, [&](int64_t first, int64_t count, int64_t block) {
        float* part = parts.data() + block * 2 * channels;
        work(first, count, part, part + channels);
    });
    std::vector<double> whole(static_cast<size_t>(2 * channels), 0.0);
    for (int64_t block = 0; block < blocks(rows); ++block) {
        const float* part = parts.data() + block * 2 * channels;
        for (int64_t c = 0; c < 2 * channels; ++c) whole[c] += part[c];
    }
    return whole;
}

struct Norm : torch::autograd::Function<Norm> {
    static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const std::optional<at::Tensor>& other, const at::Tensor& weight,
                              const at::Tensor& bias, at::Tensor running_mean, at::Tensor running_var, bool of_batch,
                              double momentum, double epsilon, bool relu) {
        const at::Tensor rows = x.contiguous(at::MemoryFormat::ChannelsLast);
        const at::Tensor added = other ? other->contiguous(at::MemoryFormat::ChannelsLast) : at::Tensor();
        TORCH_CHECK(!added.defined() || (added.sizes() == rows.sizes() && added.scalar_type() == rows.scalar_type()), "what is added to a norm differs from it in shape or kind");
        TORCH_CHECK(rows.scalar_type() == at::kFloat || rows.scalar_type() == at::kBFloat16, "a norm takes fp32 or bf16");
        const auto work = rows.scalar_type() == at::kFloat ? run<float> : run<uint16_t>;
        return work(context, rows, added, weight, bias, running_mean, running_var, of_batch, momentum, epsilon, relu);
    }

    template <typename T>
    static at::Tensor run(AutogradContext* context, const at::Tensor& x, const at::Tensor& other, const at::Tensor& weight,
                          const at::Tensor& bias, at::Tensor& running_mean, at::Tensor& running_var, bool of_batch,
                          double momentum, double epsilon, bool relu) {
        const int64_t channels = x.size(1), rows = x.numel() / channels;
        const T* in = read<T>(x);
        // What is normalised with: fp32, as ATen has it.
        at::Tensor mean = at::empty({channels}, at::kFloat), deviation = at::empty({channels}, at::kFloat);
        float *means = write<float>(mean), *inverse = write<float>(deviation);
        float *moving_mean = write<float>(running_mean), *moving_var = write<float>(running_var);
        if (of_batch) {
            std::vector<float> near(static_cast<size_t>(channels));
            for (int64_t c = 0; c < channels; ++c) near[c] = load(in + c);
            const auto both = sums(rows, channels, [&](int64_t first, int64_t count, float* sum, float* squares) {
                moments_of(in + first * channels, count, channels, near.data(), sum, squares);
            });
            for (int64_t c = 0; c < channels; ++c) {
                const double part = both[c] / rows, var = std::max(0.0, both[channels + c] / rows - part * part);
                means[c] = static_cast<float>(near[c] + part);
                inverse[c] = static_cast<float>(1.0 / std::sqrt(var + epsilon));
                if (momentum > 0.0) {
                    const double unbiased = var * rows / std::max<int64_t>(1, rows - 1);
                    moving_mean[c] = static_cast<float>((1.0 - momentum) * moving_mean[c] + momentum * means[c]);
                    moving_var[c] = static_cast<float>((1.0 - momentum) * moving_var[c] + momentum * unbiased);
                }
            }
        } else {
            for (int64_t c = 0; c < channels; ++c) {
                means[c] = moving_mean[c];
                inverse[c] = static_cast<float>(1.0 / std::sqrt(static_cast<double>(moving_var[c]) + epsilon));
            }
        }
        std::vector<float> scale(static_cast<size_t>(channels)), shift(static_cast<size_t>(channels));
        const float *weights = read<float>(weight), *biases = read<float>(bias);
        for (int64_t c = 0; c < channels; ++c) {
            scale[c] = weights[c] * inverse[c];
            shift[c] = biases[c] - means[c] * scale[c];
        }
        at::Tensor y = at::empty_like(x);
        const T* added = read<T>(other);
        T* out = write<T>(y);
        each_block(rows, [&](int64_t first, int64_t count, int64_t) {
            const int64_t place = first * channels;
            apply_to(in + place, at_row(added, place), out + place, count, channels, scale.data(), shift.data(), relu);
        });
        context->save_for_backward({x, relu ? y : at::Tensor(), weight, mean, deviation});
        context->saved_data["of_batch"] = of_batch;
        context->saved_data["added"] = other.defined();
        return y;
    }

    static variable_list backward(AutogradContext* context, variable_list gradients) {
        const auto saved = context->get_saved_variables();
        const at::Tensor dy = gradients[0].contiguous(at::MemoryFormat::ChannelsLast);
        const bool of_batch = context->saved_data["of_batch"].toBool(), added = context->saved_data["added"].toBool();
        if (dy.scalar_type() == at::kFloat) return run_back<float>(saved, dy, of_batch, added);
        return run_back<uint16_t>(saved, dy, of_batch, added);
    }

    template <typename T>
    static variable_list run_back(const variable_list& saved, const at::Tensor& dy, bool of_batch, bool added) {
        const at::Tensor &x = saved[0], &y = saved[1];
        const int64_t channels = x.size(1), rows = x.numel() / channels;
        const T *in = read<T>(x), *out = read<T>(y), *pull = read<T>(dy);
        const float *weights = read<float>(saved[2]), *means = read<float>(saved[3]), *inverse = read<float>(saved[4]);
        const auto both = sums(rows, channels, [&](int64_t first, int64_t count, float* sum, float* products) {
            const int64_t place = first * channels;
            pulls_of(in + place, at_row(out, place), pull + place, count, channels, means, sum, products);
        });
        at::Tensor dweight = at::empty({channels}, at::kFloat), dbias = at::empty({channels}, at::kFloat);
        float *dweights = write<float>(dweight), *dbiases = write<float>(dbias);
        std::vector<float> scale(static_cast<size_t>(channels)), slope(scale.size(), 0.f), offset(scale.size(), 0.f);
        for (int64_t c = 0; c < channels; ++c) {
            const double sum = both[c], product = both[channels + c] * inverse[c];
            dbiases[c] = static_cast<float>(sum);
            dweights[c] = static_cast<float>(product);
            const double wide = static_cast<double>(weights[c]) * inverse[c];
            scale[c] = static_cast<float>(wide);
            if (of_batch) {
                // The mean and the variance move with x: dx = scale · (g − Σg / n − x̂ · Σ(g · x̂) / n)
                const double tilt = wide * inverse[c] * product / rows;
                slope[c] = static_cast<float>(tilt);
                offset[c] = static_cast<float>(wide * sum / rows - tilt * means[c]);
            }
        }
        at::Tensor dx = at::empty_like(x), dother = added ? at::empty_like(x) : at::Tensor();
        T *to = write<T>(dx), *to_other = write<T>(dother);
        each_block(rows, [&](int64_t first, int64_t count, int64_t) {
            const int64_t place = first * channels;
            back_through(in + place, at_row(out, place), pull + place, to + place, at_row(to_other, place), count, channels,
                         scale.data(), slope.data(), offset.data());
        });
        const at::Tensor none;
        return {dx, dother, dweight, dbias, none, none, none, none, none, none};
    }
};

}  // namespace

extern "C" Status assay_norm(const at::Tensor* x, const at::Tensor* other, const at::Tensor* weight, const at::Tensor* bias,
                             const at::Tensor* running_mean, const at::Tensor* running_var, bool of_batch, double momentum,
                             double epsilon, bool relu, at::Tensor** output) {
    return guarded([&] {
        const auto added = other ? std::optional<at::Tensor>(*other) : std::nullopt;
        *output = new at::Tensor(
            Norm::apply(*x, added, *weight, *bias, *running_mean, *running_var, of_batch, momentum, epsilon, relu));
    });
}

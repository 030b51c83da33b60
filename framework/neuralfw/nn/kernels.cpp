// The elementwise passes of the sweeps (kernels.py holds their twins in torch), one fused loop each.
// Plain C interface, no dependency; written so that compilers vectorise the inner loops.

#include <cstdint>
#include <cstring>
#include <vector>

namespace {

// ---- storage: float, or bfloat16 as its upper half --------------------------------------------------------------

struct Bf16 {
    uint16_t bits;
};

inline uint32_t bits_of(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    return bits;
}

inline float from_bits(uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
}

inline float load(float x) { return x; }
inline float load(Bf16 x) { return from_bits(uint32_t(x.bits) << 16); }

inline void store(float& to, float x) { to = x; }
inline void store(Bf16& to, float x) {
    uint32_t bits = bits_of(x);
    uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    to.bits = uint16_t(x != x ? 0x7fc0 : rounded);
}

// ---- elementary functions, a few units in the last place; NaN stays NaN ------------------------------------------

inline float round_even(float x) {
    const float shift = 12582912.0f;  // 1.5 * 2^23
    return (x + shift) - shift;
}

inline float exp_negative(float x) {  // e^x for x <= 0
    float t = x * 1.44269504089f;
    t = t < -60.0f ? -60.0f : t;  // e^x is next to nothing there; smaller values would become denormal and slow
    float whole = round_even(t);
    float f = (t - whole) * 0.69314718056f;
    float p = 1.0f + f * (1.0f + f * (0.5f + f * (1.6666667e-1f + f * (4.1666668e-2f + f * (8.3333310e-3f + f * 1.3888889e-3f)))));
    return p * from_bits(uint32_t(int32_t(whole) + 127) << 23);
}

inline float sigmoid(float x) {
    float e = exp_negative(x < 0 ? x : -x);
    float r = 1.0f / (1.0f + e);
    return x < 0 ? e * r : r;
}

struct SinCos {
    float sin, cos;
};

inline SinCos sincos(float x) {  // |x| up to some thousands
    float q = round_even(x * 0.636619772f);
    float r = ((x - q * 1.5703125f) - q * 4.837512969970703125e-4f) - q * 7.549789948768648e-8f;
    float r2 = r * r;
    float s = r + r * r2 * (-1.6666654611e-1f + r2 * (8.3321608736e-3f - r2 * 1.9515295891e-4f));
    float c = 1.0f - 0.5f * r2 + r2 * r2 * (4.166664568298827e-2f + r2 * (-1.388731625493765e-3f + r2 * 2.443315711809948e-5f));
    int32_t quadrant = int32_t(q);
    bool odd = quadrant & 1;
    float sine = odd ? c : s, cosine = odd ? s : c;
    return {quadrant & 2 ? -sine : sine, (quadrant + 1) & 2 ? -cosine : cosine};
}

inline float not_zero(float slope) { return slope == 0.0f ? 1e-20f : slope; }

// ---- activations: value and auxiliary, slope φ', bend φ''/φ' -----------------------------------------------------

struct At {
    float value, auxiliary;
};

struct Softplus {
    float beta;
    At at(float z) const {
        float t = beta * z;
        float e = exp_negative(t < 0 ? t : -t);
        float r = 1.0f / ((1.0f + e) * (2.0f + e));
        float s = e * (1.0f + e) * r, s2 = s * s;  // log(1 + e) = 2 artanh(s), s <= 1/3
        float log1p = 2.0f * s * (1.0f + s2 * (0.33333333f + s2 * (0.2f + s2 * (0.14285714f + s2 * (0.11111111f + s2 * (0.09090909f + s2 * 0.08f))))));
        float above = (2.0f + e) * r;
        return {(z < 0 ? 0 : z) + log1p * (1.0f / beta), t < 0 ? e * above : above};
    }
    float slope(At a) const { return a.auxiliary; }
    float bend(At a) const { return beta * (1.0f - a.auxiliary); }
};

struct Relu {
    At at(float z) const { return {z < 0 ? 0 : z, 0}; }
    float slope(At a) const { return a.value > 0 ? 1.0f : 0.0f; }
    float bend(At) const { return 0; }
};

struct Sine {
    float omega;
    At at(float z) const {
        SinCos both = sincos(omega * z);
        return {both.sin, both.cos};
    }
    float slope(At a) const { return not_zero(omega * a.auxiliary); }
    float bend(At a) const { return -omega * omega * a.value / slope(a); }
};

struct Tanh {
    At at(float z) const {
        float e = exp_negative(z < 0 ? 2 * z : -2 * z), z2 = z * z;
        float large = (1.0f - e) / (1.0f + e);
        float small = z + z * z2 * (-0.333332819422f + z2 * (0.133314422036f + z2 * (-5.37397155531e-2f + z2 * (2.06390887954e-2f - z2 * 5.70498872745e-3f))));
        return {z2 < 0.36f ? small : (z < 0 ? -large : large), 0};
    }
    float slope(At a) const { return 1.0f - a.value * a.value; }
    float bend(At a) const { return -2.0f * a.value; }
};

struct Silu {
    At at(float z) const { return {z * sigmoid(z), z}; }
    float slope(At a) const {
        float s = sigmoid(a.auxiliary);
        return not_zero(s + a.value * (1.0f - s));
    }
    float bend(At a) const {
        float s = sigmoid(a.auxiliary);
        return s * (1.0f - s) * (2.0f + a.auxiliary * (1.0f - 2.0f * s)) / slope(a);
    }
};

template <class Do>
void with_activation(int activation, float parameter, Do go) {
    switch (activation) {
        case 0: go(Softplus{parameter}); break;
        case 1: go(Relu{}); break;
        case 2: go(Sine{parameter}); break;
        case 3: go(Tanh{}); break;
        default: go(Silu{}); break;
    }
}

// ---- passes over (rows, columns) arrays; `each(i, column)` handles element i -------------------------------------

template <class Each>
void for_rows(int64_t rows, int64_t columns, int threads, Each each) {
#pragma omp parallel for schedule(static) num_threads(threads) if (rows * columns > 16384)
    for (int64_t row = 0; row < rows; row++) {
#pragma GCC ivdep
        for (int64_t column = 0; column < columns; column++) each(row * columns + column, column);
    }
}

template <class T>
void evaluate(int activation, float parameter, int64_t rows, int64_t columns, int threads, const float* bias, T* z,
              T* auxiliary) {
    with_activation(activation, parameter, [=](auto phi) {
        if (auxiliary)
            for_rows(rows, columns, threads, [=](int64_t i, int64_t column) {
                At at = phi.at(load(z[i]) + bias[column]);
                store(z[i], at.value);
                store(auxiliary[i], at.auxiliary);
            });
        else
            for_rows(rows, columns, threads,
                     [=](int64_t i, int64_t column) { store(z[i], phi.at(load(z[i]) + bias[column]).value); });
    });
}

template <class T>
void scale(int activation, float parameter, int64_t rows, int64_t columns, int threads, const T* value,
           const T* auxiliary, const T* a, int64_t a_stride, T* g) {
    with_activation(activation, parameter, [=](auto phi) {
        if (a_stride)
            for_rows(rows, columns, threads, [=](int64_t i, int64_t) {
                store(g[i], phi.slope({load(value[i]), load(auxiliary[i])}) * load(a[i]));
            });
        else
            for_rows(rows, columns, threads, [=](int64_t i, int64_t column) {
                store(g[i], phi.slope({load(value[i]), load(auxiliary[i])}) * load(a[column]));
            });
    });
}

template <class T>
void tangent(int activation, float parameter, int64_t rows, int64_t columns, int threads, const T* value,
             const T* auxiliary, T* z_dot, const T* g, T* c) {
    with_activation(activation, parameter, [=](auto phi) {
        for_rows(rows, columns, threads, [=](int64_t i, int64_t) {
            At at{load(value[i]), load(auxiliary[i])};
            float dot = load(z_dot[i]);
            store(c[i], phi.bend(at) * dot * load(g[i]));
            store(z_dot[i], phi.slope(at) * dot);
        });
    });
}

template <class T>
void adjoint(int activation, float parameter, int64_t rows, int64_t columns, int threads, const T* value,
             const T* auxiliary, T* h_bar, const T* c, float* sums) {
    std::vector<float> partial(size_t(threads) * columns, 0.0f);
    with_activation(activation, parameter, [&](auto phi) {
#pragma omp parallel for schedule(static) num_threads(threads)
        for (int part = 0; part < threads; part++) {
            float* sum = &partial[size_t(part) * columns];
            for (int64_t row = rows * part / threads; row < rows * (part + 1) / threads; row++) {
                int64_t start = row * columns;
#pragma GCC ivdep
                for (int64_t column = 0; column < columns; column++) {
                    int64_t i = start + column;
                    float z_bar = phi.slope({load(value[i]), load(auxiliary[i])}) * load(h_bar[i]);
                    if (c) z_bar += load(c[i]);
                    store(h_bar[i], z_bar);
                    sum[column] += z_bar;
                }
            }
        }
    });
    for (int64_t column = 0; column < columns; column++) {
        sums[column] = 0;
        for (int part = 0; part < threads; part++) sums[column] += partial[size_t(part) * columns + column];
    }
}

}  // namespace

#define NEURALFW_PASSES(suffix, T)                                                                                     \
    extern "C" void evaluate_##suffix(int activation, float parameter, int64_t rows, int64_t columns, int threads,     \
                                      const float* bias, T* z, T* auxiliary) {                                         \
        evaluate(activation, parameter, rows, columns, threads, bias, z, auxiliary);                                   \
    }                                                                                                                  \
    extern "C" void scale_##suffix(int activation, float parameter, int64_t rows, int64_t columns, int threads,        \
                                   const T* value, const T* auxiliary, const T* a, int64_t a_stride, T* g) {           \
        scale(activation, parameter, rows, columns, threads, value, auxiliary, a, a_stride, g);                        \
    }                                                                                                                  \
    extern "C" void tangent_##suffix(int activation, float parameter, int64_t rows, int64_t columns, int threads,      \
                                     const T* value, const T* auxiliary, T* z_dot, const T* g, T* c) {                 \
        tangent(activation, parameter, rows, columns, threads, value, auxiliary, z_dot, g, c);                         \
    }                                                                                                                  \
    extern "C" void adjoint_##suffix(int activation, float parameter, int64_t rows, int64_t columns, int threads,      \
                                     const T* value, const T* auxiliary, T* h_bar, const T* c, float* sums) {          \
        adjoint(activation, parameter, rows, columns, threads, value, auxiliary, h_bar, c, sums);                      \
    }

NEURALFW_PASSES(f32, float)
NEURALFW_PASSES(bf16, Bf16)

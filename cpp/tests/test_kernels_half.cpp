// The kernels of rows stored in 16 bits, of every table: conversions against arithmetic on float64, and the exact pass bit
// for bit with the scalar table's float32 kernels over the decoded row.
#include <bit>
#include <cfloat>
#include <cmath>
#include <limits>

#include "tests/guarded.h"
#include "tests/kernel_cases.h"

using namespace sightline;
using namespace sightline::testing;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// A format of 16 bits and the kernels that a table has for it.
struct Format {
  const char* name;
  int mantissa_bits;
  int least_exponent;     // of a normal value
  int greatest_exponent;
  void (*simd::Kernels::*encode)(const float*, std::size_t, std::uint16_t*) noexcept;
  void (*simd::Kernels::*decode)(const std::uint16_t*, std::size_t, float*) noexcept;
  double (*simd::Kernels::*dot)(const float*, const std::uint16_t*, std::size_t) noexcept;
  double (*simd::Kernels::*squared_distance)(const float*, const std::uint16_t*, std::size_t) noexcept;

  std::uint16_t infinity() const { return static_cast<std::uint16_t>(0x7fff >> mantissa_bits << mantissa_bits); }
};

constexpr Format kFormats[] = {
    {"float16", 10, -14, 15, &simd::Kernels::f32_to_f16, &simd::Kernels::f16_to_f32, &simd::Kernels::dot_f64_f16,
     &simd::Kernels::squared_distance_f64_f16},
    {"bfloat16", 7, -126, 127, &simd::Kernels::f32_to_bf16, &simd::Kernels::bf16_to_f32, &simd::Kernels::dot_f64_bf16,
     &simd::Kernels::squared_distance_f64_bf16},
};

template <typename Test>
void for_each_format(Test&& test) {
  for_each_table([&](const simd::Kernels& table) {
    for (const Format& format : kFormats) {
      try {
        test(table, format);
      } catch (const Failure& failure) {
        throw Failure(std::string(format.name) + ": " + failure.what());
      }
    }
  });
}

// What a finite word means, from its fields.
double value_of(const Format& format, std::uint16_t word) {
  const int mantissa = word & ((1 << format.mantissa_bits) - 1);
  const int exponent_field = (word & 0x7fff) >> format.mantissa_bits;
  const bool denormal = exponent_field == 0;
  const double significand = denormal ? mantissa : mantissa + (1 << format.mantissa_bits);
  const int exponent = format.least_exponent + (denormal ? 0 : exponent_field - 1);
  const double value = std::ldexp(significand, exponent - format.mantissa_bits);
  return (word & 0x8000) != 0 ? -value : value;
}

// The nearest value of the format, ties to even. float64 has bits to spare, so nearbyint is the only rounding.
double nearest(const Format& format, float value) {
  if (value == 0 || std::isinf(value)) return value;
  const int exponent = std::max(std::ilogb(value), format.least_exponent);
  const double rounded = std::ldexp(std::nearbyint(std::ldexp(value, format.mantissa_bits - exponent)), exponent - format.mantissa_bits);
  const double limit = std::ldexp(1.0, format.greatest_exponent + 1);
  return magnitude(rounded) >= limit ? std::copysign(std::numeric_limits<double>::infinity(), value) : rounded;
}

std::uint64_t bits(double x) { return std::bit_cast<std::uint64_t>(x); }
std::uint32_t bits(float x) { return std::bit_cast<std::uint32_t>(x); }

void check_encoding(const simd::Kernels& table, const Format& format, const std::vector<float>& values) {
  std::vector<std::uint16_t> words(values.size());
  std::vector<float> back(values.size());
  (table.*format.encode)(values.data(), values.size(), words.data());
  (table.*format.decode)(words.data(), words.size(), back.data());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double expected = nearest(format, values[i]);
    if (bits(static_cast<double>(back[i])) == bits(expected)) continue;
    throw Failure("encoding " + std::to_string(bits(values[i])) + " gives the word " + std::to_string(words[i]));
  }
}

void fill_words(Guarded<std::uint16_t>& row, const Format& format, Random& random) {
  for (std::size_t i = 0; i < row.size(); ++i) {
    const int sign = random.integer(0, 1) << 15;
    row[i] = static_cast<std::uint16_t>(sign | random.integer(0, format.infinity() - 1));  // any finite value
  }
}

void check_exact_pass(const simd::Kernels& table, const Format& format, const Guarded<float>& a, const Guarded<std::uint16_t>& b) {
  const std::size_t dim = a.size();
  std::vector<float> decoded(dim);
  (simd::kScalarKernels.*format.decode)(b.data(), dim, decoded.data());
  CHECK_EQ(bits((table.*format.dot)(a.data(), b.data(), dim)), bits(simd::kScalarKernels.dot_f64(a.data(), decoded.data(), dim)));
  CHECK_EQ(bits((table.*format.squared_distance)(a.data(), b.data(), dim)),
           bits(simd::kScalarKernels.squared_distance_f64(a.data(), decoded.data(), dim)));
}

}  // namespace

TEST(kernels_half_decode_every_word) {
  for_each_format([](const simd::Kernels& table, const Format& format) {
    std::vector<std::uint16_t> words(65536);
    for (std::size_t i = 0; i < words.size(); ++i) words[i] = static_cast<std::uint16_t>(i);
    std::vector<float> values(words.size());
    (table.*format.decode)(words.data(), words.size(), values.data());
    for (const std::uint16_t word : words) {
      const std::uint16_t unsigned_word = word & 0x7fff;
      if (unsigned_word > format.infinity()) {
        CHECK(std::isnan(values[word]));
      } else if (unsigned_word == format.infinity()) {
        CHECK_EQ(values[word], word == unsigned_word ? kInfinity : -kInfinity);
      } else {
        CHECK_EQ(bits(static_cast<double>(values[word])), bits(value_of(format, word)));
      }
    }
    // And back: what is stored is never rounded again.
    std::vector<std::uint16_t> again(words.size());
    (table.*format.encode)(values.data(), values.size(), again.data());
    for (const std::uint16_t word : words) {
      if ((word & 0x7fff) <= format.infinity()) CHECK_EQ(again[word], word);
    }
  });
}

TEST(kernels_half_encode_rounds_to_nearest_even) {
  for_each_format([](const simd::Kernels& table, const Format& format) {
    // Between each two neighbours, the last of which is infinity: the tie, and one step of float32 to either side of it.
    std::vector<float> values;
    for (std::uint16_t word = 0; word < format.infinity(); ++word) {
      const double step = value_of(format, word + 1) - value_of(format, word);
      const double middle = value_of(format, word) + step / 2;
      const auto tie = static_cast<float>(middle);
      CHECK_EQ(bits(static_cast<double>(tie)), bits(middle));
      for (const float value : {static_cast<float>(value_of(format, word)), tie, std::nextafter(tie, 0.0f), std::nextafter(tie, kInfinity)}) {
        values.push_back(value);
        values.push_back(-value);
      }
    }
    for (const float value : {FLT_TRUE_MIN, FLT_MIN, std::nextafter(FLT_MIN, 0.0f), FLT_MAX, kInfinity, 65504.0f, 65519.996f, 65520.0f}) {
      values.push_back(value);
      values.push_back(-value);
    }
    check_encoding(table, format, values);
  });
}

TEST(kernels_half_encode_any_float) {
  for_each_format([](const simd::Kernels& table, const Format& format) {
    Random random(11);
    std::vector<float> values;
    std::vector<float> nans;
    for (int i = 0; i < 100000; ++i) {
      const auto word = static_cast<std::uint32_t>(random.integer(INT32_MIN, INT32_MAX));
      const auto value = std::bit_cast<float>(word);
      (std::isnan(value) ? nans : values).push_back(value);
      values.push_back(std::ldexp(random.normal(), random.integer(-30, 18)));
    }
    check_encoding(table, format, values);
    for (const std::uint32_t word : {0x7f800001u, 0xff800001u, 0x7fffffffu, 0xffffffffu, 0x7fc00000u}) {
      nans.push_back(std::bit_cast<float>(word));
    }
    std::vector<std::uint16_t> words(nans.size());
    (table.*format.encode)(nans.data(), nans.size(), words.data());
    for (const std::uint16_t word : words) CHECK((word & 0x7fff) > format.infinity());
  });
}

TEST(kernels_half_conversions_of_every_length) {
  for_each_format([](const simd::Kernels& table, const Format& format) {
    Random random(12);
    for (std::size_t count = 0; count <= 129; ++count) {
      for (const std::size_t misalignment : {0, 1, 3, 7, 15}) {
        Guarded<std::uint16_t> words(count, misalignment);
        Guarded<float> values(count, 15 - misalignment);
        fill_words(words, format, random);
        (table.*format.decode)(words.data(), count, values.data());
        CHECK(values.is_intact());
        Guarded<std::uint16_t> again(count, 15 - misalignment);
        (table.*format.encode)(values.data(), count, again.data());
        CHECK(again.is_intact());
        for (std::size_t i = 0; i < count; ++i) {
          CHECK_EQ(static_cast<double>(values[i]), value_of(format, words[i]));
          CHECK_EQ(again[i], words[i]);
        }
      }
    }
  });
}

TEST(kernels_half_exact_pass_has_the_bits_of_the_decoded_row) {
  for_each_format([](const simd::Kernels& table, const Format& format) {
    Random random(13);
    std::vector<std::size_t> dims = {0, 255, 384, 768, 1000};
    for (std::size_t dim = 1; dim <= 129; ++dim) dims.push_back(dim);
    for (const std::size_t dim : dims) {
      Guarded<float> a(dim);
      Guarded<std::uint16_t> b(dim);
      for (int repeat = 0; repeat < 4; ++repeat) {
        for (std::size_t i = 0; i < dim; ++i) a[i] = std::ldexp(random.normal(), repeat < 2 ? 0 : random.integer(-140, 120));
        fill_words(b, format, random);
        if (repeat % 2 == 1) {  // denormals of the format, of both signs
          for (std::size_t i = 0; i < dim; ++i) b[i] &= static_cast<std::uint16_t>(0x8000 | ((1 << format.mantissa_bits) - 1));
        }
        check_exact_pass(table, format, a, b);
      }
    }
  });
}

TEST(kernels_half_exact_pass_takes_misaligned_rows) {
  for_each_format([](const simd::Kernels& table, const Format& format) {
    Random random(14);
    for (std::size_t misalignment = 0; misalignment < 16; ++misalignment) {
      for (const std::size_t dim : {1, 17, 64, 100, 129}) {
        Guarded<float> a(dim, 15 - misalignment);
        Guarded<std::uint16_t> b(dim, misalignment);
        for (std::size_t i = 0; i < dim; ++i) a[i] = random.normal();
        fill_words(b, format, random);
        check_exact_pass(table, format, a, b);
      }
    }
  });
}

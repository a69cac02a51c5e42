// Unpacking of packed postings, in every table, against a model that takes bit by bit.
#include <vector>

#include "tests/guarded.h"
#include "tests/kernel_cases.h"

using namespace sightline;
using namespace sightline::testing;
using simd::kMaxPackedWidth;
using simd::kPackedSlack;
using simd::kPackedStep;

namespace {

constexpr std::size_t kCounts[] = {0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 126, 127, 128, 129, 1000};

// Ends with the slack, at the inaccessible page.
void pack(const std::vector<std::uint16_t>& values, std::uint32_t width, Guarded<std::uint8_t>& bytes) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    for (std::uint32_t bit = 0; bit < width; ++bit) {
      const std::size_t at = i * width + bit;
      bytes[at / 8] = static_cast<std::uint8_t>(bytes[at / 8] | (values[i] >> bit & 1) << (at % 8));
    }
  }
}

template <typename Test>
void for_each_case(Random& random, Test test) {
  for (std::uint32_t width = 0; width <= kMaxPackedWidth; ++width) {
    for (const std::size_t count : kCounts) {
      const int greatest = (1 << width) - 1;
      for (const int least : {0, greatest}) {  // any values, and the greatest alone
        std::vector<std::uint16_t> values(count);
        for (std::uint16_t& value : values) value = static_cast<std::uint16_t>(random.integer(least, greatest));
        Guarded<std::uint8_t> bytes((count * width + 7) / 8 + kPackedSlack);
        // What follows the values must not matter.
        for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = i < (count * width + 7) / 8 ? 0 : 0xFF;
        pack(values, width, bytes);
        test(values, width, bytes);
      }
    }
  }
}

std::size_t room(std::size_t count) { return (count + kPackedStep - 1) / kPackedStep * kPackedStep; }

}  // namespace

TEST(kernels_unpack_u16) {
  for_each_table([](const simd::Kernels& table) {
    Random random(5);
    for_each_case(random, [&](const std::vector<std::uint16_t>& values, std::uint32_t width, Guarded<std::uint8_t>& bytes) {
      for (const std::size_t misalignment : {0UL, 1UL}) {
        Guarded<std::uint16_t> out(room(values.size()), misalignment);
        table.unpack_u16(bytes.data(), values.size(), width, out.data());
        for (std::size_t i = 0; i < values.size(); ++i) CHECK_EQ(out[i], values[i]);
        CHECK(out.is_intact());
      }
    });
  });
}

TEST(kernels_unpack_ascending_u16) {
  for_each_table([](const simd::Kernels& table) {
    Random random(6);
    for_each_case(random, [&](const std::vector<std::uint16_t>& values, std::uint32_t width, Guarded<std::uint8_t>& bytes) {
      for (const int first : {0, 1, 12345, 65535}) {
        Guarded<std::uint16_t> out(room(values.size()));
        table.unpack_ascending_u16(bytes.data(), values.size(), width, static_cast<std::uint16_t>(first), out.data());
        auto expected = static_cast<std::uint32_t>(first);
        for (std::size_t i = 0; i < values.size(); ++i) {
          expected += values[i] + 1U;
          CHECK_EQ(out[i], static_cast<std::uint16_t>(expected));  // modulo 2^16
        }
        CHECK(out.is_intact());
      }
    });
  });
}

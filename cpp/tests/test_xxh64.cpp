// Values from the reference implementation (xxHash 0.8): published ones, and every path through the tail with two seeds.
#include <cstdint>
#include <cstring>
#include <vector>

#include "storage/xxh64.h"
#include "tests/check.h"

using sightline::storage::xxh64;

namespace {

std::uint64_t hash_text(const char* text) { return xxh64(text, std::strlen(text)); }

struct Vector {
  std::size_t size;
  std::uint64_t unseeded;
  std::uint64_t seeded;  // with 2654435761
};

constexpr Vector kVectors[] = {
    {1, 0x8A4127811B21E730ULL, 0x211AE13247CE135FULL},   {3, 0xB6E6C910C2FD373AULL, 0x0CCDB2C7C2850613ULL},
    {4, 0x22EDA2CF6AF4C124ULL, 0x446BE1F3228ED3C3ULL},   {7, 0x34084D91A233A751ULL, 0x5410E6030DAF84B3ULL},
    {8, 0xC6F1803A5E0B3222ULL, 0xB872C2FB02E71655ULL},   {12, 0x9178B724DCE384C0ULL, 0x026ECA0E444827D8ULL},
    {15, 0x514C6F58D37CE6F1ULL, 0x03A2931C2F195CE5ULL},  {31, 0x6AB1C40E29F50073ULL, 0xBB6D29B38190A8FFULL},
    {32, 0x5A0756FBE9ECD3D1ULL, 0x0518CC93BC88A896ULL},  {33, 0xDC50CDC37BB9C183ULL, 0x157CE0E9C56B5988ULL},
    {63, 0x10DD94885C71894AULL, 0x20AB6C1BAD83813FULL},  {64, 0x90083DA9CDB9D795ULL, 0xA2FE2536872FCB89ULL},
    {100, 0xD248BFC5208B0B16ULL, 0xBCCF07579AF475CDULL}, {255, 0x5DA8139D7ACF3995ULL, 0x23D5F0BE1CF55F03ULL},
};

}  // namespace

TEST(xxh64_of_published_texts) {
  CHECK_EQ(xxh64(nullptr, 0), 0xEF46DB3751D8E999ULL);
  CHECK_EQ(xxh64(nullptr, 0, 0x9E3779B1), 0xAC75FDA2929B17EFULL);
  CHECK_EQ(hash_text("a"), 0xD24EC4F1A98C6E5BULL);
  CHECK_EQ(hash_text("abc"), 0x44BC2CF5AD770999ULL);
  CHECK_EQ(hash_text("Nobody inspects the spammish repetition"), 0xFBCEA83C8A378BF1ULL);
}

TEST(xxh64_of_every_tail_at_every_alignment) {
  for (const Vector& vector : kVectors) {
    for (std::size_t misalignment = 0; misalignment < 8; ++misalignment) {
      std::vector<unsigned char> bytes(misalignment + vector.size);
      for (std::size_t i = 0; i < vector.size; ++i) bytes[misalignment + i] = static_cast<unsigned char>(7 * i + 1);
      CHECK_EQ(xxh64(bytes.data() + misalignment, vector.size), vector.unseeded);
      CHECK_EQ(xxh64(bytes.data() + misalignment, vector.size, 2654435761U), vector.seeded);
    }
  }
}

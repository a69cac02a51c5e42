// Metadata columns made of JSON: what they hold, and that no text, however broken, does more than be refused.
// tests/test_columns.py compares them with the columns of Python's own objects.
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "metadata/json_columns.h"
#include "tests/check.h"

using namespace sightline;
using metadata::Field;
using metadata::JsonColumns;
using metadata::Kind;

namespace {

const metadata::Stream& stream(const std::array<metadata::Stream, metadata::kKindCount>& streams, Kind kind) {
  return streams[static_cast<std::size_t>(kind)];
}

const Field* find(JsonColumns& columns, std::string_view path) {
  for (const Field& field : columns.fields()) {
    if (field.path == path) return &field;
  }
  return nullptr;
}

bool is_refused(std::string_view text) {
  JsonColumns columns;
  try {
    columns.add(text);
  } catch (const Error& error) {
    return error.kind() == ErrorKind::kInvalidInput;
  }
  return false;
}

}  // namespace

TEST(json_columns_hold_the_values) {
  JsonColumns columns;
  columns.add(R"({"n": 1, "s": "a", "l": ["x", 2, null, {"deep": 1}, [3]], "o": {"p": true, "q": {"r": "\u00e9\ud83d\ude00"}}})");
  columns.add("");
  columns.add(R"({"n":-9007199254740993,"s":"a","z":null})");
  columns.add(R"({"n":2.5e0,"s":"b"})");
  CHECK_EQ(columns.row_count(), std::size_t{4});
  CHECK(find(columns, "z") == nullptr);
  const Field* const n = find(columns, "n");
  CHECK(n != nullptr && n->present == (std::vector<std::int32_t>{0, 2, 3}));
  const metadata::Stream& numbers = stream(n->scalars, Kind::kNumber);
  CHECK(numbers.high == (std::vector<double>{1, -9007199254740992.0, 2.5}));
  CHECK(numbers.low == (std::vector<double>{0, -1, 0}));
  const metadata::Stream& strings = stream(find(columns, "s")->scalars, Kind::kString);
  CHECK(strings.codes == (std::vector<std::int32_t>{0, 0, 1}));
  CHECK(strings.strings == (std::vector<std::string>{"a", "b"}));
  const Field* const l = find(columns, "l");
  CHECK_EQ(stream(l->elements, Kind::kObject).rows.size(), std::size_t{2});
  CHECK_EQ(stream(l->elements, Kind::kNumber).high.at(0), 2.0);
  CHECK(stream(find(columns, "o")->scalars, Kind::kObject).rows == (std::vector<std::int32_t>{0}));
  CHECK_EQ(int{stream(find(columns, "o.p")->scalars, Kind::kBoolean).booleans.at(0)}, 1);
  CHECK_EQ(stream(find(columns, "o.q.r")->scalars, Kind::kString).strings.at(0), std::string("\xC3\xA9\xF0\x9F\x98\x80"));
  CHECK(find(columns, "l.deep") == nullptr);
}

TEST(json_columns_refuse_what_is_no_object) {
  for (const char* const text : {"1", "[]", "{", "{\"a\":}", "{\"a\":1", "{\"a\":1}}", "{\"a\":\"\\u12\"}", "{\"a\":18446744073709551617}",
                                 "{\"a\":1e999}", "{\"a\":\"", "{\"a\":-}", "{\"a\":[1,]}", "{\"a\":nul}"}) {
    CHECK(is_refused(text));
  }
  std::string nested;
  for (int i = 0; i < 5000; ++i) nested += "{\"a\":";
  CHECK(is_refused(nested));
  std::string list = "{\"a\":";
  for (int i = 0; i < 5000; ++i) list += "[";
  CHECK(is_refused(list));
}

TEST(json_columns_survive_any_bytes) {
  const std::string good =
      R"({"title":"a \"quoted\" \u00e9 word","n":[1,2.5e-3,-7,18446744073709551616],"o":{"p":{"q":[true,false,null,"x"]},"r":"2024-01-01"}})";
  std::mt19937 random(5);
  std::size_t taken = 0;
  for (int round = 0; round < 40000; ++round) {
    std::string text = good;
    for (std::size_t change = 0; change < 1 + random() % 4; ++change) {
      const std::size_t at = random() % text.size();
      switch (random() % 4) {
        case 0:
          text[at] = static_cast<char>(random());
          break;
        case 1:
          text.erase(at, 1 + random() % 8);
          break;
        case 2:
          text.insert(at, 1 + random() % 3, "{}[]\",:\\u019-eE.tfn "[random() % 20]);
          break;
        default:
          text.resize(at);
          break;
      }
      if (text.empty()) break;
    }
    // A copy of its very length, so that a read beyond the end is one beyond the memory.
    const std::vector<char> exact(text.begin(), text.end());
    JsonColumns columns;
    try {
      columns.add(std::string_view(exact.data(), exact.size()));
      ++taken;
    } catch (const Error&) {
    }
  }
  CHECK(taken > 100);
}

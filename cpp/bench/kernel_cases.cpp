// One case for each entry of the kernel table in use. A call works on 16 rows of 384 dimensions (24 KB of float32), or
// on one block of 64 coded rows (24 KB), so that the loop around a kernel costs nothing beside it.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>

#include "bench/case.h"
#include "core/aligned.h"
#include "simd/dispatch.h"

namespace sightline::bench {
namespace {

constexpr std::size_t kDim = 384;
constexpr std::size_t kRows = 16;
constexpr std::size_t kValues = kDim * kRows;
constexpr std::size_t kOctets = kDim / 8;
constexpr std::size_t kPlaneBytes = kOctets * simd::kOctetBytes;
constexpr std::size_t kSums = 8192;  // of lexical impacts: half a window
constexpr std::size_t kKeys = 112;  // about as many hits as a search for the best 100 sorts

// Everything that kernels read and write.
struct Data {
  AlignedBuffer<float> query{kDim}, rows{kValues}, decoded{kValues};
  AlignedBuffer<std::uint16_t> half{kValues}, brain{kValues}, encoded{kValues};
  AlignedBuffer<std::uint8_t> codes{kValues}, high{kPlaneBytes}, low{kPlaneBytes}, block{2 * kPlaneBytes};
  AlignedBuffer<std::int8_t> queries{kDim * simd::kMaxTileWidth};
  AlignedBuffer<float> scale{simd::kBlockRows}, residual{simd::kBlockRows}, bias{simd::kBlockRows};
  AlignedBuffer<float> upper{simd::kBlockRows * simd::kMaxTileWidth};
  AlignedBuffer<std::uint64_t> survivors{simd::kMaxTileWidth};
  AlignedBuffer<simd::CoarseQuery> constants{simd::kMaxTileWidth};
  AlignedBuffer<std::uint16_t> sums{kSums}, fresh_sums{kSums}, maxima{kSums / simd::kStrideGroup * simd::kStride};
  AlignedBuffer<simd::TakenValue> taken{kSums};
  AlignedBuffer<std::int32_t> keys{kKeys}, less{kKeys};

  explicit Data(const simd::Kernels& k) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (std::size_t i = 0; i < kDim; ++i) query[i] = normal(random);
    for (std::size_t i = 0; i < kValues; ++i) rows[i] = normal(random);
    k.f32_to_f16(rows.data(), kValues, half.data());
    k.f32_to_bf16(rows.data(), kValues, brain.data());
    for (std::size_t i = 0; i < kPlaneBytes; ++i) {
      high[i] = static_cast<std::uint8_t>(random());
      low[i] = static_cast<std::uint8_t>(random());
    }
    k.unpack_block(high.data(), low.data(), kOctets, block.data());
    const auto range = static_cast<std::uint32_t>(2 * k.max_query_code + 1);
    for (std::size_t i = 0; i < queries.size(); ++i) {
      queries[i] = static_cast<std::int8_t>(static_cast<std::int32_t>(random() % range) - k.max_query_code);
    }
    for (std::size_t r = 0; r < simd::kBlockRows; ++r) {
      scale[r] = 0.01F;
      residual[r] = 0.1F;
      bias[r] = 0;
    }
    // A threshold that no bound reaches, as for nearly all blocks of a search.
    for (std::size_t q = 0; q < simd::kMaxTileWidth; ++q) constants[q] = {0, 1e-4F, 1e-4F, 0, 1e30F};
    for (std::size_t i = 0; i < kSums; ++i) fresh_sums[i] = static_cast<std::uint16_t>(random() % 1000);
    std::memcpy(sums.data(), fresh_sums.data(), fresh_sums.size_bytes());
    for (std::size_t i = 0; i < kKeys; ++i) keys[i] = static_cast<std::int32_t>(random());
  }

  simd::CoarseRows coarse_rows() const { return {scale.data(), residual.data(), bias.data()}; }
};

// Adds a case that calls work(table, data).
template <typename Work>
void add(std::vector<Definition>& list, const char* what, double bytes, double operations, const char* unit,
         Work work) {
  const simd::Kernels& k = simd::kernels();
  list.push_back({std::string(k.name) + "/" + what, [=, &k] {
                    const auto data = std::make_shared<Data>(k);
                    return Case{Reference::kFloats, bytes, operations, unit, [=, &k] { work(k, *data); }};
                  }});
}

// Calls body(first value) for each row.
template <typename Body>
void each_row(Body body) {
  for (std::size_t first = 0; first < kValues; first += kDim) body(first);
}

void add_exact(std::vector<Definition>& list) {
  constexpr double kFloatBytes = 4.0 * kValues;
  constexpr double kHalfBytes = 2.0 * kValues;
  const auto exact = [&](const char* what, auto kernel) {
    add(list, what, kFloatBytes, kValues, "multiply-adds", [=](const simd::Kernels& k, Data& d) {
      each_row([&](std::size_t at) { keep((k.*kernel)(d.query.data(), d.rows.data() + at, kDim)); });
    });
  };
  const auto exact_16 = [&](const char* what, auto kernel, auto rows) {
    add(list, what, kHalfBytes, kValues, "multiply-adds", [=](const simd::Kernels& k, Data& d) {
      each_row([&](std::size_t at) { keep((k.*kernel)(d.query.data(), (d.*rows).data() + at, kDim)); });
    });
  };
  exact("dot_f64", &simd::Kernels::dot_f64);
  exact("squared_distance_f64", &simd::Kernels::squared_distance_f64);
  exact_16("dot_f64_f16", &simd::Kernels::dot_f64_f16, &Data::half);
  exact_16("dot_f64_bf16", &simd::Kernels::dot_f64_bf16, &Data::brain);
  exact_16("squared_distance_f64_f16", &simd::Kernels::squared_distance_f64_f16, &Data::half);
  exact_16("squared_distance_f64_bf16", &simd::Kernels::squared_distance_f64_bf16, &Data::brain);
}

void add_building(std::vector<Definition>& list) {
  constexpr double kBothBytes = 6.0 * kValues;  // read as one type, written as another
  const auto to_16 = [&](const char* what, auto kernel) {
    add(list, what, kBothBytes, kValues, "values", [=](const simd::Kernels& k, Data& d) {
      (k.*kernel)(d.rows.data(), kValues, d.encoded.data());
    });
  };
  const auto from_16 = [&](const char* what, auto kernel, auto values) {
    add(list, what, kBothBytes, kValues, "values", [=](const simd::Kernels& k, Data& d) {
      (k.*kernel)((d.*values).data(), kValues, d.decoded.data());
    });
  };
  to_16("f32_to_f16", &simd::Kernels::f32_to_f16);
  to_16("f32_to_bf16", &simd::Kernels::f32_to_bf16);
  from_16("f16_to_f32", &simd::Kernels::f16_to_f32, &Data::half);
  from_16("bf16_to_f32", &simd::Kernels::bf16_to_f32, &Data::brain);
  add(list, "max_abs_f32", 4.0 * kValues, kValues, "values", [](const simd::Kernels& k, Data& d) {
    each_row([&](std::size_t at) { keep(k.max_abs_f32(d.rows.data() + at, kDim)); });
  });
  add(list, "encode_row", 5.0 * kValues, kValues, "values", [](const simd::Kernels& k, Data& d) {
    each_row([&](std::size_t at) {
      double residual[2];
      k.encode_row(d.rows.data() + at, kDim, 0.05, 30.0F, 1.0F / 600, d.codes.data() + at, residual);
      keep(residual);
    });
  });
}

// The kernels of the coarse pass, for one query and for a full tile.
void add_coarse(std::vector<Definition>& list) {
  const simd::Kernels& table = simd::kernels();
  add(list, "unpack_block", 4.0 * kPlaneBytes, 2.0 * kPlaneBytes, "codes", [](const simd::Kernels& k, Data& d) {
    k.unpack_block(d.high.data(), d.low.data(), kOctets, d.block.data());
  });
  for (const std::size_t width : {std::size_t{1}, table.tile_width}) {
    const std::string suffix = width == 1 ? "" : "_tile";
    const double products = static_cast<double>(width * kDim * simd::kBlockRows);
    add(list, ("scan_block" + suffix).c_str(), 2.0 * kPlaneBytes, products, "multiply-adds",
        [=](const simd::Kernels& k, Data& d) {
          k.scan_block(d.block.data(), kOctets, d.coarse_rows(), d.queries.data(), d.constants.data(), width,
                       d.survivors.data(), d.upper.data());
        });
    add(list, ("scan_block_high" + suffix).c_str(), kPlaneBytes, products, "multiply-adds",
        [=](const simd::Kernels& k, Data& d) {
          k.scan_block_high(d.high.data(), kOctets, d.coarse_rows(), d.queries.data(), d.constants.data(), width,
                            d.survivors.data(), d.upper.data());
        });
    if (table.scan_block_planes == nullptr) continue;
    add(list, ("scan_block_planes" + suffix).c_str(), 2.0 * kPlaneBytes, products, "multiply-adds",
        [=](const simd::Kernels& k, Data& d) {
          k.scan_block_planes(d.high.data(), d.low.data(), kOctets, d.coarse_rows(), d.queries.data(),
                              d.constants.data(), width, d.survivors.data(), d.upper.data());
        });
  }
}

void add_single_rows(std::vector<Definition>& list) {
  if (simd::kernels().dot_row == nullptr) return;
  add(list, "dot_row", 2.0 * kPlaneBytes, static_cast<double>(kDim * simd::kBlockRows), "multiply-adds",
      [](const simd::Kernels& k, Data& d) {
        for (std::size_t r = 0; r < simd::kBlockRows; ++r) keep(k.dot_row(d.high.data(), d.low.data(), kOctets, r, d.queries.data()));
      });
}

void add_impacts(std::vector<Definition>& list) {
  add(list, "strided_maxima_u16", 2.0 * kSums, kSums, "values", [](const simd::Kernels& k, Data& d) {
    k.strided_maxima_u16(d.fresh_sums.data(), kSums / simd::kStrideGroup, d.maxima.data());
  });
  // The kernel clears what it reads, so each call copies fresh sums first: counted as bytes, about a tenth of the time.
  add(list, "take_at_least_u16", 8.0 * kSums, kSums, "values", [](const simd::Kernels& k, Data& d) {
    std::memcpy(d.sums.data(), d.fresh_sums.data(), d.fresh_sums.size_bytes());
    keep(k.take_at_least_u16(d.sums.data(), kSums, 990, d.taken.data()));
  });
  add(list, "count_less_i32", 8.0 * kKeys, kKeys * kKeys, "comparisons",
      [](const simd::Kernels& k, Data& d) { k.count_less_i32(d.keys.data(), kKeys, d.less.data()); });
  // A block of postings at a time, as searches unpack them: gaps of 7 bits, frequencies of 3.
  constexpr std::size_t kBlock = 128;
  constexpr std::size_t kBlocks = kSums / kBlock;
  add(list, "unpack_u16", 3.0 / 8 * kSums + 2.0 * kSums, kSums, "values", [](const simd::Kernels& k, Data& d) {
    for (std::size_t b = 0; b < kBlocks; ++b) k.unpack_u16(d.high.data() + 48 * b, kBlock, 3, d.sums.data() + kBlock * b);
  });
  add(list, "unpack_ascending_u16", 7.0 / 8 * kSums + 2.0 * kSums, kSums, "values", [](const simd::Kernels& k, Data& d) {
    for (std::size_t b = 0; b < kBlocks; ++b) {
      k.unpack_ascending_u16(d.high.data() + 112 * b, kBlock, 7, 0, d.sums.data() + kBlock * b);
    }
  });
  constexpr std::size_t kRounds = 64;
  const auto operations = static_cast<double>(simd::kernels().probe_operations(kRounds));
  add(list, "probe_operations", 0, operations, "operations",
      [](const simd::Kernels& k, Data&) { keep(k.probe_operations(kRounds)); });
}

}  // namespace

std::vector<Definition> kernel_cases() {
  std::vector<Definition> list;
  add_exact(list);
  add_building(list);
  add_coarse(list);
  add_single_rows(list);
  add_impacts(list);
  return list;
}

}  // namespace sightline::bench

// The contract of the SIMD kernels: a table of function pointers, one table an instruction set.
//
// This header, fixed-width integers and intrinsics are all that a kernel file may include. A wide instruction in an inline
// function of a shared header could be picked by the linker for every caller and crash an older CPU.
//
// Every kernel is noexcept, cannot fail, and is safe for concurrent calls. Pointers need no alignment unless stated.
//
// Coarse codes. A row x is stored as x ~ scale * (u - 128), u one unsigned byte a dimension, in two planes of nibbles:
// the high plane alone reads as x ~ scale * (16 * (u >> 4) - 120.5), the centre of the 16 values it may stand for.
// Rows come in blocks of 64. Dimensions are padded to a multiple of 8 and taken in octets; a plane holds, for each octet,
// 64 rows x 4 bytes (256 bytes an octet):
//     byte j (0..3) of row r in octet o:  low nibble = dimension 8o + j,  high nibble = dimension 8o + 4 + j.
// "Unpacked" means whole bytes in quads of 4 dimensions: 64 rows x 4 bytes a quad, two quads an octet. So one 512-bit
// register holds 16 rows x 4 dimensions, one integer dot-product instruction advances 16 rows, and no horizontal sum is needed.
// Queries are signed bytes, interleaved by tile: for each quad, `width` queries x 4 bytes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sightline::simd {

inline constexpr std::size_t kBlockRows = 64;
inline constexpr std::size_t kOctetBytes = 256;   // of one plane: 64 rows x 4 bytes
inline constexpr std::size_t kMaxTileWidth = 8;   // queries a tile, at most
inline constexpr std::size_t kRowCodes = 32;      // codes of a query are padded to a multiple for dot_row
inline constexpr std::size_t kStride = 32;        // values between neighbours of a strided maximum
inline constexpr std::size_t kStrideGroup = 1024; // values that share kStride maxima
inline constexpr std::size_t kRankStep = 16;      // count_less_i32 takes multiples of so many keys
inline constexpr std::uint32_t kMaxPackedWidth = 14;
inline constexpr std::size_t kPackedStep = 32;    // unpacked values are written in groups of so many
inline constexpr std::size_t kPackedSlack = 64;   // bytes that are read past the last packed value
inline constexpr std::size_t kMaxDim = 32768;     // |dot| <= 255 * 127 * 32768 < 2^31

// What the coarse bound needs of one query; see dense/bound.h for the derivation.
struct CoarseQuery {
  std::int32_t offset;  // added to the integer dot: -128 * sum of codes, or -241 * sum for the high plane
  float dot_factor;     // times row scale times integer dot
  float residual_factor;  // times the row's residual norm
  float bias_factor;      // times the row's bias
  float threshold;        // rows whose upper bound is below it are dropped; NaN bounds are kept
};

// Per-row constants of one block, 64 of each.
struct CoarseRows {
  const float* scale;
  const float* residual;
  const float* bias;
};

struct TakenValue {
  std::uint16_t value;
  std::uint16_t position;
};

struct Kernels {
  const char* name;

  // --- exact pass, float64 -------------------------------------------------------------------------------------------
  // Products of float32 values are exact in float64; they are summed in 16 lanes (dimension modulo 16), the lanes then
  // in one fixed tree. So every table returns the same bits. Relative error <= dim * 2^-53 of the sum of absolute products.
  double (*dot_f64)(const float* a, const float* b, std::size_t dim) noexcept;
  double (*squared_distance_f64)(const float* a, const float* b, std::size_t dim) noexcept;
  // The same where b is a row of 16-bit values: float16 (IEEE 754 binary16) or bfloat16 (the upper half of a float32). Both
  // are exact in float32; the result has the bits of the float32 kernel over the decoded row.
  double (*dot_f64_f16)(const float* a, const std::uint16_t* b, std::size_t dim) noexcept;
  double (*dot_f64_bf16)(const float* a, const std::uint16_t* b, std::size_t dim) noexcept;
  double (*squared_distance_f64_f16)(const float* a, const std::uint16_t* b, std::size_t dim) noexcept;
  double (*squared_distance_f64_bf16)(const float* a, const std::uint16_t* b, std::size_t dim) noexcept;

  // --- converting ----------------------------------------------------------------------------------------------------
  // To 16 bits: to nearest, ties to even, denormals included; what is past the range becomes infinity; a NaN stays a NaN,
  // whose bits may differ between tables. Precondition: the rounding mode of the thread is to nearest, as everywhere.
  void (*f32_to_f16)(const float* values, std::size_t count, std::uint16_t* out) noexcept;
  void (*f32_to_bf16)(const float* values, std::size_t count, std::uint16_t* out) noexcept;
  // Exact.
  void (*f16_to_f32)(const std::uint16_t* values, std::size_t count, float* out) noexcept;
  void (*bf16_to_f32)(const std::uint16_t* values, std::size_t count, float* out) noexcept;

  // --- building ------------------------------------------------------------------------------------------------------
  // The greatest absolute value; NaN or infinity if any value is not finite.
  float (*max_abs_f32)(const float* row, std::size_t dim) noexcept;
  // codes[i] = clamp(round(row[i] * inverse_scale), -127, 127) + 128 for i < dim. Returns two sums of squares:
  // residual[0] of row[i] * norm_factor - scale * (u - 128), residual[1] of row[i] * norm_factor - scale * (16 * (u >> 4) - 120.5),
  // each computed in float64: every difference is off by at most 2^-53 of |row[i] * norm_factor| (which cancellation can make
  // large beside the difference itself), the sums then by a relative (dim + 8) * 2^-53.
  // Precondition: inverse_scale is finite; any finite value yields valid codes, a good one yields small residuals.
  void (*encode_row)(const float* row, std::size_t dim, double norm_factor, float inverse_scale, float scale,
                     std::uint8_t* codes, double residual[2]) noexcept;

  // --- coarse pass ---------------------------------------------------------------------------------------------------
  // Query codes must lie in [-max_query_code, max_query_code]: 127, or 64 where pairs of products are summed in 16 bits
  // (255 * 64 * 2 = 32640 < 2^15).
  std::int32_t max_query_code;
  std::size_t tile_width;  // queries a tile at which scan_block is fastest; it takes any width from 1 to this

  // Both planes of one block to unpacked bytes: octets * 512 bytes out, 64-byte aligned.
  void (*unpack_block)(const std::uint8_t* high, const std::uint8_t* low, std::size_t octets, std::uint8_t* out) noexcept;

  // For each query q of the tile and each row r of the block:
  //     upper = dot_factor * (scale[r] * float(dot(q, r) + offset)) + residual_factor * residual[r] + bias_factor * bias[r]
  // survivors[q] gets bit r where not (upper < threshold); upper[64 * q + r] is written for all r if survivors[q] is not 0.
  // The integer dot is exact. The float expression is evaluated in float32, each operation rounded to nearest (a fused
  // multiply-add rounds once); relative error <= 4 * 2^-24 of the sum of the absolute values of its terms.
  // `block` is unpacked, 64-byte aligned, 2 * octets quads; `queries` holds 2 * octets quads.
  void (*scan_block)(const std::uint8_t* block, std::size_t octets, const CoarseRows& rows, const std::int8_t* queries,
                     const CoarseQuery* constants, std::size_t width, std::uint64_t* survivors, float* upper) noexcept;

  // The same from the planes as they lie in memory, unpacked in registers by every tile. Measured with AVX-512 at 1 to 1000
  // queries, that is faster than writing an unpacked copy for all tiles to share, 1.7 times for one query, 1.25 times for 1000;
  // with AVX2 for one query. Null where a table does not have it: unpack first.
  void (*scan_block_planes)(const std::uint8_t* high, const std::uint8_t* low, std::size_t octets, const CoarseRows& rows,
                            const std::int8_t* queries, const CoarseQuery* constants, std::size_t width,
                            std::uint64_t* survivors, float* upper) noexcept;
  std::size_t most_from_planes;  // up to so many queries should be answered by it

  // The same over the high plane alone: dot(q, r) is 32 * (sum of query code times high nibble), so offset is -241 * sum.
  // `high` is one block's plane, octets * 256 bytes, 64-byte aligned. |dot| <= 32 * 15 * 127 * 32768 < 2^31.
  void (*scan_block_high)(const std::uint8_t* high, std::size_t octets, const CoarseRows& rows, const std::int8_t* queries,
                          const CoarseQuery* constants, std::size_t width, std::uint64_t* survivors,
                          float* upper) noexcept;

  // The integer dot over both planes of one row of a block with one query: the sum of e * u. `query` holds the row's codes in
  // the order of dimensions, and zeros up to a multiple of kRowCodes.
  // For tables whose scan_block_high is so much faster than scan_block that any number of queries should read the high plane
  // first, and then the low one of single rows. Null in others: those with an instruction for dot products of bytes, for
  // which 4 bits are as dear as 8.
  std::int32_t (*dot_row)(const std::uint8_t* high, const std::uint8_t* low, std::size_t octets, std::size_t row,
                          const std::int8_t* query) noexcept;

  // --- sums of lexical impacts ---------------------------------------------------------------------------------------
  // maxima[32 g + j] = the greatest of values[1024 g + 32 i + j] over i = 0..31, for each group g < groups and j < 32.
  // Strided, so that no maximum across a register is needed. `values` and `maxima` are 64-byte aligned.
  void (*strided_maxima_u16)(const std::uint16_t* values, std::size_t groups, std::uint16_t* maxima) noexcept;

  // Writes each value >= least with its position, positions ascending, to `taken`, which has room for `count`; returns how
  // many. Sets all values to 0. `count` is a multiple of kStride and at most 65,536; `values` is 64-byte aligned.
  std::size_t (*take_at_least_u16)(std::uint16_t* values, std::size_t count, std::uint16_t least,
                                   TakenValue* taken) noexcept;

  // --- order of hits -------------------------------------------------------------------------------------------------
  // less[i] = how many of the keys are less than key i. `count` is a multiple of kRankStep; both are 64-byte aligned and do not
  // overlap.
  void (*count_less_i32)(const std::int32_t* keys, std::size_t count, std::int32_t* less) noexcept;

  // --- packed postings -----------------------------------------------------------------------------------------------
  // Values of `width` bits, at most kMaxPackedWidth, one after another: value i begins at bit i * width, and the bits of a
  // byte count from the lowest. Both kernels write `count` values, and without meaning up to the next multiple of
  // kPackedStep: `out` must have room for them. kPackedSlack bytes after the last value's must be readable.
  void (*unpack_u16)(const std::uint8_t* bits, std::size_t count, std::uint32_t width, std::uint16_t* out) noexcept;
  // out[i] = first + the sum of value j + 1 over j <= i, modulo 2^16: a strictly ascending list from its gaps.
  void (*unpack_ascending_u16)(const std::uint8_t* bits, std::size_t count, std::uint32_t width, std::uint16_t first,
                               std::uint16_t* out) noexcept;

  // --- measuring -----------------------------------------------------------------------------------------------------
  // Multiplies and adds bytes in registers by the sequence of instructions that scan_block_high has for it, without touching
  // memory; returns how many operations that was (a multiplication and an addition count as two). Benchmarks take it for the
  // limit of a search's first pass.
  std::uint64_t (*probe_operations)(std::size_t rounds) noexcept;
};

// One definition each, in the file of that name; only those compiled for this architecture exist.
extern const Kernels kScalarKernels;
#if defined(__x86_64__)
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;      // AVX-512 F, BW, DQ, VL without VNNI
extern const Kernels kAvx512VnniKernels;  // the same with VNNI
#elif defined(__aarch64__)
extern const Kernels kNeonKernels;
extern const Kernels kNeonDotprodKernels;  // with the SDOT/UDOT instructions of Armv8.2
#endif

}  // namespace sightline::simd

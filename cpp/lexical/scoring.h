// The BM25 family: one formula, used by search, score and explain, so that they agree to the last bit.
//
//   score(q, d) = round_to_float( base + sum over the distinct terms t of q that are in d, in query order, of w(t) * gain(t, d) )
//   w(t)        = count of t in q * idf(df, N)
//   gain(t, d)  = tf_component(tf, length) - absent
//   base        = sum over the distinct terms of q that any document has, in query order, of w(t) * absent
//
// `absent` is what bm25l and bm25+ give a term that a document lacks (0 for the others); bm25s counts it as well. Every
// input is an integer of the live collection or a parameter, and the order of operations is fixed, so a score never
// depends on segments or on how the collection came to be. Constant, safe from any thread.
//
// Source: Kamphuis, de Vries, Boytsov, Lin, "Which BM25 do you mean?", 2020; Lù, "BM25S", 2024 (arXiv 2407.03618), whose
// definitions of the variants these are.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

namespace sightline::lexical {

enum class Variant : std::uint32_t { kLucene = 0, kRobertson = 1, kAtire = 2, kBm25l = 3, kBm25Plus = 4 };
inline constexpr std::uint32_t kVariantCount = 5;

inline constexpr double kMaxParameter = 1e6;  // of k1 and delta: far beyond any use, and no product overflows

struct Parameters {
  Variant variant = Variant::kLucene;
  double k1 = 1.2;     // in [0, kMaxParameter]
  double b = 0.75;     // in [0, 1]
  double delta = 0.5;  // in [0, kMaxParameter]; bm25l and bm25+ only
  bool operator==(const Parameters&) const = default;

  bool valid() const noexcept {  // false for NaN too
    return static_cast<std::uint32_t>(variant) < kVariantCount && k1 >= 0 && k1 <= kMaxParameter && b >= 0 && b <= 1 &&
           delta >= 0 && delta <= kMaxParameter;
  }
};

struct CollectionStatistics {
  std::uint64_t document_count = 0;  // live documents, empty ones included
  std::uint64_t total_length = 0;    // their tokens
};

class Scorer {
 public:
  Scorer(const Parameters& parameters, const CollectionStatistics& statistics) noexcept
      : p_(parameters), document_count_(static_cast<double>(statistics.document_count)) {
    average_length_ = static_cast<double>(statistics.total_length) / std::max(document_count_, 1.0);
    switch (p_.variant) {
      case Variant::kBm25l: absent_ = bm25l(0.0); break;
      case Variant::kBm25Plus: absent_ = p_.delta; break;
      default: absent_ = 0.0;
    }
  }

  const Parameters& parameters() const noexcept { return p_; }
  double average_length() const noexcept { return average_length_; }
  double absent() const noexcept { return absent_; }

  // Precondition: 1 <= df <= N. Never negative.
  double idf(std::uint64_t df) const noexcept {
    const double n = document_count_;
    const auto f = static_cast<double>(df);
    switch (p_.variant) {
      case Variant::kRobertson: return std::log(std::max((n - f + 0.5) / (f + 0.5), 1.0));
      case Variant::kAtire: return std::log(n / f);
      case Variant::kBm25l: return std::log((n + 1.0) / (f + 0.5));
      case Variant::kBm25Plus: return std::log((n + 1.0) / f);
      case Variant::kLucene: break;
    }
    return std::log(1.0 + (n - f + 0.5) / (f + 0.5));
  }

  // Precondition: 1 <= tf <= length. Never negative, so a sum never falls as terms are added.
  double gain(std::uint32_t tf, std::uint32_t length) const noexcept { return gain_of_norm(tf, norm(length)); }
  // Its two steps: what depends on the document only, and the rest.
  double norm(double length) const noexcept { return 1.0 - p_.b + p_.b * length / average_length_; }
  double gain_of_norm(double frequency, double norm) const noexcept {
    switch (p_.variant) {
      case Variant::kAtire: return frequency * (p_.k1 + 1.0) / (frequency + p_.k1 * norm);
      case Variant::kBm25l: return std::max(bm25l(frequency / norm) - absent_, 0.0);
      case Variant::kBm25Plus: return (p_.k1 + 1.0) * frequency / (p_.k1 * norm + frequency);
      case Variant::kLucene:
      case Variant::kRobertson: break;
    }
    return plain_gain(frequency, norm);
  }

  // gain() of many, whose divisions then overlap. `gains` overlaps with nothing else.
  void gains(std::span<const double> frequencies, std::span<const double> lengths, double* gains) const noexcept {
    const Scorer scorer = *this;  // which no store changes
    // Asked outside of the loop, which for the usual variants then has no switch and is vectorised.
    const bool plain = p_.variant == Variant::kLucene || p_.variant == Variant::kRobertson;
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      const double norm = scorer.norm(lengths[i]);
      gains[i] = plain ? scorer.plain_gain(frequencies[i], norm) : scorer.gain_of_norm(frequencies[i], norm);
    }
  }

  // The same for a frequency that is normalised by length already, of BM25F. Precondition: frequency > 0.
  double gain_of(double frequency) const noexcept {
    switch (p_.variant) {
      case Variant::kAtire:
      case Variant::kBm25Plus: return (p_.k1 + 1.0) * frequency / (p_.k1 + frequency);
      case Variant::kBm25l: return std::max(bm25l(frequency) - absent_, 0.0);
      case Variant::kLucene:
      case Variant::kRobertson: break;
    }
    return frequency / (p_.k1 + frequency);
  }

 private:
  double plain_gain(double frequency, double norm) const noexcept { return frequency / (p_.k1 * norm + frequency); }
  double bm25l(double c) const noexcept {
    const double shifted = c + p_.delta;
    // k1 = delta = 0 at c = 0 would be 0 / 0; nothing found is worth nothing.
    return shifted == 0.0 ? 0.0 : (p_.k1 + 1.0) * shifted / (p_.k1 + shifted);
  }

  Parameters p_;
  double document_count_;
  double average_length_;
  double absent_ = 0.0;
};

}  // namespace sightline::lexical

// Texts to terms: words (word_reader.h), then whatever the resolver makes of each distinct word: a stem, nothing for a
// stop word. The resolver is a callback, so that this layer need not know that it is written in Python.
//
// Thread safety: all const members may be called concurrently. Texts are split in the thread pool; the resolver runs on
// the calling thread, outside the pool and without a lock held, for each batch that brings new words.
// The resolver gets at most kMaxWordsPerCall words at once, so that one written in Python lets others run in between.
// Memory: the cache of resolved words is bounded (kMaxCachedWords); it starts afresh when it is full.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lexical/word_reader.h"
#include "lexical/word_table.h"

namespace sightline::lexical {

// Consecutive documents as terms, numbered within `terms`.
struct AnalyzedDocuments {
  WordTable terms;
  std::vector<std::uint32_t> tokens;           // the terms of all documents, in text order
  std::vector<std::uint64_t> document_ends;    // where each document ends in `tokens`

  std::size_t document_count() const noexcept { return document_ends.size(); }
  std::span<const std::uint32_t> document(std::size_t i) const noexcept {
    const std::uint64_t begin = i == 0 ? 0 : document_ends[i - 1];
    return {tokens.data() + begin, tokens.data() + document_ends[i]};
  }
};

// The same documents in another order: the i-th of the result is the order[i]-th.
AnalyzedDocuments reordered(AnalyzedDocuments documents, std::span<const std::size_t> order);

// Where to cut texts of these sizes so that threads share them well: the end of each shard. At least one shard.
std::vector<std::size_t> shard_ends(std::span<const std::size_t> sizes_bytes);

// A query of more than one character of a script without spaces is its bigrams alone: they imply the single characters,
// which documents have for queries of one.
enum class TextKind { kDocument, kQuery };

class Analyzer {
 public:
  static constexpr std::size_t kMaxWordsPerCall = 4096;

  // Maps distinct words to terms, aligned with the words; an empty term drops the word.
  using Resolver = std::function<std::vector<std::string>(const std::vector<std::string_view>& words)>;

  explicit Analyzer(Resolver resolver, WordOptions options = {}) : resolver_(std::move(resolver)), options_(options) {}

  // Analyzes documents in order, cut into shards as `ends` says, in parallel. O(bytes). Throws what the resolver throws.
  std::vector<AnalyzedDocuments> analyze(std::span<const std::string_view> texts, std::span<const std::size_t> ends) const;
  // All texts as one shard, on the calling thread.
  AnalyzedDocuments analyze_together(std::span<const std::string_view> texts, TextKind kind) const;

  std::size_t cached_words() const;

 private:
  static constexpr std::size_t kMaxCachedWords = std::size_t{1} << 21;

  void resolve(std::vector<AnalyzedDocuments>& shards) const;
  std::vector<std::string> resolve_new(const WordTable& words) const;

  Resolver resolver_;
  WordOptions options_;
  mutable std::shared_mutex cache_mutex_;
  mutable WordTable cached_words_;                 // guarded by cache_mutex_
  mutable std::vector<std::string> cached_terms_;  // guarded by cache_mutex_, aligned with cached_words_
};

}  // namespace sightline::lexical

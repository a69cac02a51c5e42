#include "lexical/analyzer.h"

#include <algorithm>
#include <iterator>
#include <mutex>
#include <stdexcept>

#include "core/error.h"
#include "lexical/word_reader.h"
#include "parallel/thread_pool.h"

namespace sightline::lexical {
namespace {

// A shard costs a word table and, when it is indexed, a merge; below this size that is more than its share of the work.
constexpr std::size_t kMinShardBytes = std::size_t{1} << 19;
constexpr std::size_t kMaxShardBytes = std::size_t{4} << 20;
constexpr std::size_t kShardsPerThread = 2;
constexpr std::size_t kInsertionsPerLock = 1024;  // so that a query never waits for a whole batch of new words

AnalyzedDocuments split(std::span<const std::string_view> texts, WordOptions options) {
  AnalyzedDocuments result;
  result.document_ends.reserve(texts.size());
  WordReader reader({}, options);
  for (const std::string_view text : texts) {
    reader.reset(text);
    while (reader.next()) result.tokens.push_back(result.terms.insert(reader.word()));
    result.document_ends.push_back(result.tokens.size());
  }
  return result;
}

// Rewrites the tokens of a shard from words to terms and leaves out the dropped ones.
void replace_words(AnalyzedDocuments& shard, WordTable terms, const std::vector<std::uint32_t>& term_of_word) {
  std::size_t out = 0;
  std::size_t begin = 0;
  for (std::uint64_t& document_end : shard.document_ends) {
    const std::size_t end = document_end;
    for (std::size_t i = begin; i < end; ++i) {
      const std::uint32_t term = term_of_word[shard.tokens[i]];
      if (term != kNoWord) shard.tokens[out++] = term;
    }
    begin = end;
    document_end = out;
  }
  shard.tokens.resize(out);
  shard.terms = std::move(terms);
}

}  // namespace

AnalyzedDocuments reordered(AnalyzedDocuments documents, std::span<const std::size_t> order) {
  AnalyzedDocuments result;
  result.tokens.reserve(documents.tokens.size());
  result.document_ends.reserve(order.size());
  for (const std::size_t i : order) {
    const std::span<const std::uint32_t> tokens = documents.document(i);
    result.tokens.insert(result.tokens.end(), tokens.begin(), tokens.end());
    result.document_ends.push_back(result.tokens.size());
  }
  result.terms = std::move(documents.terms);
  return result;
}

std::vector<std::size_t> shard_ends(std::span<const std::size_t> sizes_bytes) {
  std::size_t total_bytes = 0;
  for (const std::size_t size : sizes_bytes) total_bytes += size;
  const std::size_t wanted = total_bytes / (kShardsPerThread * parallel::num_threads()) + 1;
  const std::size_t shard_bytes = std::clamp(wanted, kMinShardBytes, kMaxShardBytes);
  std::vector<std::size_t> ends;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < sizes_bytes.size(); ++i) {
    bytes += sizes_bytes[i];
    if (bytes >= shard_bytes) {
      ends.push_back(i + 1);
      bytes = 0;
    }
  }
  if (ends.empty() || ends.back() != sizes_bytes.size()) ends.push_back(sizes_bytes.size());
  return ends;
}

std::vector<AnalyzedDocuments> Analyzer::analyze(std::span<const std::string_view> texts,
                                                 std::span<const std::size_t> ends) const {
  std::vector<AnalyzedDocuments> shards(ends.size());
  parallel::parallel_for(ends.size(), [&](std::size_t i, std::size_t) {
    const std::size_t begin = i == 0 ? 0 : ends[i - 1];
    shards[i] = split(texts.subspan(begin, ends[i] - begin), options_);
  });
  resolve(shards);
  return shards;
}

AnalyzedDocuments Analyzer::analyze_together(std::span<const std::string_view> texts, TextKind kind) const {
  WordOptions options = options_;
  if (kind == TextKind::kQuery) options.unigrams = false;
  std::vector<AnalyzedDocuments> shards(1);
  shards[0] = split(texts, options);
  resolve(shards);
  return std::move(shards[0]);
}

std::size_t Analyzer::cached_words() const {
  std::shared_lock lock(cache_mutex_);
  return cached_words_.size();
}

void Analyzer::resolve(std::vector<AnalyzedDocuments>& shards) const {
  struct Unresolved {
    std::uint32_t word;  // of the shard
    std::uint32_t number;  // in new_words
  };
  std::vector<WordTable> terms(shards.size());
  std::vector<std::vector<std::uint32_t>> term_of_word(shards.size());
  std::vector<std::vector<Unresolved>> unresolved(shards.size());
  WordTable new_words;
  const auto add_term = [&](std::size_t shard, const std::string& term) {
    return term.empty() ? kNoWord : terms[shard].insert(term);
  };
  {
    std::shared_lock lock(cache_mutex_);
    for (std::size_t s = 0; s < shards.size(); ++s) {
      const WordTable& words = shards[s].terms;
      term_of_word[s].resize(words.size(), kNoWord);
      for (std::uint32_t w = 0; w < words.size(); ++w) {
        const std::uint32_t cached = cached_words_.find(words.word(w), words.hash(w));
        if (cached != kNoWord) {
          term_of_word[s][w] = add_term(s, cached_terms_[cached]);
        } else {
          unresolved[s].push_back({w, new_words.insert(words.word(w), words.hash(w))});
        }
      }
    }
  }
  if (new_words.size() != 0) {
    const std::vector<std::string> new_terms = resolve_new(new_words);
    for (std::size_t s = 0; s < shards.size(); ++s) {
      for (const Unresolved& u : unresolved[s]) term_of_word[s][u.word] = add_term(s, new_terms[u.number]);
    }
  }
  parallel::parallel_for(shards.size(), [&](std::size_t s, std::size_t) {
    replace_words(shards[s], std::move(terms[s]), term_of_word[s]);
  });
}

std::vector<std::string> Analyzer::resolve_new(const WordTable& words) const {
  std::vector<std::string_view> views(words.size());
  for (std::uint32_t w = 0; w < words.size(); ++w) views[w] = words.word(w);
  std::vector<std::string> terms;
  terms.reserve(views.size());
  for (std::size_t begin = 0; begin < views.size(); begin += kMaxWordsPerCall) {
    const std::size_t end = std::min(views.size(), begin + kMaxWordsPerCall);
    const auto first = views.begin() + static_cast<std::ptrdiff_t>(begin);
    std::vector<std::string> some = resolver_({first, first + static_cast<std::ptrdiff_t>(end - begin)});
    if (some.size() != end - begin) {
      throw Error(ErrorKind::kInvalidInput, "stemmer: expected one stem for each of " + std::to_string(end - begin) +
                                                " words, got " + std::to_string(some.size()));
    }
    std::move(some.begin(), some.end(), std::back_inserter(terms));
  }
  for (std::uint32_t begin = 0; begin < words.size(); begin += kInsertionsPerLock) {
    const auto end = static_cast<std::uint32_t>(std::min<std::size_t>(words.size(), begin + kInsertionsPerLock));
    std::unique_lock lock(cache_mutex_);
    if (cached_words_.size() >= kMaxCachedWords) {
      cached_words_ = {};
      cached_terms_.clear();
    }
    cached_terms_.resize(cached_words_.size());  // equal already, unless memory ran out between the two steps below
    for (std::uint32_t w = begin; w < end; ++w) {
      cached_terms_.push_back(terms[w]);
      // Another thread may have resolved the word meanwhile; the first result stays.
      if (cached_words_.insert(words.word(w), words.hash(w)) + 1 != cached_terms_.size()) cached_terms_.pop_back();
    }
  }
  return terms;
}

}  // namespace sightline::lexical

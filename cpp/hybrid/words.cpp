#include "hybrid/words.h"

namespace sightline::hybrid {
namespace {

class TextQuery final : public WordQuery {
 public:
  explicit TextQuery(lexical::BoundQuery bound)
      : WordQuery(bound.snapshot(), bound.base(), bound.terms().empty()), bound_(std::move(bound)) {}
  std::vector<Hit> search(std::size_t k, const lexical::RowFilter* filter) const override {
    return lexical::search(bound_, k, filter);
  }
  void sum_gains(std::uint32_t segment, std::span<const RowIndex> rows, std::span<double> sums) const override {
    bound_.sum_gains(segment, rows, sums);
  }

 private:
  lexical::BoundQuery bound_;
};

class FieldQuery final : public WordQuery {
 public:
  explicit FieldQuery(lexical::BoundFieldQuery bound)
      : WordQuery(bound.snapshot().field(0), bound.base(), bound.terms().empty()), bound_(std::move(bound)) {}
  std::vector<Hit> search(std::size_t k, const lexical::RowFilter* filter) const override {
    return lexical::search_fields(bound_, k, filter);
  }
  void sum_gains(std::uint32_t segment, std::span<const RowIndex> rows, std::span<double> sums) const override {
    bound_.sum_gains(segment, rows, sums);
  }

 private:
  lexical::BoundFieldQuery bound_;
};

}  // namespace

std::unique_ptr<const WordQuery> TextWords::bind(const lexical::Query& terms) const {
  return std::make_unique<TextQuery>(lexical::BoundQuery(*snapshot_, parameters_, terms));
}

std::unique_ptr<const WordQuery> FieldWords::bind(const lexical::Query& terms) const {
  return std::make_unique<FieldQuery>(lexical::BoundFieldQuery(*snapshot_, parameters_, fields_, terms));
}

}  // namespace sightline::hybrid

// The native analyzer with its Python resolver.
#include <memory>

#include "bindings/registry.h"
#include "bindings/texts.h"
#include "core/error.h"
#include "lexical/analyzer.h"
#include "lexical/unicode_tables.h"

namespace sightline::bindings {
namespace {

std::vector<std::string> call_resolver(const py::function& resolve, const std::vector<std::string_view>& words) {
  const py::gil_scoped_acquire gil;
  py::list list(words.size());
  for (std::size_t i = 0; i < words.size(); ++i) list[i] = to_str(words[i]);
  const py::object result = resolve(list);
  if (PyList_Check(result.ptr()) == 0) {
    throw Error(ErrorKind::kInvalidInput, std::string("stemmer: expected a list of str, got ") +
                                              Py_TYPE(result.ptr())->tp_name);
  }
  const auto terms = py::reinterpret_borrow<py::list>(result);
  if (terms.size() != words.size()) {
    throw Error(ErrorKind::kInvalidInput, "stemmer: expected a list of " + std::to_string(words.size()) +
                                              " terms, one for each word, got " + std::to_string(terms.size()));
  }
  std::vector<std::string> stems(terms.size());
  for (std::size_t i = 0; i < terms.size(); ++i) {
    const py::object term = terms[i];
    if (term.is_none()) continue;
    if (PyUnicode_Check(term.ptr()) == 0) {
      throw Error(ErrorKind::kInvalidInput, std::string("stemmer: expected str for each word, got ") +
                                                Py_TYPE(term.ptr())->tp_name + " for '" + std::string(words[i]) + "'");
    }
    const auto bytes = py::reinterpret_steal<py::object>(PyUnicode_AsEncodedString(term.ptr(), "utf-8", "surrogatepass"));
    if (!bytes) throw py::error_already_set();
    stems[i].assign(PyBytes_AS_STRING(bytes.ptr()), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.ptr())));
  }
  return stems;
}

py::list token_lists(const lexical::Analyzer& analyzer, const py::list& list, bool query) {
  const Items items(list, "texts");
  if (items.size() != 0 && items.kind() != ItemKind::kText) {
    throw Error(ErrorKind::kInvalidInput, "texts: expected str at position 0, got a list; tokens need no analysis");
  }
  Texts texts;
  for (std::size_t i = 0; i < items.size(); ++i) texts.add(items[i]);
  std::vector<lexical::AnalyzedDocuments> shards;
  {
    const py::gil_scoped_release release;
    const std::vector<std::string_view> views = texts.views();
    if (query) {
      shards.push_back(analyzer.analyze_together(views, lexical::TextKind::kQuery));
    } else {
      std::vector<std::size_t> sizes(views.size());
      for (std::size_t i = 0; i < views.size(); ++i) sizes[i] = views[i].size();
      shards = analyzer.analyze(views, lexical::shard_ends(sizes));
    }
  }
  py::list result(items.size());
  std::size_t place = 0;
  for (const lexical::AnalyzedDocuments& documents : shards) {
    std::vector<py::str> terms;
    terms.reserve(documents.terms.size());
    for (std::uint32_t t = 0; t < documents.terms.size(); ++t) terms.push_back(to_str(documents.terms.word(t)));
    for (std::size_t d = 0; d < documents.document_count(); ++d) {
      const std::span<const std::uint32_t> tokens = documents.document(d);
      py::list document(tokens.size());
      for (std::size_t i = 0; i < tokens.size(); ++i) document[i] = terms[tokens[i]];
      result[place++] = std::move(document);
    }
  }
  return result;
}

// Calls `resolve(list of words) -> list of str or None`. The caller must not hold the GIL.
lexical::Analyzer::Resolver make_resolver(py::function resolve) {
  // The last owner may let go without the GIL, in a destructor on any thread.
  const std::shared_ptr<py::function> owned(new py::function(std::move(resolve)), [](py::function* function) {
    const py::gil_scoped_acquire gil;
    delete function;
  });
  return [owned](const std::vector<std::string_view>& words) { return call_resolver(*owned, words); };
}

}  // namespace

void register_analyzer(py::module_& m) {
  py::class_<lexical::Analyzer>(m, "Analyzer")
      .def(py::init([](py::function resolve, bool unigrams, bool identifiers) {
             return std::make_unique<lexical::Analyzer>(make_resolver(std::move(resolve)),
                                                        lexical::WordOptions{unigrams, identifiers});
           }),
           py::arg("resolve"), py::arg("unigrams"), py::arg("identifiers"))
      .def("token_lists", &token_lists, py::arg("texts"), py::arg("query"))
      .def_property_readonly("cached_words", &lexical::Analyzer::cached_words);
  m.attr("UNICODE_VERSION") = lexical::kUnicodeVersion;
}

}  // namespace sightline::bindings

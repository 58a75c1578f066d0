// Lookup tables: from any source a table or an error; from any key an answer that stays the same,
// and never an empty value through Tables.
//
// Input: a type's number, the key up to a line end, then the table's text.
#include <algorithm>
#include <string>

#include <sys/mman.h>
#include <unistd.h>

#include "core/unique_fd.h"
#include "fuzz.h"
#include "table/table.h"

using namespace postrider;

namespace {

constexpr std::string_view kTypes[] = {"regexp", "pcre",     "cidr",    "texthash", "inline",
                                       "static", "unionmap", "randmap", "pipemap"};

/// A file that only this process can see.
class Source {
public:
    explicit Source(std::string_view text) : fd_(::memfd_create("source", MFD_CLOEXEC)) {
        fuzz::require(fd_ && ::write(fd_.get(), text.data(), text.size()) ==
                                 static_cast<ssize_t>(text.size()),
                      "the source is written");
    }
    std::string path() const { return "/proc/self/fd/" + std::to_string(fd_.get()); }

private:
    UniqueFd fd_;
};

void check_text(std::string_view text) {
    fuzz::require(text.find('\n') == std::string_view::npos, "a value is one line");
    fuzz::require(text.find('\0') == std::string_view::npos, "without NUL");
}

void look_up(const table::Tables& tables, std::string_view key, bool is_random) {
    const table::Answer answer = tables.find(key);
    if (!answer) {
        fuzz::require(!answer.error().message.empty(), "an error has a reason");
        return;
    }
    if (*answer) {
        fuzz::require(!(**answer).empty(), "no empty value");
        check_text(**answer);
    }
    const table::Answer part = tables.find_part(key);
    fuzz::require(!part || !*part || *part == *answer || is_random,
                  "a part's answer is the whole's");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    fuzz::Fields fields(fuzz::text_of(bytes, size));
    const std::string_view type = kTypes[fields.byte() % std::size(kTypes)];
    const std::string key(fields.until('\n'));
    const bool file = type == "regexp" || type == "pcre" || type == "cidr" || type == "texthash";
    // What stands in main.cf is one line; files have many.
    std::string text(fields.rest());
    if (!file)
        std::replace_if(
            text.begin(), text.end(), [](char c) { return c == '\n' || c == '\0'; }, ' ');
    const Source source(text);
    const std::string name = std::string(type) + ":" + (file ? source.path() : "{" + text + "}");

    const bool is_random = name.find("randmap") != std::string::npos;
    CapturedLog lines;
    const Log log(lines, "fuzz");
    for (const bool utf8 : {true, false}) {
        table::OpenOptions options;
        options.utf8 = utf8;
        const auto table = table::open_table(name, options, log);
        fuzz::require(table || !table.error().message.empty(), "a table, or a reason");
        if (table) {
            const auto first = (*table)->find(key);
            const auto second = (*table)->find(key);
            const bool same = first ? second && *first == *second : !second;
            fuzz::require(same || is_random, "asked twice, the same answer");
        }
        look_up(table::Tables::open("fuzz_maps", name, options, log), key, is_random);
    }
    for (const std::string& line : lines.lines()) {
        fuzz::require(!fuzz::has_control(line), "log lines are printable");
    }
    return 0;
}

// main.cf: entries that are read, written and read again are the same; a configuration or an
// error with a reason, never both; expansion is bounded.
#include "config/main_cf.h"

#include <map>
#include <string>

#include "config/config.h"
#include "config/expand.h"
#include "config/main_cf_edit.h"
#include "fuzz.h"

using namespace postrider;

namespace {

void check_entries(const config::MainCf& file) {
    std::string text;
    for (const config::Entry& entry : file.entries) {
        fuzz::require(!entry.name.empty(), "an entry has a name");
        text += entry.name + " = " + entry.value + "\n";
    }
    const auto again = config::parse_main_cf(text, "main.cf");
    fuzz::require(again.has_value(), "what was read can be written and read");
    fuzz::require(again->entries.size() == file.entries.size(), "as many entries");
    for (std::size_t i = 0; i < file.entries.size(); ++i) {
        fuzz::require(again->entries[i].name == file.entries[i].name &&
                          again->entries[i].value == file.entries[i].value,
                      "the same entries");
    }
}

/// postconf -e: the entry is there, the others are as they were.
void check_edit(std::string_view text, const config::MainCf& before) {
    config::Entry entry;
    entry.name = "relayhost";
    entry.value = "[smtp.example.net]:465";
    const auto edited =
        config::edit_main_cf(text, config::Edit::Set, std::span(&entry, 1), "main.cf");
    const auto after = config::parse_main_cf(edited.text, "main.cf");
    fuzz::require(after.has_value(), "an edited file can be read");
    std::map<std::string, std::string> expected;
    for (const config::Entry& one : before.entries) expected[one.name] = one.value;
    expected[entry.name] = entry.value;
    std::map<std::string, std::string> values;
    for (const config::Entry& one : after->entries) values[one.name] = one.value;
    fuzz::require(values == expected, "one entry changed, no other");
}

void check_expansion(const config::MainCf& file) {
    const auto lookup = [&](std::string_view name) -> std::optional<std::string_view> {
        for (const config::Entry& entry : file.entries) {
            if (entry.name == name) return entry.value;
        }
        return std::nullopt;
    };
    for (const config::Entry& entry : file.entries) {
        const auto value = config::expand(entry.value, lookup);
        if (value) fuzz::require(value->size() <= config::kExpansionSizeMax, "bounded");
        config::referenced_names(entry.value);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const auto text = fuzz::text_of(bytes, size);
    const auto file = config::parse_main_cf(text, "main.cf");
    if (file) {
        check_entries(*file);
        check_edit(text, *file);
        check_expansion(*file);
    } else {
        fuzz::require(file.error().message.find("line ") != std::string::npos, "it says where");
    }

    config::Host host;
    host.node_name = "desk.example";
    const auto whole = config::Config::parse(text, "/etc/postrider", {}, host);
    if (!whole) {
        fuzz::require(!whole.error().message.empty(), "an error has a reason");
        return 0;
    }
    fuzz::require(file.has_value(), "a configuration is made of entries only");
    whole->list("mynetworks");
    whole->text("relayhost");
    whole->transport_time("smtp", "destination_rate_delay");
    return 0;
}

#include "config/main_cf.h"

#include <cerrno>
#include <ctime>
#include <unordered_map>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/ascii.h"
#include "core/settled_file.h"
#include "core/unique_fd.h"

namespace postrider::config {
namespace {

struct LogicalLine {
    std::string text;
    int first = 0;
    int last = 0;
};

/// Gathers entries while logical lines come in.
class Reader {
public:
    explicit Reader(const std::filesystem::path& file) { main_cf_.file = file; }

    void physical_line(std::string_view text, int number) {
        const auto content = trimmed(text);
        if (content.empty() || content.front() == '#') return;
        if (!is_ascii_space(text.front())) {
            finish();
            line_.text = text;
            line_.first = line_.last = number;
        } else if (line_.first == 0) {
            main_cf_.warnings.push_back(main_cf_.file.string() +
                                        ": logical line must not start with whitespace: \"" +
                                        std::string(text.substr(0, 30)) + "...\"");
        } else {
            line_.text += text;
            line_.last = number;
        }
    }

    Result<MainCf> result() && {
        finish();
        if (!problems_.empty()) return Unexpected(ErrorCode::Invalid, std::move(problems_));
        return std::move(main_cf_);
    }

private:
    std::string place(bool range = false) const {
        auto place = main_cf_.file.string() + ", line " + std::to_string(line_.first);
        if (range && line_.last != line_.first) place += "-" + std::to_string(line_.last);
        return place;
    }

    void finish() {
        if (line_.first == 0) return;
        if (const auto nul = line_.text.find('\0'); nul != line_.text.npos) {
            main_cf_.warnings.push_back(place(true) + ": text after null byte may be ignored");
            line_.text.resize(nul);
        }
        if (auto entry = parse_name_value(line_.text)) {
            entry->line = line_.first;
            add(std::move(*entry));
        } else {
            if (!problems_.empty()) problems_ += "; ";
            problems_ += place() + ": " + entry.error().message;
        }
        line_ = {};
    }

    void add(Entry entry) {
        const auto [at, is_new] = index_.try_emplace(entry.name, main_cf_.entries.size());
        if (is_new) {
            main_cf_.entries.push_back(std::move(entry));
            return;
        }
        auto& earlier = main_cf_.entries[at->second];
        // Warnings are logged, and passwords may stand in main.cf itself.
        const bool secret = earlier.name.find("password") != earlier.name.npos;
        if (earlier.value != entry.value)
            main_cf_.warnings.push_back(place() + ": overriding earlier entry: " + earlier.name +
                                        "=" + (secret ? "..." : earlier.value));
        earlier = std::move(entry);
    }

    MainCf main_cf_;
    LogicalLine line_;
    std::unordered_map<std::string, std::size_t> index_;
    std::string problems_;
};

}  // namespace

Result<MainCf> parse_main_cf(std::string_view text, const std::filesystem::path& file) {
    Reader reader(file);
    for (int number = 1; !text.empty(); ++number) {
        const auto end = text.find('\n');
        auto line = text.substr(0, end);
        text.remove_prefix(end == text.npos ? text.size() : end + 1);
        if (line.ends_with('\r')) line.remove_suffix(1);
        reader.physical_line(line, number);
    }
    return std::move(reader).result();
}

namespace {

/// Whoever writes longer is not waited for.
constexpr int kWriterAttempts = 50;
constexpr timespec kWriterPause{0, 20 * 1000 * 1000};

/// Differs once a file has been written to.
struct Version {
    explicit Version(int fd) {
        struct stat status {};
        if (::fstat(fd, &status) != 0) return;
        size = status.st_size;
        modified = status.st_mtim;
    }
    bool operator==(const Version& other) const {
        return size == other.size && modified.tv_sec == other.modified.tv_sec &&
               modified.tv_nsec == other.modified.tv_nsec;
    }
    off_t size = -1;
    timespec modified{};
};

Result<std::string> read_to_end(int fd, const std::filesystem::path& file) {
    std::string text;
    constexpr std::size_t kPiece = 16 * 1024;
    for (;;) {
        const auto had = text.size();
        text.resize(had + kPiece);
        const auto count = ::read(fd, text.data() + had, kPiece);
        if (count < 0 && errno == EINTR) {
            text.resize(had);
            continue;
        }
        if (count < 0) return Unexpected(system_error("read " + file.string(), errno));
        text.resize(had + static_cast<std::size_t>(count));
        if (count == 0) return text;
        if (text.size() > kMainCfSizeMax)
            return Unexpected(ErrorCode::Limit, file.string() + ": larger than " +
                                                    std::to_string(kMainCfSizeMax) + " bytes");
    }
}

}  // namespace

/// An editor may write in place, and half of a configuration is one, too.
Result<std::string> read_text(const std::filesystem::path& file) {
    for (int attempt = 0; attempt < kWriterAttempts; ++attempt) {
        const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
        if (!fd) {
            Error error = system_error("open " + file.string(), errno);
            if (error.code == ErrorCode::NotFound)
                error.message += " (-c or MAIL_CONFIG names another directory)";
            return Unexpected(std::move(error));
        }
        if (keep_writers_off(fd.get())) {
            const Version before(fd.get());
            auto text = read_to_end(fd.get(), file);
            if (!text || Version(fd.get()) == before) return text;
        }
        ::nanosleep(&kWriterPause, nullptr);
    }
    return Unexpected(ErrorCode::Unavailable, file.string() + " is being written to");
}

Result<MainCf> read_main_cf(const std::filesystem::path& file) {
    auto text = read_text(file);
    if (!text) return Unexpected(std::move(text).error());
    return parse_main_cf(*text, file);
}

Result<Entry> parse_name_value(std::string_view text) {
    const auto trouble = [&](std::string_view what) {
        return Unexpected(ErrorCode::Invalid,
                          std::string(what) + ": \"" + std::string(trimmed(text)) + "\"");
    };
    const auto line = trimmed(text);
    std::size_t length = 0;
    while (length < line.size() && !is_ascii_space(line[length]) && line[length] != '=') ++length;
    if (length == 0) return trouble("missing attribute name");
    const auto rest = trimmed(line.substr(length));
    if (!rest.starts_with('=')) return trouble("missing '=' after attribute name");
    Entry entry;
    entry.name = line.substr(0, length);
    entry.value = trimmed(rest.substr(1));
    return entry;
}

}  // namespace postrider::config

// Reads certificates and keys from the files that the configuration names.
#include <algorithm>
#include <cerrno>
#include <fstream>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <openssl/ssl.h>

#include "core/ascii.h"
#include "tls/client.h"
#include "tls/store.h"

namespace postrider::tls {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kFileSizeMax = 16 * 1024 * 1024;
constexpr std::string_view kBegin = "-----BEGIN ";

// Where the systems we know keep what they trust, Debian first.
constexpr const char* kSystemBundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
};

Result<std::string> read_file(const fs::path& path) {
    const std::string attempt = "open " + path.string();
    std::ifstream file(path, std::ios::binary);
    if (!file) return Unexpected(system_error(attempt, errno));
    std::error_code failure;
    if (fs::file_size(path, failure) > kFileSizeMax || failure) {
        return Unexpected(ErrorCode::Invalid, attempt + ": not a file of certificates");
    }
    std::ostringstream text;
    text << file.rdbuf();
    return std::move(text).str();
}

std::size_t count_certificates(std::string_view pem) {
    std::size_t count = 0;
    for (auto at = pem.find(kBegin); at != pem.npos; at = pem.find(kBegin, at + 1)) ++count;
    return count;
}

// `5ed36f99.0`, as OpenSSL looks issuers up.
bool is_hashed_name(const std::string& name) {
    if (name.size() < 10 || name[8] != '.') return false;
    const auto is_hex = [](char c) { return is_ascii_digit(c) || (c >= 'a' && c <= 'f'); };
    return std::all_of(name.begin(), name.begin() + 8, is_hex) &&
           std::all_of(name.begin() + 9, name.end(), [](char c) { return is_ascii_digit(c); });
}

// Reads all of the directory at once: OpenSSL's own way opens files when a server shows a
// certificate, and then a sandbox may be in the way.
Result<std::string> read_hashed_directory(const fs::path& directory) {
    std::error_code failure;
    std::set<fs::path> files;
    for (const auto& entry : fs::directory_iterator(directory, failure)) {
        if (is_hashed_name(entry.path().filename())) files.insert(entry.path());
    }
    if (failure) return Unexpected(system_error("open " + directory.string(), failure.value()));
    std::string all;
    for (const auto& file : files) {
        auto text = read_file(file);
        // A link to a certificate that is gone is common, and takes away no more than itself. So
        // does a file with something else in it.
        if (text && open_store(*text)) all.append(*text).append("\n");
    }
    return all;
}

Result<void> add_authorities(Material& material, const fs::path& origin, Result<std::string> text) {
    if (!text) return Unexpected(std::move(text).error());
    if (!material.authorities_origin.empty()) material.authorities_origin += "; ";
    material.authorities_origin +=
        fmt::format("{}, {} certificates", origin.string(), count_certificates(*text));
    material.authorities.append(*text).append("\n");
    return {};
}

}  // namespace

std::string_view library_version() {
    return OpenSSL_version(OPENSSL_VERSION);
}

void load_library() {
    OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG, nullptr);
}

Result<Material> read_material(const MaterialFiles& files) {
    Material material;
    Result<void> added;
    if (!files.ca_file.empty()) {
        added = add_authorities(material, files.ca_file, read_file(files.ca_file));
    }
    if (added && !files.ca_path.empty()) {
        added = add_authorities(material, files.ca_path, read_hashed_directory(files.ca_path));
    }
    if (!added) return Unexpected(std::move(added).error());
    if (files.system_store) {
        for (const char* bundle : kSystemBundles) {
            auto text = read_file(bundle);
            if (!text) continue;
            added = add_authorities(material, bundle, std::move(text));
            break;
        }
    }
    for (const auto& path : files.chain) {
        auto text = read_file(path);
        if (!text) return Unexpected(std::move(text).error());
        material.chain.append(*text).append("\n");
    }
    if (!files.key.empty()) {
        auto text = read_file(files.key);
        if (!text) return Unexpected(std::move(text).error());
        material.key = std::move(*text);
    }
    for (const auto& path : files.anchors) {
        auto text = read_file(path);
        if (!text) return Unexpected(std::move(text).error());
        material.anchors[path.string()] = std::move(*text);
    }
    return material;
}

}  // namespace postrider::tls

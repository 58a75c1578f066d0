// What a TLS connection must be like, as a plain value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/result.h"

namespace postrider::tls {

/// Security levels, from weak to strong.
enum class Level { None, May, Encrypt, Fingerprint, Verify, Secure };

std::optional<Level> parse_level(std::string_view);
std::string_view to_string(Level);
/// The peer's certificate has to match something before anything is said.
constexpr bool demands_match(Level level) {
    return level >= Level::Fingerprint;
}
/// ... and it has to be a name, certified by an authority.
constexpr bool demands_name(Level level) {
    return level >= Level::Verify;
}

/// Protocol versions allowed, one bit each.
struct Protocols {
    static constexpr unsigned kSsl3 = 1, kTls10 = 2, kTls11 = 4, kTls12 = 8, kTls13 = 16;
    unsigned allowed = kTls12 | kTls13;

    friend bool operator==(const Protocols&, const Protocols&) = default;
};

/// Postfix's list syntax: `!SSLv2, !TLSv1`, `TLSv1.2 TLSv1.3`, `>=TLSv1.2`, `<=0304`. Names in any
/// case; separated by commas, white space or colons; empty means no restriction. The error's
/// message is `Invalid TLS protocol list "..."`.
Result<Protocols> parse_protocols(std::string_view);

/// tls_high_cipherlist and its kin.
struct CipherGrades {
    std::string high = "aNULL:-aNULL:HIGH:@STRENGTH";
    std::string medium = "aNULL:-aNULL:HIGH:MEDIUM:+RC4:@STRENGTH";
    std::string null = "eNULL:!aNULL";
};

/// The cipher list for TLS 1.2 and older as it is set and logged: the grade's list, `:!x` for each
/// exclusion (lists as in the configuration; give the mandatory ones too where they apply), and
/// what the level excludes by itself: `:!aNULL` where a match is demanded, `:!eNULL` at encrypt.
/// The error's message is `invalid cipher grade: "x"` or
/// `invalid unary '!+-@' in cipher exclusion: x`.
Result<std::string> cipher_list(const CipherGrades&, std::string_view grade, Level,
                                std::string_view exclusions);

struct Policy {
    Level level = Level::Verify;
    Protocols protocols;
    std::string ciphers;  ///< of cipher_list(); empty: grade medium with the level's exclusions
    /// How the certificate is matched at verify and secure, any of: `hostname`, `nexthop`,
    /// `dot-nexthop`, a name, or `.suffix`.
    std::vector<std::string> match = {"hostname"};
    /// At fingerprint: digests of the certificate or its public key, hexadecimal with or without
    /// colons, in any case.
    std::vector<std::string> fingerprints;
    std::string fingerprint_digest = "sha256";
    /// SNI: `hostname`, `nexthop`, a name; empty sends none.
    std::string server_name = "hostname";
    /// Trust these anchors only: the name of a PEM file in Material::anchors. Empty: the store.
    std::string trust_anchors;
    int verify_depth = 9;
    /// tls_eecdh_auto_curves.
    std::string curves = "X25519 X448 prime256v1 secp521r1 secp384r1";
    /// How long a session may be resumed; zero: never.
    Duration session_lifetime = std::chrono::hours(1);

    friend bool operator==(const Policy&, const Policy&) = default;
};

/// The policy as one text; equal policies, equal texts.
std::string canonical(const Policy&);

}  // namespace postrider::tls

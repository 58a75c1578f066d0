// AUTH against a server that says anything: bounded, in lines that hold nothing but base64, and
// believed only when the server has proven what it must.
//
// Input: a mechanism's number, then replies `334 text`, one a line.
#include <charconv>
#include <string>

#include "fuzz.h"
#include "sasl/bearer.h"
#include "sasl/exchange.h"
#include "sasl/hashed.h"
#include "sasl/plain.h"

using namespace postrider;
using Kind = sasl::Exchange::Step::Kind;

namespace {

std::unique_ptr<sasl::Mechanism> mechanism(std::uint8_t number) {
    sasl::Credentials credentials;
    credentials.user = "ann";
    credentials.password = Secret("pencil");
    credentials.host = "smtp.example.net";
    credentials.port = 465;
    switch (number % 7) {
        case 0:
            return sasl::make_plain(credentials);
        case 1:
            return sasl::make_login(credentials);
        case 2:
            return sasl::make_xoauth2(credentials);
        case 3:
            return sasl::make_oauthbearer(credentials);
        case 4:
            return std::move(sasl::make_cram_md5(credentials)).value();
        case 5:
            return std::move(sasl::make_scram_sha1(credentials)).value();
        default:
            return std::move(sasl::make_scram_sha256(credentials)).value();
    }
}

void check_line(std::string_view line) {
    fuzz::require(line.ends_with("\r\n"), "one line");
    line.remove_suffix(2);
    for (const char c : line) {
        const bool base64 = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                            (c >= '0' && c <= '9') || c == '+' || c == '/' || c == '=';
        fuzz::require(base64 || line == "*", "of base64, or the one that gives up");
    }
    fuzz::require(line.size() <= 4 * sasl::Exchange::kChallengeMax, "bounded");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    fuzz::Fields fields(fuzz::text_of(bytes, size));
    sasl::Exchange exchange(mechanism(fields.byte()));
    const auto begun = exchange.begin();
    if (!begun) return 0;
    fuzz::require(begun->reveal().starts_with("AUTH "), "it begins with AUTH");
    fuzz::require(begun->size() <= sasl::Exchange::kCommandLengthMax, "a command line");

    int rounds = 0;
    while (!fields.empty()) {
        std::string_view reply = fields.until('\n');
        int code = 0;
        std::from_chars(reply.data(), reply.data() + std::min<std::size_t>(3, reply.size()), code);
        const auto step = exchange.next(code, reply.substr(std::min<std::size_t>(4, reply.size())));
        if (!step) {
            fuzz::require(step.error().code == ErrorCode::Protocol, "a protocol error");
            return 0;
        }
        if (step->kind == Kind::Succeeded) {
            fuzz::require(code / 100 == 2, "success is 2xx");
            fuzz::require(!exchange.mechanism_name().starts_with("SCRAM"),
                          "nobody without the password passes for a SCRAM server");
        }
        if (step->kind != Kind::Continue) return 0;
        check_line(step->line.reveal());
        fuzz::require(++rounds <= sasl::Exchange::kRoundsMax, "bounded rounds");
    }
    return 0;
}

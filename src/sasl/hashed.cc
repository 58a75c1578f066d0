#include "sasl/hashed.h"

#include <charconv>
#include <cstring>
#include <string>

#include <string.h>

#include <gsasl.h>

namespace postrider::sasl {

namespace {

struct FinishContext {
    void operator()(Gsasl* context) const { gsasl_done(context); }
};

/// libgsasl keeps its own copy of the password and frees it as it is.
struct FinishSession {
    void operator()(Gsasl_session* session) const {
        if (const char* password = gsasl_property_fast(session, GSASL_PASSWORD))
            ::explicit_bzero(const_cast<char*>(password), std::strlen(password));
        gsasl_finish(session);
    }
};

using Context = std::unique_ptr<Gsasl, FinishContext>;
using Session = std::unique_ptr<Gsasl_session, FinishSession>;

Unexpected failed(std::string_view mechanism, ErrorCode code, const char* why) {
    return Unexpected(code, std::string(mechanism) + ": " + why);
}

/// The iteration count of a SCRAM server-first-message, `r=...,s=...,i=4096`.
bool asks_too_much(std::string_view challenge) {
    const auto at = challenge.find(",i=");
    if (at == std::string_view::npos) return false;
    const char* const begin = challenge.data() + at + 3;
    std::uint64_t count = 0;
    const auto [stop, error] = std::from_chars(begin, challenge.data() + challenge.size(), count);
    return error == std::errc::result_out_of_range || count > kScramIterationsMax;
}

class Hashed final : public Mechanism {
public:
    Hashed(std::string_view name, bool client_first, Context context, Session session)
        : name_(name),
          client_first_(client_first),
          context_(std::move(context)),
          session_(std::move(session)) {}

    std::string_view name() const override { return name_; }

    Result<std::optional<Secret>> initial_response() override {
        if (!client_first_) return std::optional<Secret>();
        auto first = step({});
        if (!first) return Unexpected(std::move(first).error());
        return std::optional<Secret>(std::move(first).value());
    }

    Result<Secret> respond(std::string_view challenge) override {
        if (complete_) return failed(name_, ErrorCode::Protocol, "a challenge after all was said");
        if (asks_too_much(challenge))
            return failed(name_, ErrorCode::Protocol, "the server asks for too many iterations");
        return step(challenge);
    }

    bool is_complete() const override { return complete_; }

private:
    Result<Secret> step(std::string_view input) {
        char* output = nullptr;
        std::size_t size = 0;
        const int status = gsasl_step(session_.get(), input.data(), input.size(), &output, &size);
        if (status != GSASL_OK && status != GSASL_NEEDS_MORE) {
            // A failed step may have been about the server's proof: there is no second try.
            return failed(name_, ErrorCode::Protocol, gsasl_strerror(status));
        }
        Secret answer(std::string_view(output, size));
        if (output != nullptr) ::explicit_bzero(output, size);
        gsasl_free(output);
        complete_ = status == GSASL_OK;
        return answer;
    }

    std::string_view name_;
    bool client_first_;
    bool complete_ = false;
    Context context_;
    Session session_;
};

Result<std::unique_ptr<Mechanism>> start(const char* name, bool client_first,
                                         const Credentials& credentials) {
    Gsasl* context = nullptr;
    if (const int status = gsasl_init(&context); status != GSASL_OK)
        return failed(name, ErrorCode::Unavailable, gsasl_strerror(status));
    Context owned_context(context);
    Gsasl_session* session = nullptr;
    if (const int status = gsasl_client_start(context, name, &session); status != GSASL_OK)
        return failed(name, ErrorCode::NotFound, gsasl_strerror(status));
    Session owned_session(session);

    const auto set = [&](Gsasl_property property, std::string_view value) {
        return gsasl_property_set_raw(session, property, value.data(), value.size());
    };
    int status = set(GSASL_AUTHID, credentials.user);
    if (status == GSASL_OK) status = set(GSASL_PASSWORD, credentials.password.reveal());
    if (status != GSASL_OK) return failed(name, ErrorCode::Unavailable, gsasl_strerror(status));
    return std::unique_ptr<Mechanism>(std::make_unique<Hashed>(
        name, client_first, std::move(owned_context), std::move(owned_session)));
}

}  // namespace

Result<std::unique_ptr<Mechanism>> make_cram_md5(const Credentials& credentials) {
    return start("CRAM-MD5", false, credentials);
}

Result<std::unique_ptr<Mechanism>> make_scram_sha1(const Credentials& credentials) {
    return start("SCRAM-SHA-1", true, credentials);
}

Result<std::unique_ptr<Mechanism>> make_scram_sha256(const Credentials& credentials) {
    return start("SCRAM-SHA-256", true, credentials);
}

}  // namespace postrider::sasl

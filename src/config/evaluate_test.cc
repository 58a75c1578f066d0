#include "config/evaluate.h"

#include <gtest/gtest.h>

namespace postrider::config {

namespace {

std::string problem(std::string_view name, std::string text) {
    auto value = evaluate(*find_parameter(name), std::move(text));
    return value ? "" : value.error().message;
}

}  // namespace

TEST(Evaluate, GivesNumbersToBooleansIntegersAndTimes) {
    EXPECT_EQ(evaluate(*find_parameter("smtp_tls_wrappermode"), "YES")->number, 1);
    EXPECT_EQ(evaluate(*find_parameter("message_size_limit"), "0")->number, 0);
    EXPECT_EQ(evaluate(*find_parameter("maximal_queue_lifetime"), "5")->number, 432000);
}

TEST(Evaluate, NormalisesTheCaseOfChoices) {
    EXPECT_EQ(evaluate(*find_parameter("smtp_tls_security_level"), "Verify")->text, "verify");
}

TEST(Evaluate, SaysWhatWouldBeRight) {
    struct Case {
        const char* name;
        const char* text;
        const char* problem;
    };
    const Case cases[] = {
        {"smtp_tls_wrappermode", "on",
         "bad boolean configuration: smtp_tls_wrappermode = on (write yes or no)"},
        {"message_size_limit", "35M",
         "bad numerical configuration: message_size_limit = 35M (write a whole number without "
         "suffix)"},
        {"message_size_limit", "big",
         "bad numerical configuration: message_size_limit = big (write a whole number)"},
        {"message_size_limit", "-1", "invalid message_size_limit parameter value -1 < 0"},
        {"line_length_limit", "100", "invalid line_length_limit parameter value 100 < 512"},
        {"maximal_queue_lifetime", "1y",
         "parameter maximal_queue_lifetime: bad time value or unit: 1y (write a number and one of "
         "s, m, h, d, w)"},
        {"maximal_queue_lifetime", "101d",
         "invalid maximal_queue_lifetime: 8726400 (max 8640000 seconds)"},
        {"minimal_backoff_time", "0", "invalid minimal_backoff_time: 0 (min 1 seconds)"},
        {"smtp_address_preference", "ipv5",
         "bad value: smtp_address_preference = ipv5 (write one of: any, ipv4, ipv6)"},
        {"smtp_tls_security_level", "dane",
         "bad value: smtp_tls_security_level = dane (write one of: none, may, encrypt, "
         "fingerprint, verify, secure)"},
        {"queue_directory", "", "bad string length 0 < 1: queue_directory = "},
    };
    for (const auto& [name, text, wanted] : cases) EXPECT_EQ(problem(name, text), wanted);
}

TEST(Evaluate, AcceptsTheBoundsThemselves) {
    EXPECT_EQ(problem("maximal_queue_lifetime", "100d"), "");
    EXPECT_EQ(problem("minimal_backoff_time", "1"), "");
    EXPECT_EQ(problem("line_length_limit", "512"), "");
}

}  // namespace postrider::config

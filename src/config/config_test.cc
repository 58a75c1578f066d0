#include "config/config.h"

#include <fstream>

#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace postrider::config {

using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

namespace {

const Host kHost = {"box", {{"127.0.0.1", 8}, {"::1", 128}, {"192.0.2.7", 24}}};

Result<Config> parse(std::string_view text, const Overrides& overrides = {}) {
    return Config::parse(text, "/etc/postrider", overrides, kHost);
}

std::string problem(std::string_view text) {
    const auto config = parse(text);
    return config ? "" : config.error().message;
}

/// What a guide for Gmail has its readers add to main.cf.
constexpr std::string_view kGuide =
    "relayhost = [smtp.gmail.com]:465\n"
    "smtp_tls_wrappermode = yes\n"
    "smtp_tls_security_level = verify\n"
    "smtp_tls_mandatory_protocols = !SSLv2, !TLSv1, !TLSv1.1\n"
    "tls_high_cipherlist = ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384\n"
    "smtp_tls_mandatory_ciphers = high\n"
    "smtp_tls_loglevel = 2\n"
    "smtp_sasl_auth_enable = yes\n"
    "smtp_sasl_mechanism_filter = plain\n"
    "smtp_sasl_password_maps = hash:/etc/postfix/smtp_auth\n"
    "smtp_sasl_security_options = noanonymous\n"
    "header_checks = regexp:/etc/postfix/header_checks\n"
    "smtp_address_preference = ipv6\n";

/// As Debian's package installs it, for a host without a mail name file.
constexpr std::string_view kDebian =
    "# See /usr/share/postfix/main.cf.dist for a commented, more complete version\n"
    "smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)\n"
    "biff = no\n"
    "append_dot_mydomain = no\n"
    "readme_directory = no\n"
    "compatibility_level = 3.6\n"
    "smtpd_tls_cert_file=/etc/ssl/certs/ssl-cert-snakeoil.pem\n"
    "smtpd_tls_key_file=/etc/ssl/private/ssl-cert-snakeoil.key\n"
    "smtpd_tls_security_level=may\n"
    "\n"
    "smtp_tls_CApath=/etc/ssl/certs\n"
    "smtp_tls_security_level=may\n"
    "smtp_tls_session_cache_database = btree:${data_directory}/smtp_scache\n"
    "\n"
    "smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated "
    "defer_unauth_destination\n"
    "myhostname = box.example.org\n"
    "alias_maps = hash:/etc/aliases\n"
    "alias_database = hash:/etc/aliases\n"
    "mydestination = $myhostname, box.example.org, box, localhost.localdomain, localhost\n"
    "mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128\n"
    "mailbox_size_limit = 0\n"
    "recipient_delimiter = +\n"
    "inet_interfaces = loopback-only\n"
    "inet_protocols = all\n";

constexpr std::string_view kDebianWarnings[] = {
    "/etc/postrider/main.cf, line 7: smtpd_tls_cert_file = "
    "/etc/ssl/certs/ssl-cert-snakeoil.pem: postrider does not serve this; it has no effect",
    "/etc/postrider/main.cf, line 8: smtpd_tls_key_file = "
    "/etc/ssl/private/ssl-cert-snakeoil.key: postrider does not serve this; it has no effect",
    "/etc/postrider/main.cf, line 9: smtpd_tls_security_level = may: postrider does not serve "
    "this; it has no effect"};

}  // namespace

// N5.
TEST(Config, TakesNoNameOfTheMachineThatCannotBeSaid) {
    for (const char* name : {"", "bad\x01name", "a b", "-x-",
                             "b\xfc"
                             "cher",
                             "a..b", ".", "1.2.3.4", "(none)"}) {
        Host host;
        host.node_name = name;
        const auto config = Config::parse("", "/etc/postrider", {}, host);
        ASSERT_TRUE(config) << name << ": " << config.error().message;
        EXPECT_EQ(config->text("myhostname"), "localhost.localdomain") << name;
    }
}

TEST(Config, ForgetsAValueInAllItsCopies) {
    auto config = parse("smtp_sasl_password_maps = static:user:secret\n");
    ASSERT_TRUE(config);
    const Config copy = *config;
    config->forget("smtp_sasl_password_maps");
    EXPECT_EQ(copy.text("smtp_sasl_password_maps"), "");
}

TEST(Config, ForgetsWhatAValueWasMadeFrom) {
    auto config = parse(
        "my_user = ann\nmy_password = $other_name\nother_name = word\n"
        "smtp_sasl_password_maps = static:$my_user@$myhostname:$my_password\n");
    ASSERT_TRUE(config) << config.error().message;
    const std::string host = config->text("myhostname");
    const std::string maps = config->text("smtp_sasl_password_maps");
    ASSERT_EQ(maps, "static:ann@" + host + ":word");

    config->forget("smtp_sasl_password_maps");
    EXPECT_EQ(config->text("smtp_sasl_password_maps"), "");
    EXPECT_EQ(config->text("myhostname"), host);
    EXPECT_TRUE(config->is_set("smtp_sasl_password_maps"));

    config->remember("smtp_sasl_password_maps", maps);
    EXPECT_EQ(config->text("smtp_sasl_password_maps"), maps);
}

TEST(Config, RepeatsNoPasswordInAWarning) {
    const auto config =
        parse("smtp_sasl_password_maps = static:user:secret\nsmtp_sasl_password_maps = hash:/x\n");
    ASSERT_TRUE(config);
    ASSERT_FALSE(config->warnings().empty());
    for (const auto& warning : config->warnings()) EXPECT_EQ(warning.find("secret"), warning.npos);
}

TEST(Config, IsCompleteWithAnEmptyFile) {
    const auto config = parse("");

    ASSERT_TRUE(config) << config.error().message;
    EXPECT_THAT(config->warnings(), IsEmpty());
    EXPECT_EQ(config->text("myhostname"), "box.localdomain");
    EXPECT_EQ(config->text("mydomain"), "localdomain");
    EXPECT_EQ(config->text("myorigin"), "box.localdomain");
    EXPECT_THAT(config->list("mydestination"),
                ElementsAre("box.localdomain", "localhost.localdomain", "localhost"));
    EXPECT_THAT(config->list("mynetworks"), ElementsAre("127.0.0.0/8", "[::1]/128"));
    EXPECT_EQ(config->text("config_directory"), "/etc/postrider");
    EXPECT_EQ(config->text("inet_interfaces"), "loopback-only");
    EXPECT_EQ(config->text("smtpd_banner"), "box.localdomain ESMTP postrider");
    EXPECT_EQ(config->text("syslog_name"), "postrider");
    EXPECT_EQ(config->text("queue_directory"), "/var/spool/postrider");
    EXPECT_EQ(config->text("alias_maps"), "lmdb:/etc/aliases");
    EXPECT_EQ(config->text("smtp_tls_security_level"), "may");
    EXPECT_EQ(config->text("smtp_tls_servername"), "hostname");
    EXPECT_EQ(config->text("smtp_tls_fingerprint_digest"), "sha256");
    EXPECT_EQ(config->text("smtpd_forbid_bare_newline"), "normalize");
    EXPECT_EQ(config->text("smtpd_forbid_bare_newline_exclusions"), "");
    EXPECT_EQ(config->integer("message_size_limit"), 35882577);
    EXPECT_EQ(config->time("smtpd_timeout"), seconds(300));
    EXPECT_EQ(config->time("maximal_queue_lifetime"), std::chrono::days(5));
    EXPECT_EQ(config->time("smtp_connection_cache_time_limit"), seconds(30));
    EXPECT_FALSE(config->boolean("append_dot_mydomain"));
    EXPECT_TRUE(config->boolean("smtputf8_enable"));
    EXPECT_FALSE(config->is_set("relayhost"));
}

TEST(Config, ServesTheGuideWithoutAWarning) {
    const auto config = parse(kGuide);

    ASSERT_TRUE(config) << config.error().message;
    EXPECT_THAT(config->warnings(), IsEmpty());
    EXPECT_TRUE(config->boolean("smtp_tls_wrappermode"));
    EXPECT_EQ(config->text("smtp_tls_security_level"), "verify");
    EXPECT_EQ(config->text("smtp_sasl_tls_security_options"), "noanonymous");
    EXPECT_EQ(config->text("smtp_sasl_tls_verified_security_options"), "noanonymous");
    EXPECT_EQ(config->text("mime_header_checks"), "regexp:/etc/postfix/header_checks");
    EXPECT_EQ(config->text("smtp_address_preference"), "ipv6");
    EXPECT_THAT(config->list("smtp_tls_mandatory_protocols"),
                ElementsAre("!SSLv2", "!TLSv1", "!TLSv1.1"));
}

TEST(Config, LoadsDebiansFileWithWarningsOnly) {
    const auto config = parse(kDebian);

    ASSERT_TRUE(config) << config.error().message;
    EXPECT_THAT(config->warnings(), ::testing::ElementsAreArray(kDebianWarnings));
    EXPECT_EQ(config->text("smtpd_banner"), "box.example.org ESMTP postrider (Debian/GNU)");
    EXPECT_EQ(config->text("smtp_tls_session_cache_database"),
              "btree:/var/lib/postrider/smtp_scache");
}

TEST(Config, LoadsTheGuideAppendedToDebiansFile) {
    const auto config = parse(std::string(kDebian) + std::string(kGuide));

    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->text("smtp_tls_security_level"), "verify");
    EXPECT_THAT(config->warnings(),
                ElementsAre("/etc/postrider/main.cf, line 27: overriding earlier entry: "
                            "smtp_tls_security_level=may",
                            kDebianWarnings[0], kDebianWarnings[1], kDebianWarnings[2]));
}

TEST(Config, VerifiesByDefaultWhereAPasswordGoes) {
    const std::pair<const char*, const char*> cases[] = {
        {"relayhost = [h]\nsmtp_sasl_password_maps = hash:/x\n", "verify"},
        {"relayhost = [h]\nsmtp_sasl_password_maps = hash:/x\nsmtp_tls_security_level = may\n",
         "may"},
        {"relayhost = [h]\nsmtp_sasl_password_maps = hash:/x\ncompatibility_level = 0\n", "verify"},
        {"relayhost = [h]\n", "may"},
        {"smtp_sasl_password_maps = hash:/x\n", "may"},
        {"compatibility_level = 3.6\n", ""},
        {"compatibility_level = 3.6\nsmtp_use_tls = yes\n", "may"},
        {"smtp_enforce_tls = yes\n", "verify"},
        {"smtp_enforce_tls = yes\nsmtp_tls_enforce_peername = no\n", "encrypt"},
    };
    for (const auto& [text, level] : cases) {
        const auto config = parse(text);
        ASSERT_TRUE(config) << config.error().message;
        EXPECT_EQ(config->text("smtp_tls_security_level"), level) << text;
    }
}

TEST(Config, FollowsAnExplicitCompatibilityLevel) {
    const auto config = parse("compatibility_level = 0\ninet_interfaces = all\n");

    ASSERT_TRUE(config) << config.error().message;
    EXPECT_TRUE(config->boolean("append_dot_mydomain"));
    EXPECT_EQ(config->text("smtp_tls_fingerprint_digest"), "md5");
    EXPECT_THAT(config->list("mynetworks"),
                ElementsAre("127.0.0.0/8", "[::1]/128", "192.0.2.0/24"));
    EXPECT_THAT(
        config->list("smtpd_relay_restrictions"),
        ElementsAre("permit_mynetworks", "permit_sasl_authenticated", "defer_unauth_destination"));
}

TEST(Config, DerivesTheHostsNames) {
    EXPECT_EQ(parse("mydomain = example.org\n")->text("myhostname"), "box.example.org");
    EXPECT_EQ(parse("myhostname = a.b.example\n")->text("mydomain"), "b.example");
    EXPECT_EQ(parse("myhostname = plain\n")->text("mydomain"), "localdomain");
    EXPECT_EQ(parse("myorigin = $mydomain\nmydomain = example.org\n")->text("myorigin"),
              "example.org");
}

TEST(Config, ReadsTheOriginFromAFile) {
    char name[] = "/tmp/postrider-mailname-XXXXXX";
    ::close(::mkstemp(name));
    std::ofstream(name) << "  mail.example.net \nother\n";

    const auto config = parse("myorigin = " + std::string(name) +
                              "\nempty_address_recipient = "
                              "postmaster@$myorigin\n");

    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->text("myorigin"), "mail.example.net");
    EXPECT_EQ(config->text("empty_address_recipient"), "postmaster@mail.example.net");
    ::unlink(name);
    EXPECT_THAT(problem("myorigin = " + std::string(name) + "\n"),
                AllOf(HasSubstr("main.cf, line 1: myorigin = /tmp/postrider-mailname-"),
                      HasSubstr("No such file or directory")));
}

TEST(Config, LetsTheCommandLineWin) {
    const auto config =
        parse("relayhost = [a]\n", {{"relayhost", "[b]"}, {"relayhost", "[c]"}, {"x", "1"}});

    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->text("relayhost"), "[c]");
    EXPECT_THAT(config->warnings(), ElementsAre("command line: unused parameter: x=1"));
    EXPECT_EQ(parse("", {{"biff", "maybe"}}).error().message,
              "command line: bad boolean configuration: biff = maybe (write yes or no)");
}

TEST(Config, ReportsAllMistakesAtOnce) {
    EXPECT_EQ(problem("smtp_tls_wrappermode = on\nmaximal_queue_lifetime = 5x\n"
                      "foo = ${\nrelay_destination_rate_delay = fast\n"),
              "/etc/postrider/main.cf, line 2: parameter maximal_queue_lifetime: bad time value or "
              "unit: 5x (write a number and one of s, m, h, d, w); "
              "/etc/postrider/main.cf, line 1: bad boolean configuration: smtp_tls_wrappermode = "
              "on (write yes or no); "
              "/etc/postrider/main.cf, line 3: foo: truncated macro reference: \"${\"; "
              "/etc/postrider/main.cf, line 4: parameter relay_destination_rate_delay: bad time "
              "value or unit: fast (write a number and one of s, m, h, d, w)");
}

TEST(Config, RefusesWhatItWouldBeLessSecureWithout) {
    for (const auto* setting :
         {"smtp_tls_policy_maps = hash:/x", "smtpd_tls_security_level = encrypt",
          "smtpd_sasl_auth_enable = yes", "smtpd_tls_wrappermode = yes",
          "smtpd_client_restrictions = permit_mynetworks, reject",
          "smtpd_sender_restrictions = reject_unknown_sender_domain",
          "smtpd_recipient_restrictions = permit_mynetworks, reject_rbl_client x.example",
          "smtpd_milters = inet:localhost:8891", "content_filter = smtp:[127.0.0.1]:10024"})
        EXPECT_THAT(
            problem(std::string(setting) + "\n"),
            AllOf(HasSubstr("main.cf, line 1: "), HasSubstr(setting), HasSubstr("less secure")));
}

TEST(Config, AcceptsRestrictionsThatDoNotRestrict) {
    for (const auto* setting :
         {"smtpd_client_restrictions =", "smtpd_client_restrictions = permit_mynetworks, permit",
          "smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination",
          "smtpd_sasl_auth_enable = no", "smtpd_tls_security_level = none"})
        EXPECT_EQ(problem(std::string(setting) + "\n"), "") << setting;
}

TEST(Config, NeverBecomesAnOpenRelay) {
    EXPECT_THAT(problem("smtpd_relay_restrictions =\n"), HasSubstr("at least one working"));
    EXPECT_THAT(problem("smtpd_relay_restrictions = permit_mynetworks\n"),
                HasSubstr("at least one working"));
    EXPECT_THAT(problem("smtpd_relay_restrictions = permit, reject\n"), HasSubstr("open relay"));
    EXPECT_THAT(problem("smtpd_relay_restrictions = check_client_access hash:/x, reject\n"),
                HasSubstr("does not serve check_client_access"));
    EXPECT_EQ(problem("smtpd_relay_restrictions = permit_mynetworks, reject\n"), "");
}

TEST(Config, FindsContradictions) {
    const std::pair<const char*, const char*> cases[] = {
        {"myhostname = a.example\nrelayhost = A.example\n", "must not be identical"},
        {"myorigin = a.example, b.example\n", "must not contain multiple values"},
        {"myhostname = -bad-.example\n", "parameter myhostname: bad parameter value: -bad-"},
        {"mydomain = 192.0.2.1\n", "parameter mydomain: bad parameter value"},
        {"smtp_tls_wrappermode = yes\n", "needs smtp_tls_security_level = encrypt"},
        {"smtp_tls_security_level = fingerprint\n", "needs smtp_tls_fingerprint_cert_match"},
        {"smtp_tls_mandatory_protocols = TLSv2\n", "Invalid TLS protocol \"TLSv2\""},
        {"smtp_tls_exclude_ciphers = aNULL, !MD5\n", "invalid unary"},
        {"smtp_tls_loglevel = 5\n", "write a number from 0 to 4"},
        {"smtp_sasl_security_options = noplain\n", "unknown SASL security options value"},
        {"smtp_sasl_auth_enable = yes\n", "specify a password table"},
        {"mynetworks = 192.0.2.7/24\n", "perhaps you should use \"192.0.2.0/24\" instead"},
        {"inet_interfaces = all, 192.0.2.7\n", "stands alone"},
        {"inet_protocols = ipv5\n", "write all, ipv4 or ipv6"},
        {"maillog_file = /etc/log\n", "must be below one of maillog_file_prefixes"},
        {"compatibility_level = new\n", "compatibility"},
    };
    for (const auto& [text, wanted] : cases) EXPECT_THAT(problem(text), HasSubstr(wanted)) << text;
}

TEST(Config, AcceptsWhatOnlyLooksUnusual) {
    for (const auto* text :
         {"smtp_tls_mandatory_protocols = >=TLSv1.2\n", "smtp_tls_protocols = >=0303, <=0304\n",
          "smtp_tls_protocols = !SSLv2:!SSLv3\n",
          "mynetworks = hash:/x, /etc/networks, !10.0.0.1\n",
          "mynetworks = [::1]/128 127.0.0.0/8\n", "maillog_file = /var/log/mail.log\n",
          "maillog_file = /dev/stdout\n", "compatibility_level = 9999\n",
          "smtp_sasl_security_options =\n", "myhostname = b\xc3\xbc\x63her.example\n"})
        EXPECT_EQ(problem(text), "") << text;
}

TEST(Config, WarnsOfWhatItDoesNotServe) {
    const auto config = parse(
        "bounce_template_file = /etc/bounce.cf\npostscreen_dnsbl_sites = x\nrelay_hosts = y\n"
        "mine = z\nrelayhost = ${mine?[h]}\nlmtp_destination_recipient_limit = 1\n"
        "use_srv_lookup =\n");

    ASSERT_TRUE(config) << config.error().message;
    EXPECT_THAT(
        config->warnings(),
        UnorderedElementsAre(
            "/etc/postrider/main.cf, line 1: bounce_template_file = /etc/bounce.cf: postrider does "
            "not serve this; it has no effect",
            "/etc/postrider/main.cf, line 2: postscreen_dnsbl_sites = x: postrider does not serve "
            "this; it has no effect",
            "/etc/postrider/main.cf, line 3: unused parameter: relay_hosts=y",
            "/etc/postrider/main.cf, line 6: lmtp_destination_recipient_limit: postrider has no "
            "transport lmtp"));
}

TEST(Config, WarnsOfDanger) {
    struct Case {
        const char* text;
        const char* wanted;
        bool endangers = false;  ///< Mail or passwords; the rest is a mistake.
    };
    const Case cases[] = {
        {"relayhost = [h]:587\nsmtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = hash:/x\n"
         "smtp_sasl_security_options = noanonymous\nsmtp_tls_security_level = may\n",
         "line 5: smtp_tls_security_level = may: the password may go to a host that only claims",
         true},
        {"relayhost = [h]:465\n", "port 465 speaks TLS from the first byte"},
        {"mynetworks = 0.0.0.0/0\n", "everyone may relay", true},
        {"relayhost = [h]\nsmtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = hash:/x\n",
         "noplaintext rules PLAIN and LOGIN out"},
        {"smtpd_forbid_bare_newline = no\n", "never of a message"},
        {"maximal_queue_lifetime = 1d\n", "adjusting bounce_queue_lifetime"},
    };
    for (const auto& [text, wanted, endangers] : cases) {
        const auto config = parse(text);
        ASSERT_TRUE(config) << config.error().message;
        EXPECT_THAT(config->warnings(), ElementsAre(HasSubstr(wanted)));
        EXPECT_EQ(config->dangers(), endangers ? config->warnings() : std::vector<std::string>());
    }
}

TEST(Config, AdjustsTimesThatContradict) {
    const auto config = parse("maximal_queue_lifetime = 1d\nminimal_backoff_time = 2h\n");

    ASSERT_TRUE(config);
    EXPECT_EQ(config->time("bounce_queue_lifetime"), std::chrono::days(1));
    EXPECT_EQ(config->time("maximal_backoff_time"), std::chrono::hours(2));
}

TEST(Config, KnowsWhatTransportsHaveOfTheirOwn) {
    const auto config = parse(
        "relay_destination_rate_delay = 2\n"
        "default_destination_concurrency_limit = 7\n"
        "smtp_destination_recipient_limit = 3\n");

    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->transport_time("relay", "destination_rate_delay"), seconds(2));
    EXPECT_EQ(config->transport_time("smtp", "destination_rate_delay"), seconds(0));
    EXPECT_EQ(config->transport_integer("smtp", "destination_concurrency_limit"), 7);
    EXPECT_EQ(config->integer("smtp_destination_concurrency_limit"), 7);
    EXPECT_EQ(config->transport_integer("smtp", "destination_recipient_limit"), 3);
    EXPECT_EQ(config->transport_integer("relay", "destination_recipient_limit"), 50);
    EXPECT_EQ(config->transport_integer("relay", "initial_destination_concurrency"), 5);
}

TEST(ConfigDeathTest, StopsWhenAskedForANameThatDoesNotExist) {
    const auto config = parse("");
    ASSERT_TRUE(config);
    EXPECT_DEATH((void)config->text("no_such_parameter"), "name");
    EXPECT_DEATH((void)config->boolean("relayhost"), "type");
}

TEST(ConfigurationDirectory, IsTakenFromOptionThenEnvironment) {
    EXPECT_EQ(configuration_directory("/a", "/b"), "/a");
    EXPECT_EQ(configuration_directory("", "/b"), "/b");
    EXPECT_EQ(configuration_directory("", ""), "/etc/postrider");
}

}  // namespace postrider::config

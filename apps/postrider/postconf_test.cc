#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "commands.h"
#include "config/main_cf.h"

namespace postrider::apps {

using ::testing::HasSubstr;
using ::testing::StartsWith;

namespace {

struct Outcome {
    int status;
    std::string output;
    std::string errors;
};

class Postconf : public ::testing::Test {
protected:
    void SetUp() override {
        char name[] = "/tmp/postrider-postconf-XXXXXX";
        folder_ = ::mkdtemp(name);
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    void main_cf(std::string_view text) { std::ofstream(folder_ / "main.cf") << text; }
    std::string main_cf() { return config::read_text(folder_ / "main.cf").value(); }
    std::string file() { return folder_ / "main.cf"; }

    Outcome run(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), {"postconf", "-c", folder_.string()});
        std::vector<char*> argv;
        for (auto& argument : arguments) argv.push_back(argument.data());
        argv.push_back(nullptr);
        testing::internal::CaptureStdout();
        testing::internal::CaptureStderr();
        const int status = postconf(static_cast<int>(arguments.size()), argv.data());
        auto output = testing::internal::GetCapturedStdout();
        return {status, std::move(output), testing::internal::GetCapturedStderr()};
    }

    std::filesystem::path folder_;
};

}  // namespace

TEST_F(Postconf, PrintsWhatItIsAskedFor) {
    main_cf("relayhost = [h]:465\n");

    const auto outcome = run({"relayhost", "mail_name"});

    EXPECT_EQ(outcome.status, 0);
    EXPECT_EQ(outcome.output, "relayhost = [h]:465\nmail_name = postrider\n");
    EXPECT_EQ(outcome.errors, "");
}

TEST_F(Postconf, PrintsSettingsDefaultsValuesAndNames) {
    main_cf("myorigin = $mydomain\nmydomain = example.org\n");

    EXPECT_EQ(run({"-n"}).output, "mydomain = example.org\nmyorigin = $mydomain\n");
    EXPECT_EQ(run({"-xn"}).output, "mydomain = example.org\nmyorigin = example.org\n");
    EXPECT_EQ(run({"-h", "-x", "myorigin"}).output, "example.org\n");
    EXPECT_EQ(run({"-nH"}).output, "mydomain\nmyorigin\n");
    EXPECT_EQ(run({"-d", "myorigin"}).output, "myorigin = $myhostname\n");
    EXPECT_EQ(run({"-o", "myorigin=b", "myorigin"}).output, "myorigin = b\n");
    EXPECT_EQ(run({"-j", "myorigin"}).output, "{\"myorigin\": \"$mydomain\"}\n");
    EXPECT_THAT(run({}).output, HasSubstr("\nmyorigin = $mydomain\n"));
}

TEST_F(Postconf, WarnsOfWhatIsUnknownAndSucceeds) {
    main_cf("relayhots = h\n");

    const auto outcome = run({"-n", "no_such"});

    EXPECT_EQ(outcome.status, 0);
    EXPECT_EQ(outcome.errors, "postconf: warning: no_such: unknown parameter\npostconf: warning: " +
                                  file() + ": unused parameter: relayhots=h\n");
    EXPECT_EQ(run({"-nq"}).errors, "");
}

TEST_F(Postconf, EditsWithAndWithoutTheOption) {
    main_cf("# ours\nrelayhost = a\n");

    EXPECT_EQ(run({"relayhost=[b]", "biff = no"}).status, 0);
    EXPECT_EQ(main_cf(), "# ours\nrelayhost = [b]\nbiff = no\n");
    EXPECT_EQ(run({"-e", "relayhost=c", "relayhost=d"}).errors,
              "postconf: warning: ignoring earlier request: 'relayhost = c'\n");
    EXPECT_EQ(run({"-#", "relayhost"}).status, 0);
    EXPECT_EQ(run({"-X", "biff"}).status, 0);
    EXPECT_EQ(main_cf(), "# ours\n#relayhost = d\n");
}

TEST_F(Postconf, EditsAFileThatWouldNotLoad) {
    main_cf("smtp_tls_wrappermode = maybe\n");

    EXPECT_EQ(run({"-e", "smtp_tls_wrappermode = no"}).status, 0);
    EXPECT_EQ(main_cf(), "smtp_tls_wrappermode = no\n");
}

TEST_F(Postconf, RefusesWhatMakesNoSense) {
    main_cf("");
    struct Case {
        std::vector<std::string> arguments;
        std::string error;
    };
    const Case cases[] = {
        {{"-e", "a"}, "missing '=' after attribute name: \"a\""},
        {{"-e"}, "-e requires name=value argument"},
        {{"-e", "a=1\nb=2"}, "-e, -X, or -# accepts no multi-line input"},
        {{"-X", "a=1"}, "-X or -# requires parameter names without value"},
        {{"-C", "other"},
         "unknown -C option value \"other\" (write builtin, service, user or all)"},
        {{"-d", "-n"}, "specify one of -d and -n"},
        {{"-o", "x"}, "invalid parameter override: missing '=' after attribute name: \"x\""},
    };
    for (const auto& [arguments, error] : cases) {
        const auto outcome = run(arguments);
        EXPECT_EQ(outcome.status, 1);
        EXPECT_EQ(outcome.errors, "postconf: fatal: " + error + "\n");
    }
    EXPECT_THAT(run({"-Z"}).errors, StartsWith("postconf: fatal: usage: postconf"));
}

TEST_F(Postconf, SaysWhatTakesThePlaceOfMasterCf) {
    main_cf("");
    for (const auto* option : {"-M", "-P", "-F"}) {
        const auto outcome = run({option});
        EXPECT_EQ(outcome.status, 1);
        EXPECT_THAT(outcome.errors, HasSubstr("smtpd_listen"));
    }
}

TEST_F(Postconf, NeedsAFile) {
    const auto outcome = run({"relayhost"});

    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.errors, "postconf: fatal: open " + file() +
                                  ": No such file or directory (-c or MAIL_CONFIG names another "
                                  "directory)\n");
    EXPECT_EQ(run({"-d", "relayhost"}).output, "relayhost =\n");
}

TEST_F(Postconf, ListsTableTypesAndTheManual) {
    EXPECT_THAT(run({"-m"}).output, HasSubstr("\nhash\n"));
    EXPECT_THAT(run({"--manual"}).output, StartsWith(".TH MAIN.CF 5"));
}

}  // namespace postrider::apps

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "commands.h"
#include "table/test_directory.h"

namespace postrider::apps {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

struct Outcome {
    int status = 0;
    std::string out;
    std::string err;
};

/// Runs a command in a directory of its own that also has the configuration.
class PostmapTest : public testing::Test {
protected:
    PostmapTest() {
        directory.write("main.cf", "alias_database = hash:" + directory.path("aliases") + "\n");
        ::setenv("MAIL_CONFIG", directory.path("").c_str(), 1);
        std::filesystem::current_path(directory.path(""));
    }
    ~PostmapTest() override { std::filesystem::current_path("/"); }

    Outcome run(std::vector<std::string> arguments, const std::string& input = "") {
        directory.write("stdin", input);
        directory.write("stderr", "");
        const int saved_in = ::dup(0);
        const int saved_err = ::dup(2);
        redirect("stdin", O_RDONLY, 0);
        redirect("stderr", O_WRONLY | O_TRUNC, 2);
        std::istringstream in(input);
        std::ostringstream out;
        auto* cin = std::cin.rdbuf(in.rdbuf());
        auto* cout = std::cout.rdbuf(out.rdbuf());
        std::cin.clear();
        Outcome outcome;
        outcome.status = call(arguments);
        std::cin.rdbuf(cin);
        std::cout.rdbuf(cout);
        ::dup2(saved_in, 0);
        ::dup2(saved_err, 2);
        ::close(saved_in);
        ::close(saved_err);
        outcome.out = out.str();
        outcome.err = directory.read("stderr");
        return outcome;
    }
    void redirect(std::string_view name, int flags, int to) {
        const int fd = ::open(directory.path(name).c_str(), flags);
        ::dup2(fd, to);
        ::close(fd);
    }
    static int call(std::vector<std::string>& arguments) {
        std::vector<char*> argv;
        for (std::string& argument : arguments) argv.push_back(argument.data());
        argv.push_back(nullptr);
        const int argc = static_cast<int>(arguments.size());
        if (arguments[0] == "postmap") return postmap(argc, argv.data());
        if (arguments[0] == "postalias") return postalias(argc, argv.data());
        return newaliases(argc, argv.data());
    }

    table::TestDirectory directory;
};

TEST_F(PostmapTest, BuildsAndQueries) {
    directory.write("sasl", "[smtp.gmail.com]:465 me@gmail.com:pw\n");

    EXPECT_EQ(run({"postmap", "hash:sasl"}).status, 0);
    EXPECT_EQ(directory.mode("sasl.lmdb"), 0600u);
    const auto found = run({"postmap", "-q", "[SMTP.gmail.com]:465", "hash:sasl"});
    EXPECT_EQ(found.status, 0);
    EXPECT_EQ(found.out, "me@gmail.com:pw\n");
    EXPECT_EQ(found.err, "");
    EXPECT_EQ(run({"postmap", "-q", "other", "hash:sasl"}).status, 1);
    EXPECT_EQ(run({"postmap", "-q", "[smtp.gmail.com]:465", "sasl"}).status, 0);
}

TEST_F(PostmapTest, OptionsMayFollowTheTable) {
    directory.write("m", "a 1\n");
    run({"postmap", "hash:m"});

    EXPECT_EQ(run({"postmap", "hash:m", "-q", "a"}).out, "1\n");
}

TEST_F(PostmapTest, QueriesManyKeysFromStandardInput) {
    const auto outcome = run({"postmap", "-q", "-", "inline:{a=1}", "inline:{b=2}"}, "b\nc\na\n");

    EXPECT_EQ(outcome.status, 0);
    EXPECT_EQ(outcome.out, "b\t2\na\t1\n");
    EXPECT_EQ(run({"postmap", "-q", "-", "inline:{a=1}"}, "c\n").status, 1);
}

TEST_F(PostmapTest, QueriesTheHeadersAndTheBodyOfAMessage) {
    const std::string message = "Subject: a\n b\nX-Foo: c\n\nbody b\nnothing\n";
    const std::string table = "regexp:{{/b/ HIT}}";

    EXPECT_EQ(run({"postmap", "-hq", "-", table}, message).out, "Subject: a\n b\tHIT\n");
    EXPECT_EQ(run({"postmap", "-bq", "-", table}, message).out, "body b\tHIT\n");
    EXPECT_EQ(run({"postmap", "-hbq", "-", table}, message).out,
              "Subject: a\n b\tHIT\nbody b\tHIT\n");
    EXPECT_EQ(run({"postmap", "-hq", "-", table}, "X: b").out, "X: b\tHIT\n");
    EXPECT_EQ(run({"postmap", "-hq", "-", table}, "no header b\nX: b\n").status, 1);
}

TEST_F(PostmapTest, EmptyResultsAreShownWithAWarning) {
    const auto outcome = run({"postmap", "-q", "a", "inline:{a=}"});

    EXPECT_EQ(outcome.status, 0);
    EXPECT_EQ(outcome.out, "\n");
    EXPECT_EQ(outcome.err,
              "postmap: warning: table inline:{a=}: key a: empty string result is not allowed\n"
              "postmap: warning: table inline:{a=} should return NO RESULT in case of NOT FOUND\n");
}

TEST_F(PostmapTest, ListsAndSpeaksJson) {
    directory.write("m", "b x\"y\na 1\n");
    run({"postmap", "hash:m"});

    EXPECT_EQ(run({"postmap", "-s", "hash:m"}).out, "a\t1\nb\tx\"y\n");
    EXPECT_EQ(run({"postmap", "-sj", "hash:m"}).out, "{\"a\": \"1\"}\n{\"b\": \"x\\\"y\"}\n");
    EXPECT_EQ(run({"postmap", "-j", "-q", "a", "hash:m"}).out, "{\"a\": \"1\"}\n");
}

TEST_F(PostmapTest, ExtendsReplacesAndDeletes) {
    directory.write("m", "a 1\n");
    run({"postmap", "hash:m"});

    const auto extended = run({"postmap", "-i", "hash:m"}, "b 2\na 3\n");
    EXPECT_EQ(extended.status, 0);
    EXPECT_THAT(extended.err, HasSubstr("m.lmdb: duplicate entry: \"a\""));
    EXPECT_EQ(run({"postmap", "-s", "hash:m"}).out, "a\t1\nb\t2\n");
    EXPECT_EQ(run({"postmap", "-ir", "hash:m"}, "a 3\n").err, "");
    EXPECT_EQ(run({"postmap", "-q", "a", "hash:m"}).out, "3\n");
    EXPECT_EQ(run({"postmap", "-d", "A", "hash:m"}).status, 0);
    EXPECT_EQ(run({"postmap", "-d", "a", "hash:m"}).status, 1);
    EXPECT_EQ(run({"postmap", "-d", "-", "hash:m"}, "x\nb\n").status, 0);
    EXPECT_EQ(run({"postmap", "-s", "hash:m"}).out, "");
}

TEST_F(PostmapTest, SaysWhatItCannotDo) {
    const struct {
        std::vector<std::string> arguments;
        std::string text;
    } cases[] = {
        {{"postmap"}, "usage: postmap ["},
        {{"postmap", "-z", "m"}, "usage: postmap ["},
        {{"postmap", "missing"}, "open missing: No such file or directory"},
        {{"postmap", "-q", "a", "hash:nofile"},
         "open database nofile.lmdb: No such file or directory"},
        {{"postmap", "regexp:m"},
         "unsupported dictionary type: regexp does not support bulk-mode creation."},
        {{"postmap", "-q", "a", "gdbm:x"}, "unsupported dictionary type: gdbm"},
        {{"postmap", "-q", "a", "-s", "hash:m"}, "specify only one of -d -i -q or -s"},
        {{"postmap", "-h", "hash:m"}, "specify -b -h or -m only with \"-q -\""},
        {{"postmap", "-j", "hash:m"}, "option -j requires -q or -s"},
        {{"postmap", "-q", "a", "fail:x"}, "table fail:x: query error"},
    };
    for (const auto& test : cases) {
        const auto outcome = run(test.arguments);
        EXPECT_EQ(outcome.status, 1) << test.text;
        EXPECT_THAT(outcome.err, HasSubstr("postmap: fatal: " + test.text));
    }
}

TEST_F(PostmapTest, FilesAsValuesComeBackAsTheyWere) {
    directory.write("cert", "line 1\nline 2\n");
    directory.write("m", "host " + directory.path("cert") + "\n");

    EXPECT_EQ(run({"postmap", "-F", "hash:m"}).status, 0);
    EXPECT_EQ(run({"postmap", "-q", "host", "hash:m"}).out, "bGluZSAxCmxpbmUgMgo=\n");
    EXPECT_EQ(run({"postmap", "-Fq", "host", "hash:m"}).out, "line 1\nline 2\n\n");
}

TEST_F(PostmapTest, PostaliasAndNewaliasesReadAliases) {
    directory.write("aliases", "# local\nRoot: ann, bob\npostmaster: root\n");

    EXPECT_EQ(run({"newaliases"}).status, 0);
    EXPECT_EQ(run({"postalias", "-q", "root", "hash:aliases"}).out, "ann, bob\n");
    EXPECT_EQ(run({"postalias", "-s", "hash:aliases"}).out,
              "@:\t@\npostmaster:\troot\nroot:\tann, bob\n");
    EXPECT_EQ(run({"postalias", "-i", "hash:aliases"}, "eve: x\n").err, "");
    EXPECT_EQ(run({"postalias", "-q", "eve", "hash:aliases"}).out, "x\n");
    EXPECT_EQ(run({"postalias", "hash:aliases"}).status, 0);
    EXPECT_THAT(run({"postalias", "-h", "hash:aliases"}).err,
                StartsWith("postalias: fatal: usage"));
}

TEST_F(PostmapTest, NewaliasesHasNothingToDoWithoutADatabase) {
    directory.write("main.cf", "alias_database =\n");

    EXPECT_EQ(run({"newaliases"}).status, 0);
}

TEST_F(PostmapTest, ABrokenConfigurationStopsNoTable) {
    directory.write("main.cf", "smtputf8_enable = perhaps\n");
    directory.write("m", "a 1\n");

    const auto outcome = run({"postmap", "hash:m"});
    EXPECT_EQ(outcome.status, 0);
    EXPECT_THAT(outcome.err, HasSubstr("postmap: warning: "));
}

}  // namespace
}  // namespace postrider::apps

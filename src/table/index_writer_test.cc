#include "table/index_writer.h"

#include <filesystem>
#include <fstream>
#include <map>

#include <fcntl.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "table/index_table.h"
#include "table/test_directory.h"

namespace postrider::table {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

class IndexTest : public testing::Test {
protected:
    std::map<std::string, std::string> entries() {
        std::map<std::string, std::string> all;
        const auto read = for_each_entry(
            source, [&](std::string_view key, std::string_view value) { all.emplace(key, value); });
        EXPECT_TRUE(read) << read.error().message;
        return all;
    }
    void build(std::string_view text) {
        directory.write("map", text);
        const auto built = build_index(source, options, log);
        ASSERT_TRUE(built) << built.error().message;
    }
    std::string find(std::string_view key, std::string_view type = "hash") {
        const auto table = open_table(std::string(type) + ":" + source, open_options, log);
        if (!table) return "!!" + table.error().message;
        const auto answer = (*table)->find(key);
        if (!answer) return "!" + answer.error().message;
        return answer->value_or("-");
    }
    /// Names in the directory.
    std::vector<std::string> files() {
        std::vector<std::string> names;
        for (const auto& entry : std::filesystem::directory_iterator(directory.path("")))
            names.push_back(entry.path().filename().string());
        std::sort(names.begin(), names.end());
        return names;
    }

    TestDirectory directory;
    std::string source = directory.path("map");
    CapturedLog captured;
    Log log{captured, "postmap"};
    IndexOptions options;
    OpenOptions open_options;
};

TEST_F(IndexTest, GivesBackWhatTheSourceSays) {
    build("[smtp.gmail.com]:465  Me@gmail.com:pass word\n\"A b\"@x y\n");

    EXPECT_THAT(entries(), ElementsAre(Pair("\"a b\"@x", "y"),
                                       Pair("[smtp.gmail.com]:465", "Me@gmail.com:pass word")));
    EXPECT_THAT(captured.lines(), IsEmpty());
}

TEST_F(IndexTest, GivesBackContinuedLines) {
    build("k a\n  b\n# c\n\tc\n");

    EXPECT_EQ(find("k"), "a  b\tc");
    EXPECT_EQ(find("K", "lmdb"), "a  b\tc");
    EXPECT_EQ(find("other", "btree"), "-");
    EXPECT_EQ(find(""), "-");
}

TEST_F(IndexTest, KeepsTheFirstOfDuplicates) {
    build("a 1\nA 2\n");

    EXPECT_EQ(find("a"), "1");
    EXPECT_THAT(captured.lines(),
                ElementsAre("postmap: warning: " + source + ".lmdb: duplicate entry: \"a\""));
}

TEST_F(IndexTest, DuplicatesCanBeIgnoredOrReplace) {
    options.duplicates = Duplicates::Ignore;
    build("a 1\nA 2\n");
    EXPECT_EQ(find("a"), "1");

    options.duplicates = Duplicates::Replace;
    build("a 1\nA 2\n");
    EXPECT_EQ(find("a"), "2");
    EXPECT_THAT(captured.lines(), IsEmpty());
}

TEST_F(IndexTest, SkipsKeysThatDoNotFit) {
    const std::string fits(510, 'k');
    const std::string too_long(511, 'k');
    build(fits + " 1\n" + too_long + " 2\n");

    EXPECT_EQ(find(fits), "1");
    EXPECT_EQ(find(too_long), "-");
    EXPECT_EQ(find(std::string(100'000, 'k')), "-");
    ASSERT_EQ(captured.lines().size(), 1u);
    EXPECT_THAT(captured.lines().front(), HasSubstr("a key of 511 bytes does not fit"));
}

TEST_F(IndexTest, GrowsWithoutBeingTold) {
    std::string text;
    for (int n = 0; n < 60'000; ++n)
        text += "user" + std::to_string(n * 7919 % 60'000) + "@example.com " +
                std::string(300, 'v') + "\n";
    text += "big " + std::string(1'000'000, 'b') + "\n";
    build(text);

    EXPECT_EQ(find("user59999@example.com").size(), 300u);
    EXPECT_EQ(find("big").size(), 1'000'000u);
}

TEST_F(IndexTest, ReadsIndexesWithAndWithoutNul) {
    options.trailing_nul = false;
    build("a 1\n");
    EXPECT_EQ(find("a"), "1");

    options.trailing_nul = true;
    build("a 2\n");
    EXPECT_EQ(find("a"), "2");
}

TEST_F(IndexTest, ReadsAliases) {
    options.source_syntax = SourceSyntax::Aliases;
    build(
        "Root: ann@x, bob\npostmaster:root\n\"two words\": x\n\"plain\": y\n"
        "(comment) c (d): z\nlist: :include:/etc/list\n"
        "nocolon\na@b: c\na, b: c\nempty:\n");

    EXPECT_THAT(entries(), ElementsAre(Pair("\"two words\"", "x"), Pair("@", "@"), Pair("c", "z"),
                                       Pair("list", ":include:/etc/list"), Pair("plain", "y"),
                                       Pair("postmaster", "root"), Pair("root", "ann@x, bob")));
    const std::string place = "postmap: warning: " + source;
    EXPECT_THAT(captured.lines(),
                ElementsAre(place + ", line 7: need name:value pair",
                            place + ", line 8: name must be local and have no domain",
                            place + ", line 9: need name:value pair",
                            place + ", line 10: need name:value pair"));
}

TEST_F(IndexTest, IsPrivateFromTheFirstInstantAndUnseenUntilCommitted) {
    directory.write("map", "a 1\n");
    ::chmod(source.c_str(), 0644);
    auto writer = IndexWriter::create(source, options, log);
    ASSERT_TRUE(writer) << writer.error().message;
    ASSERT_TRUE(writer->put("a", "secret"));

    ASSERT_EQ(files().size(), 2u);
    EXPECT_EQ(directory.mode(files().front()), 0600u);

    ASSERT_TRUE(writer->commit());
    EXPECT_THAT(files(), ElementsAre("map", "map.lmdb"));
    EXPECT_EQ(directory.mode("map.lmdb"), 0644u);
}

TEST_F(IndexTest, LeavesNothingBehindWhenGivenUp) {
    { auto writer = IndexWriter::create(source, options, log); }

    EXPECT_THAT(files(), IsEmpty());
}

TEST_F(IndexTest, IsNeverWiderThanItsSourceOrItsPredecessor) {
    struct {
        mode_t source, index, result;
    } const cases[] = {{0600, 0, 0600}, {0644, 0, 0644},    {0666, 0, 0644},
                       {0640, 0, 0640}, {0644, 0600, 0600}, {0600, 0644, 0600}};
    for (const auto& test : cases) {
        std::filesystem::remove(directory.path("map.lmdb"));
        build("a 1\n");
        if (test.index != 0) {
            ::chmod(directory.path("map.lmdb").c_str(), test.index);
        } else {
            std::filesystem::remove(directory.path("map.lmdb"));
        }
        ::chmod(source.c_str(), test.source);
        ASSERT_TRUE(build_index(source, options, log));
        EXPECT_EQ(directory.mode("map.lmdb"), test.result) << std::oct << test.source;
    }
}

TEST_F(IndexTest, GetsTheOwnerOfItsSourceWhenRootWrites) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    directory.write("map", "a 1\n");
    ASSERT_EQ(::chown(source.c_str(), 12345, 23456), 0);
    ASSERT_TRUE(build_index(source, options, log));

    struct stat status {};
    ASSERT_EQ(::stat((source + ".lmdb").c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, 12345u);
    EXPECT_EQ(status.st_gid, 23456u);
}

TEST_F(IndexTest, RootFollowsNoLinkInAForeignDirectory) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    const TestDirectory own;
    own.write("shadow", "root secret\n");
    std::filesystem::create_symlink(own.path("shadow"), source);
    ASSERT_EQ(::chown(directory.path("").c_str(), 12345, 12345), 0);

    const auto built = build_index(source, options, log);
    ASSERT_FALSE(built);
    EXPECT_THAT(built.error().message, HasSubstr("not followed for root"));

    std::filesystem::remove(source);
    build("a 1\n");
    EXPECT_THAT(captured.lines().back(), HasSubstr("give both one owner"));
}

TEST_F(IndexTest, UpdatesAndDeletesInAFreshCopy) {
    build("a 1\nb 2\n");
    const auto before = open_table("hash:" + source, open_options, log);
    auto writer = IndexWriter::update(source, options, log);
    ASSERT_TRUE(writer) << writer.error().message;
    ASSERT_TRUE(writer->put("c", "3"));
    EXPECT_TRUE(writer->remove("A").value());
    EXPECT_FALSE(writer->remove("nothing").value());
    ASSERT_TRUE(writer->commit());

    EXPECT_THAT(entries(), ElementsAre(Pair("b", "2"), Pair("c", "3")));
    EXPECT_EQ((*before)->find("a")->value(), "1");
    EXPECT_THAT(files(), ElementsAre("map", "map.lmdb"));
}

TEST_F(IndexTest, ExtendsFromADescriptor) {
    build("a 1\n");
    directory.write("more", "b 2\na 3\n");
    const int fd = ::open(directory.path("more").c_str(), O_RDONLY);
    ASSERT_TRUE(extend_index(source, fd, "stdin", options, log));
    ::close(fd);

    EXPECT_THAT(entries(), ElementsAre(Pair("a", "1"), Pair("b", "2")));
    EXPECT_THAT(captured.lines().back(), HasSubstr("duplicate entry: \"a\""));
}

TEST_F(IndexTest, StoresFilesAsBase64) {
    directory.write("cert", "hello\n");
    options.values_are_files = true;
    build("k " + directory.path("cert") + "\nm " + directory.path("missing") + "\n");

    EXPECT_THAT(entries(), ElementsAre(Pair("k", "aGVsbG8K")));
    EXPECT_THAT(captured.lines().front(),
                HasSubstr("No such file or directory: skipping this entry"));
}

TEST_F(IndexTest, IsMadeWhenItIsMissingAndRemadeWhenItIsOld) {
    directory.write("map", "a 1\n");
    EXPECT_EQ(find("a"), "1");
    EXPECT_THAT(captured.lines(),
                ElementsAre("postmap: rebuilt " + source + ".lmdb from " + source));

    captured.clear();
    directory.write("map", "a 2\n");
    EXPECT_EQ(find("a"), "2");
    EXPECT_EQ(captured.lines().size(), 1u);

    captured.clear();
    EXPECT_EQ(find("a"), "2");
    EXPECT_THAT(captured.lines(), IsEmpty());
}

TEST_F(IndexTest, AFutureTimeOfTheSourceDoesNotRebuildForEver) {
    directory.write("map", "a 1\n");
    directory.age("map", 3600);
    EXPECT_EQ(find("a"), "1");
    captured.clear();
    EXPECT_EQ(find("a"), "1");
    EXPECT_THAT(captured.lines(), IsEmpty());
}

TEST_F(IndexTest, IsUsedWithAWarningWhenItIsOldAndMayNotBeRemade) {
    build("a 1\n");
    directory.write("map", "a 2\n");
    directory.age("map", 10);
    open_options.reindexing = Reindexing::Forbidden;

    EXPECT_EQ(find("a"), "1");
    EXPECT_THAT(captured.lines(), ElementsAre("postmap: warning: database " + source +
                                              ".lmdb is older than source file " + source +
                                              "; mend it with: postmap hash:" + source));
}

TEST_F(IndexTest, NothingIsWrittenInADirectoryThatOthersCanWrite) {
    directory.write("map", "a 1\n");
    ::chmod(directory.path("").c_str(), 0777);

    EXPECT_THAT(find("a"),
                HasSubstr(".lmdb: No such file or directory; mend it with: postmap hash:"));
}

TEST_F(IndexTest, AnOldBerkeleyDatabaseIsIgnored) {
    directory.write("map.db", "junk");
    directory.write("map", "a 1\n");

    EXPECT_EQ(find("a"), "1");
    EXPECT_EQ(directory.read("map.db"), "junk");
}

TEST_F(IndexTest, ADamagedIndexIsRemadeOrRefused) {
    std::string text;
    for (int n = 0; n < 5000; ++n) text += "k" + std::to_string(n) + " value\n";
    build(text);
    const std::string whole = directory.read("map.lmdb");
    for (const std::string& damaged : {std::string(), std::string("junk"), std::string(9000, 'x'),
                                       whole.substr(0, whole.size() / 2)}) {
        directory.write("map.lmdb", damaged);
        directory.age("map.lmdb", 10);
        open_options.reindexing = Reindexing::Forbidden;
        EXPECT_THAT(find("k1"), HasSubstr("!!open database ")) << damaged.size();
        open_options.reindexing = Reindexing::Allowed;
        EXPECT_EQ(find("k1"), "value") << damaged.size();
    }
}

TEST_F(IndexTest, AnswersWhenItsFilesAreGone) {
    build("a 1\n");
    const auto table = open_table("hash:" + source, open_options, log);
    ASSERT_TRUE(table);
    std::filesystem::remove(source);
    std::filesystem::remove(source + ".lmdb");

    EXPECT_EQ((*table)->find("a")->value(), "1");
    EXPECT_FALSE((*table)->find("b")->has_value());
}

TEST_F(IndexTest, AliasesAreRemadeAsAliases) {
    directory.write("map", "root: ann\n");
    open_options.source_syntax = SourceSyntax::Aliases;

    EXPECT_EQ(find("root"), "ann");
}

TEST_F(IndexTest, SecretsMustBelongToUsAlone) {
    open_options.secret = true;
    open_options.reindexing = Reindexing::Forbidden;
    build("a 1\n");
    EXPECT_EQ(find("a"), "1");
    EXPECT_THAT(captured.lines(), IsEmpty());

    const std::string index = source + ".lmdb";
    struct {
        std::string file;
        mode_t mode;
        std::string refusal;
    } const cases[] = {
        {source, 0620,
         "can be written by others than its owner; mend it with: chmod go= " + source},
        {source, 0602, "can be written by others"},
        {index, 0660, "can be written by others than its owner; mend it with: chmod go= " + index},
    };
    for (const auto& test : cases) {
        ::chmod(test.file.c_str(), test.mode);
        EXPECT_THAT(find("a"), HasSubstr(test.refusal));
        ::chmod(test.file.c_str(), 0600);
    }

    ::chmod(directory.path("").c_str(), 0775);
    EXPECT_THAT(find("a"), HasSubstr("lies in a directory that others can write"));
    ::chmod(directory.path("").c_str(), 0700);

    if (::geteuid() == 0) {
        ASSERT_EQ(::chown(source.c_str(), 12345, 0), 0);
        EXPECT_THAT(find("a"), HasSubstr("belongs to user 12345"));
        open_options.trusted_owner = 12345;
        EXPECT_EQ(find("a"), "1");
    }
}

TEST_F(IndexTest, SecretsThatOthersCanReadAreAConcern) {
    open_options.secret = true;
    open_options.reindexing = Reindexing::Forbidden;
    build("a 1\n");
    ::chmod(source.c_str(), 0644);
    const auto table = open_table("hash:" + source, open_options, log);

    ASSERT_TRUE(table);
    EXPECT_THAT((*table)->concerns(),
                ElementsAre(source +
                            " holds a secret and can be read by others; mend it with: "
                            "chmod go= " +
                            source));
    EXPECT_EQ(captured.lines().size(), 1u);
}

TEST_F(IndexTest, SecretsAreNotReadThroughLinks) {
    const TestDirectory elsewhere;
    elsewhere.write("map", "a 1\n");
    std::filesystem::create_symlink(elsewhere.path("map"), source);
    open_options.secret = true;

    EXPECT_THAT(find("a"), HasSubstr("is a symbolic link"));
    EXPECT_THAT(find("a", "texthash"), HasSubstr("is a symbolic link"));
}

TEST_F(IndexTest, AnAutomaticIndexOfASecretIsPrivate) {
    open_options.secret = true;
    directory.write("map", "a 1\n");
    ::chmod(source.c_str(), 0644);

    EXPECT_EQ(find("a"), "1");
    EXPECT_EQ(directory.mode("map.lmdb"), 0600u);
}

}  // namespace
}  // namespace postrider::table

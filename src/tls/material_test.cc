#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tls/client.h"
#include "tls/test_world.h"

namespace postrider::tls {
namespace {

namespace fs = std::filesystem;

using test::Issued;
using test::Wanted;

class MaterialTest : public testing::Test {
protected:
    MaterialTest() {
        std::string name = (fs::temp_directory_path() / "material.XXXXXX").string();
        folder = ::mkdtemp(name.data());
    }
    ~MaterialTest() override { fs::remove_all(folder); }

    fs::path file(const std::string& name, const std::string& text) const {
        std::ofstream(folder / name) << text;
        return folder / name;
    }

    std::string problem(const MaterialFiles& files) const {
        auto read = read_material(files);
        EXPECT_FALSE(read);
        return read ? "" : read.error().message;
    }

    fs::path folder;
    const std::string pem = Issued::make(Wanted()).certificate_pem();
    const std::string other = Issued::make(Wanted()).certificate_pem();
};

TEST_F(MaterialTest, NamesTheFileThatCannotBeRead) {
    const fs::path missing = folder / "missing";
    const std::string expected = "open " + missing.string() + ": No such file or directory";
    MaterialFiles files;
    files.ca_file = missing;
    EXPECT_EQ(problem(files), expected);
    files = MaterialFiles();
    files.ca_path = missing;
    EXPECT_EQ(problem(files), expected);
    files = MaterialFiles();
    files.chain = {file("chain", pem), missing};
    EXPECT_EQ(problem(files), expected);
    files = MaterialFiles();
    files.key = missing;
    EXPECT_EQ(problem(files), expected);
    files = MaterialFiles();
    files.anchors = {missing};
    EXPECT_EQ(problem(files), expected);
}

TEST_F(MaterialTest, RefusesWhatIsNoFile) {
    MaterialFiles files;
    files.ca_file = folder;
    EXPECT_THAT(problem(files), testing::StartsWith("open " + folder.string() + ": "));
    files.ca_file = "/dev/zero";
    EXPECT_EQ(problem(files), "open /dev/zero: not a file of certificates");
    files = MaterialFiles();
    files.ca_path = file("plain", pem);
    EXPECT_EQ(problem(files), "open " + files.ca_path.string() + ": Not a directory");
}

TEST_F(MaterialTest, TakesFromADirectoryWhatHasTheNameOfAHash) {
    file("0123abcd.0", pem);
    file("0123abcd.12", other);
    file("0123abcd.r0", "a revocation list");
    file("0123ABCD.1", "not how they are spelled");
    file("01234567.0", "nothing to trust");
    file("89abcdef.0", pem.substr(0, pem.size() / 2));
    file("notes.txt", "hello");
    fs::create_symlink(folder / "gone.pem", folder / "00000000.0");
    MaterialFiles files;
    files.ca_path = folder;

    auto material = read_material(files);

    ASSERT_TRUE(material);
    EXPECT_THAT(material->authorities, testing::HasSubstr(pem));
    EXPECT_THAT(material->authorities, testing::HasSubstr(other));
    EXPECT_EQ(material->authorities_origin, folder.string() + ", 2 certificates");
    EXPECT_THAT(material->authorities, testing::Not(testing::HasSubstr("revocation")));
}

TEST_F(MaterialTest, KeepsEachKindInItsPlace) {
    MaterialFiles files;
    files.ca_file = file("ca", pem);
    files.chain = {file("leaf", "leaf"), file("middle", "middle")};
    files.key = file("key", "key");
    files.anchors = {file("one", "1"), file("two", "2")};

    auto material = read_material(files);

    ASSERT_TRUE(material);
    EXPECT_EQ(material->authorities_origin, files.ca_file.string() + ", 1 certificates");
    EXPECT_EQ(material->chain, "leaf\nmiddle\n");
    EXPECT_EQ(material->key, "key");
    EXPECT_EQ(material->anchors.at((folder / "two").string()), "2");
}

}  // namespace
}  // namespace postrider::tls

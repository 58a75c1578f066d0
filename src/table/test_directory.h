// A directory of its own for each test of this module.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

namespace postrider::table {

class TestDirectory {
public:
    TestDirectory() {
        std::string name = (std::filesystem::temp_directory_path() / "table-XXXXXX").string();
        path_ = ::mkdtemp(name.data());
    }
    ~TestDirectory() {
        std::error_code ignored;
        std::filesystem::permissions(path_, std::filesystem::perms::owner_all, ignored);
        std::filesystem::remove_all(path_, ignored);
    }

    std::string path(std::string_view name) const { return path_ + "/" + std::string(name); }

    /// Writes a file, private to its owner, and returns its path.
    std::string write(std::string_view name, std::string_view text) const {
        const std::string file = path(name);
        std::ofstream(file, std::ios::binary) << text;
        ::chmod(file.c_str(), 0600);
        return file;
    }
    std::string read(std::string_view name) const {
        std::ifstream file(path(name), std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    /// Gives a file a modification time this many seconds from now.
    void age(std::string_view name, int seconds) const {
        timespec times[2] = {};
        ::clock_gettime(CLOCK_REALTIME, &times[0]);
        times[0].tv_sec += seconds;
        times[1] = times[0];
        ::utimensat(AT_FDCWD, path(name).c_str(), times, 0);
    }
    mode_t mode(std::string_view name) const {
        struct stat status {};
        return ::stat(path(name).c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
    }

private:
    std::string path_;
};

}  // namespace postrider::table

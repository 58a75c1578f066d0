// sendmail, mailq, newaliases: what programs and people have called for forty years.

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "config/config.h"
#include "config/host.h"
#include "core/log.h"
#include "options.h"
#include "stand_alone.h"
#include "submit.h"

namespace postrider::apps {
namespace {

using Mode = SendmailOptions::Mode;

constexpr int kUsage = 64;             // EX_USAGE
constexpr int kTemporaryFailure = 75;  // EX_TEMPFAIL: every other refusal, as Postfix's sendmail.

/// GNU mailutils starts us with 1 and 2 closed. What we open first must not become standard output.
void open_standard_descriptors() {
    while (true) {
        const int fd = ::open("/dev/null", O_RDWR);
        if (fd < 0) _exit(kTemporaryFailure);
        if (fd <= 2) continue;
        ::close(fd);
        return;
    }
}

void say(std::string_view kind, std::string_view text) {
    const std::string line = "sendmail: " + std::string(kind) + ": " + printable(text) + "\n";
    write_all(STDERR_FILENO, line);
}

/// Says why, after the caller has written all it has: a pipe that breaks hides the reason.
int fail(Mode mode, std::string_view text, int status) {
    if (mode == Mode::StandAlone) {
        write_all(STDOUT_FILENO, "421 4.3.0 " + printable(text) + "\r\n");
        return status;
    }
    if (mode == Mode::Submit) read_to_end(STDIN_FILENO);
    say("fatal", text);
    return status;
}

/// Becomes another of our commands: the postrider program under that command's name.
int become(const std::vector<std::string>& words, const std::string& command_directory) {
    std::vector<char*> arguments;
    // execv() takes the words as char* for the sake of old programs; it does not change them.
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);

    char self[4096];
    const ssize_t length = ::readlink("/proc/self/exe", self, sizeof self);
    if (length > 0) {
        const std::string path(self, static_cast<std::size_t>(length));
        ::execv((path.substr(0, path.rfind('/')) + "/postrider").c_str(), arguments.data());
    }
    ::execv((command_directory + "/postrider").c_str(), arguments.data());
    say("fatal", "cannot run " + command_directory + "/postrider");
    return kTemporaryFailure;
}

int become_command(const SendmailOptions& options, const std::string& config_directory,
                   const std::string& command_directory) {
    const auto run = [&](std::vector<std::string> words) {
        words.insert(words.begin() + 1, {"-c", config_directory});
        return become(words, command_directory);
    };
    switch (options.mode) {
        case Mode::ListQueue:
            return run({"postqueue", "-p"});
        case Mode::Flush:
            return run({"postqueue", "-f"});
        case Mode::FlushId:
            return run({"postqueue", "-i", options.argument});
        case Mode::FlushSite:
            return run({"postqueue", "-s", options.argument});
        case Mode::NewAliases:
            if (!options.alias_file.empty()) return run({"postalias", options.alias_file});
            return run({"newaliases"});
        case Mode::Daemon:
            return run({"postrider", "start"});
        case Mode::Submit:
        case Mode::StandAlone:
        case Mode::Nothing:
            break;
    }
    return 0;
}

int send_message(const SendmailOptions& options, const Doors& doors) {
    const intake::SubmissionRequest& request = options.request;
    if (request.recipients.empty() && !request.extract_recipients) {
        // Postfix says 75 here as everywhere. But "try again later" is wrong for what can never
        // succeed, and mutt puts the number into words: 64 is "Bad usage.", 75 is "Deferred.".
        return fail(options.mode,
                    caller_label(request) +
                        ": Recipient addresses must be specified on the command line or via the "
                        "-t option",
                    kUsage);
    }
    const intake::SubmissionAnswer answer = submit(doors, request, STDIN_FILENO);
    if (answer.status == 0) return 0;
    say("fatal", answer.text);
    return answer.status;
}

/// The machine's name alone. Its addresses are asked of the kernel one by one, which takes longer
/// than all else here, and matter to mynetworks only.
config::Host named_host() {
    config::Host host;
    utsname names = {};
    const bool named = ::uname(&names) == 0 && names.nodename[0] != '\0';
    host.node_name = named ? names.nodename : "localhost";
    return host;
}

int run(int count, char** words) {
    open_standard_descriptors();
    ::signal(SIGPIPE, SIG_IGN);
    ::umask(022);

    const char* const name = count > 0 ? words[0] : "sendmail";
    auto parsed = parse_options(name, std::vector<std::string>(words + (count > 0), words + count));
    if (!parsed) return fail(Mode::Submit, parsed.error().message, kTemporaryFailure);
    SendmailOptions& options = *parsed;
    if (options.mode == Mode::Nothing) return 0;
    const char* const environment_name = std::getenv("NAME");
    if (!options.full_name_given && environment_name != nullptr)
        options.request.full_name = printable(environment_name);

    // What the daemon would find malformed is refused here, where there is somebody to tell.
    const auto encoded = intake::encode_request(options.request);
    if (!encoded) return fail(options.mode, encoded.error().message, kTemporaryFailure);
    const auto checked = intake::decode_request(
        std::string_view(*encoded).substr(intake::kPreambleSize + intake::kFrameHeadSize));
    if (!checked) return fail(options.mode, checked.error().message, kTemporaryFailure);

    const char* const mail_config = std::getenv("MAIL_CONFIG");
    const std::string directory =
        config::configuration_directory(options.config_directory,
                                        mail_config == nullptr ? "" : mail_config)
            .string();
    const auto config = config::Config::load(directory, {}, named_host());
    if (!config) return fail(options.mode, config.error().message, kTemporaryFailure);

    Doors doors;
    doors.queue_directory = config->text("queue_directory");
    doors.message_size_limit = static_cast<std::uint64_t>(config->integer("message_size_limit"));
    doors.myhostname = config->text("myhostname");
    if (options.mode == Mode::StandAlone)
        return stand_alone(doors, options.request, STDIN_FILENO, STDOUT_FILENO);
    for (const std::string& warning : options.warnings) say("warning", warning);
    if (options.mode == Mode::Submit) return send_message(options, doors);
    return become_command(options, directory, config->text("command_directory"));
}

}  // namespace
}  // namespace postrider::apps

int main(int count, char** words) {
    return postrider::apps::run(count, words);
}

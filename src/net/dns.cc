#include "net/dns.h"

#include <algorithm>
#include <array>
#include <map>

#include <arpa/nameser.h>
#include <sys/select.h>

#include <ares.h>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "net/event.h"

namespace postrider::net {
namespace {

namespace asio = boost::asio;

constexpr int kAddressesMax = 64;
constexpr std::size_t kExchangersMax = 20;

int wire_type(RecordType type) {
    switch (type) {
        case RecordType::A:
            return ns_t_a;
        case RecordType::Aaaa:
            return ns_t_aaaa;
        case RecordType::Mx:
            return ns_t_mx;
    }
    return 0;
}

DnsAnswer::Status status_of(int code) {
    switch (code) {
        case ARES_SUCCESS:
            return DnsAnswer::Status::Found;
        case ARES_ENOTFOUND:
        case ARES_EBADNAME:
            return DnsAnswer::Status::NoSuchName;
        case ARES_ENODATA:
            return DnsAnswer::Status::NoData;
        case ARES_EFORMERR:
        case ARES_ENOTIMP:
        case ARES_EBADRESP:
        case ARES_EBADQUERY:
            return DnsAnswer::Status::Unusable;
        case ARES_EDESTRUCTION:
            return DnsAnswer::Status::Stopped;
        default:
            return DnsAnswer::Status::TryAgain;
    }
}

int parse_ipv4(const unsigned char* reply, int size, DnsAnswer& answer) {
    std::array<ares_addrttl, kAddressesMax> found;
    int count = kAddressesMax;
    const int code = ares_parse_a_reply(reply, size, nullptr, found.data(), &count);
    for (int i = 0; code == ARES_SUCCESS && i < count; ++i) {
        answer.addresses.push_back(asio::ip::address_v4(ntohl(found[i].ipaddr.s_addr)));
    }
    return code;
}

int parse_ipv6(const unsigned char* reply, int size, DnsAnswer& answer) {
    std::array<ares_addr6ttl, kAddressesMax> found;
    int count = kAddressesMax;
    const int code = ares_parse_aaaa_reply(reply, size, nullptr, found.data(), &count);
    for (int i = 0; code == ARES_SUCCESS && i < count; ++i) {
        asio::ip::address_v6::bytes_type bytes;
        std::copy_n(found[i].ip6addr._S6_un._S6_u8, bytes.size(), bytes.begin());
        answer.addresses.push_back(asio::ip::address_v6(bytes));
    }
    return code;
}

int parse_exchangers(const unsigned char* reply, int size, DnsAnswer& answer) {
    ares_mx_reply* list = nullptr;
    const int code = ares_parse_mx_reply(reply, size, &list);
    for (const ares_mx_reply* entry = list; entry != nullptr; entry = entry->next) {
        answer.exchangers.push_back({entry->host, entry->priority});
    }
    if (list != nullptr) ares_free_data(list);
    // The best ones count, however many there are.
    std::stable_sort(answer.exchangers.begin(), answer.exchangers.end(),
                     [](const auto& a, const auto& b) { return a.preference < b.preference; });
    if (answer.exchangers.size() > kExchangersMax) answer.exchangers.resize(kExchangersMax);
    return code;
}

int parse(RecordType type, const unsigned char* reply, int size, DnsAnswer& answer) {
    switch (type) {
        case RecordType::A:
            return parse_ipv4(reply, size, answer);
        case RecordType::Aaaa:
            return parse_ipv6(reply, size, answer);
        case RecordType::Mx:
            return parse_exchangers(reply, size, answer);
    }
    return ARES_EBADQUERY;
}

}  // namespace

std::string_view to_string(RecordType type) {
    switch (type) {
        case RecordType::A:
            return "A";
        case RecordType::Aaaa:
            return "AAAA";
        case RecordType::Mx:
            return "MX";
    }
    return "";
}

std::string_view to_string(DnsAnswer::Status status) {
    switch (status) {
        case DnsAnswer::Status::Found:
            return "Success";
        case DnsAnswer::Status::NoSuchName:
            return "Host not found";
        case DnsAnswer::Status::NoData:
            return "Host found but no data record of requested type";
        case DnsAnswer::Status::TryAgain:
        case DnsAnswer::Status::Stopped:
            return "Host not found, try again";
        case DnsAnswer::Status::Unusable:
            return "Malformed or unexpected name server reply";
    }
    return "";
}

// Shared by who waits for the answer and by c-ares, which may answer after nobody waits any more.
class DnsClient::Question {
public:
    Question(const asio::any_io_executor& executor, RecordType type_)
        : type(type_), answered(executor) {}

    static void on_reply(void* self, int code, int, unsigned char* reply, int size) {
        const std::unique_ptr<std::shared_ptr<Question>> held(
            static_cast<std::shared_ptr<Question>*>(self));
        Question& question = **held;
        if (code == ARES_SUCCESS) code = parse(question.type, reply, size, question.answer);
        question.answer.status = status_of(code);
        const bool nothing =
            question.answer.addresses.empty() && question.answer.exchangers.empty();
        if (code == ARES_SUCCESS && nothing) question.answer.status = DnsAnswer::Status::NoData;
        question.answered.set();
    }

    RecordType type;
    DnsAnswer answer;
    Event answered;
};

// c-ares says which of its sockets it wants to hear about, and when it wants to be woken.
class DnsClient::Channel {
public:
    explicit Channel(asio::any_io_executor executor_)
        : executor(std::move(executor_)), timer(executor), alive(std::make_shared<bool>(true)) {}

    ~Channel() {
        *alive = false;
        // Answers all open questions, and closes the sockets through on_socket().
        if (handle != nullptr) ares_destroy(handle);
    }

    int open(const DnsOptions& options) {
        ares_options wanted = {};
        wanted.timeout = static_cast<int>(
            std::chrono::ceil<std::chrono::milliseconds>(options.try_timeout).count());
        wanted.tries = options.tries;
        char dns_only[] = "b";
        wanted.lookups = dns_only;
        wanted.sock_state_cb = on_socket;
        wanted.sock_state_cb_data = this;
        // SERVFAIL, NOTIMP and REFUSED send the question on to the next server.
        wanted.flags = 0;
        std::string path = options.resolv_conf;
        wanted.resolvconf_path = path.data();
        const int code =
            ares_init_options(&handle, &wanted,
                              ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                                  ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB | ARES_OPT_RESOLVCONF);
        if (code != ARES_SUCCESS || options.servers.empty()) return code;
        std::string list;
        for (const auto& server : options.servers) list.append(server).append(",");
        list.pop_back();
        return ares_set_servers_ports_csv(handle, list.c_str());
    }

    void arm_timer() {
        timeval limit = {60, 0};
        const timeval* next = ares_timeout(handle, &limit, &limit);
        if (watches.empty() || next == nullptr) return;
        timer.expires_after(std::chrono::seconds(next->tv_sec) +
                            std::chrono::microseconds(next->tv_usec));
        timer.async_wait([this, alive_ = alive](const boost::system::error_code& failure) {
            if (!failure && *alive_) process(ARES_SOCKET_BAD, ARES_SOCKET_BAD);
        });
    }

    asio::any_io_executor executor;
    ares_channel handle = nullptr;

private:
    struct Watch {
        Watch(const asio::any_io_executor& executor, int fd) : descriptor(executor, fd) {}
        // The socket belongs to c-ares.
        ~Watch() {
            if (descriptor.is_open()) descriptor.release();
        }

        asio::posix::stream_descriptor descriptor;
        bool read = false;  ///< wanted
        bool write = false;
        bool reading = false;  ///< under way
        bool writing = false;
    };

    static void on_socket(void* self, ares_socket_t fd, int read, int write) {
        static_cast<Channel*>(self)->watch(fd, read != 0, write != 0);
    }

    void watch(int fd, bool read, bool write) {
        if (!read && !write) return forget(fd);
        auto& entry = watches[fd];
        if (!entry) entry = std::make_shared<Watch>(executor, fd);
        entry->read = read;
        entry->write = write;
        wait(fd, entry);
    }

    // c-ares closes the socket next, and may get its number again for another: by then the event
    // loop must have let go of it, even if a completion still holds the Watch.
    void forget(int fd) {
        const auto known = watches.find(fd);
        if (known == watches.end()) return;
        known->second->descriptor.release();
        watches.erase(known);
    }

    void wait(int fd, const std::shared_ptr<Watch>& entry) {
        using Descriptor = asio::posix::stream_descriptor;
        if (entry->read && !entry->reading) {
            entry->reading = true;
            wait(fd, entry, Descriptor::wait_read);
        }
        if (entry->write && !entry->writing) {
            entry->writing = true;
            wait(fd, entry, Descriptor::wait_write);
        }
    }

    void wait(int fd, const std::shared_ptr<Watch>& entry,
              asio::posix::stream_descriptor::wait_type what) {
        const bool reads = what == asio::posix::stream_descriptor::wait_read;
        auto ready = [this, alive_ = alive, fd, reads, weak = std::weak_ptr<Watch>(entry)](
                         const boost::system::error_code& failure) {
            auto watched = weak.lock();
            if (!*alive_ || !watched) return;
            (reads ? watched->reading : watched->writing) = false;
            if (failure) return;
            process(reads ? fd : ARES_SOCKET_BAD, reads ? ARES_SOCKET_BAD : fd);
            const auto position = watches.find(fd);
            if (position != watches.end() && position->second == watched) wait(fd, watched);
        };
        entry->descriptor.async_wait(what, std::move(ready));
    }

    void process(ares_socket_t readable, ares_socket_t writable) {
        ares_process_fd(handle, readable, writable);
        arm_timer();
    }

    asio::steady_timer timer;
    std::map<int, std::shared_ptr<Watch>> watches;
    std::shared_ptr<bool> alive;  ///< for completions that come after us
};

Result<std::unique_ptr<DnsClient>> DnsClient::create(asio::any_io_executor executor,
                                                     const DnsOptions& options) {
    auto channel = std::make_unique<Channel>(std::move(executor));
    const int code = channel->open(options);
    if (code != ARES_SUCCESS) {
        return Unexpected(ErrorCode::Unavailable,
                          std::string("set up name service: ") + ares_strerror(code));
    }
    return std::unique_ptr<DnsClient>(new DnsClient(std::move(channel)));
}

DnsClient::DnsClient(std::unique_ptr<Channel> channel) : channel_(std::move(channel)) {}
DnsClient::~DnsClient() = default;

std::shared_ptr<DnsClient::Question> DnsClient::ask(const std::string& name, RecordType type,
                                                    bool search) {
    auto question = std::make_shared<Question>(channel_->executor, type);
    auto* const held = new std::shared_ptr<Question>(question);
    const auto send = search ? ares_search : ares_query;
    send(channel_->handle, name.c_str(), ns_c_in, wire_type(type), Question::on_reply, held);
    channel_->arm_timer();
    return question;
}

Awaitable<Result<DnsAnswer>> DnsClient::answer(std::shared_ptr<Question> question,
                                               MonotonicTime deadline) {
    auto answered = co_await question->answered.wait(deadline);
    if (answered) co_return question->answer;
    if (answered.error().code == ErrorCode::Timeout) co_return DnsAnswer();
    co_return Unexpected(std::move(answered).error());
}

}  // namespace postrider::net
